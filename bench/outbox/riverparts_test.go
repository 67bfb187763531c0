package outbox_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/bench/internal/ratio"
	"github.com/clickid/clickid/outbox"
)

// BenchmarkRiverParts measures what each part of a conversion on River adds to an order:
// it stores orders in turn, each kind with one part more than the kind before. It
// prints the tenth percentiles, in which other load on the machine does not count.
func BenchmarkRiverParts(b *testing.B) {
	ctx := context.Background()
	client := newPlatform(b, 0).client(b)
	s := openPostgres(b, outbox.Config{Destination: client}, 0)
	delivery, err := outbox.NewDelivery(outbox.Config{Destination: client})
	if err != nil {
		b.Fatal(err)
	}
	var record outbox.Record
	prepared := delivery.Sender(outbox.EnqueueFunc(func(_ context.Context, records []outbox.Record) (map[string]string, error) {
		record = records[0]
		return nil, nil
	}))
	copyJobs(b, s)
	parts := []struct {
		name string
		add  func(t transaction, id string) error
	}{
		{"the order, ten statements and a commit to disk", nil},
		{"and its event, checked and encoded but not stored", func(_ transaction, id string) error { return convert(ctx, prepared, id) }},
		{"and the round trip of a statement", func(t transaction, id string) error {
			if err := convert(ctx, prepared, id); err != nil {
				return err
			}
			return t.read("SELECT $1::int", 1)
		}},
		{"and the row, in a copy of River's table without indexes", func(t transaction, id string) error { return insertCopy(t, prepared, &record, "bare", id) }},
		{"and its primary key and its unique key", func(t transaction, id string) error { return insertCopy(t, prepared, &record, "unique_only", id) }},
		{"and River's other five indexes", func(t transaction, id string) error { return insertCopy(t, prepared, &record, "all_indexes", id) }},
		{"and the search for the identity, its lock, and the notification", func(t transaction, id string) error { return convert(ctx, t.outbox, id) }},
	}
	took := make([][]time.Duration, len(parts))
	number := 0
	for b.Loop() {
		for i, part := range parts {
			number++
			id := fmt.Sprint(number)
			began := time.Now()
			err := s.transact(ctx, func(t transaction) error {
				if err := place(t, id); err != nil || part.add == nil {
					return err
				}
				return part.add(t, id)
			})
			if err != nil {
				b.Fatal(err)
			}
			took[i] = append(took[i], time.Since(began))
		}
	}
	table := newParts("RiverParts")
	for i, part := range parts {
		table.Row(part.name, rateOf(took, i, 10), ratio.Percentile(took[i], 10))
	}
}

// newParts returns a table of the parts of an order.
func newParts(title string) *ratio.Table {
	return ratio.NewTable(title, 1, "", "orders per second ÷ those without a conversion", "time")
}

// rateOf returns the orders per second of a part, compared with the first part, at a
// percentile of their times.
func rateOf(took [][]time.Duration, part, percentage int) float64 {
	return ratio.Percentile(took[0], percentage).Seconds() / ratio.Percentile(took[part], percentage).Seconds()
}

// copyJobs copies River's table of jobs: without indexes, with the unique ones, and
// with all.
func copyJobs(b *testing.B, s *shop) {
	b.Helper()
	err := s.transact(context.Background(), func(t transaction) error {
		for _, statement := range []string{
			"CREATE TABLE bare (LIKE clickid.river_job INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
			"CREATE TABLE unique_only (LIKE clickid.river_job INCLUDING ALL)",
			"CREATE TABLE all_indexes (LIKE clickid.river_job INCLUDING ALL)",
			`DO $$ DECLARE name text; BEGIN
				FOR name IN SELECT indexname FROM pg_indexes WHERE tablename = 'unique_only' AND indexdef NOT LIKE '%UNIQUE%' LOOP
					EXECUTE 'DROP INDEX ' || name;
				END LOOP;
			END $$`,
		} {
			if err := t.exec(statement); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// insertCopy inserts the job of a conversion in a copy of River's table.
func insertCopy(t transaction, prepared clickid.Sender, record *outbox.Record, table, id string) error {
	if err := convert(context.Background(), prepared, id); err != nil {
		return err
	}
	metadata, err := json.Marshal(map[string]any{"clickid": record, "clickid_state": struct{}{}, "clickid_fingerprint": record.Fingerprint})
	if err != nil {
		return err
	}
	key := sha256.Sum256([]byte(record.Identity))
	return t.exec("INSERT INTO "+table+` (args, kind, max_attempts, metadata, queue, unique_key, unique_states)
		VALUES (jsonb_build_object('identity', $1::text), 'clickid_event', 32767, $2::text::jsonb, 'clickid_000000000000', $3, B'11111111') ON CONFLICT DO NOTHING`,
		record.Identity, string(metadata), key[:])
}
