package outbox_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/bench/internal/ratio"
	"github.com/clickid/clickid/outbox"
)

// plainRow is a row of a table without another index.
const plainRow = "INSERT INTO plain (record) VALUES ($1)"

// BenchmarkSQLiteParts shows where the time of an order with its conversion goes.
// Each part has more than the one before, up to the conversion in the shop's file;
// the last two store it in another file. It runs them in random order and prints the
// time that a twentieth of the orders stay below, since other processes disturb the
// rest.
func BenchmarkSQLiteParts(b *testing.B) {
	cfg := outbox.Config{Destination: newPlatform(b, 0).client(b)}
	delivery, err := outbox.NewDelivery(cfg)
	if err != nil {
		b.Fatal(err)
	}
	// storing returns a sender that checks and encodes events for an outbox, and
	// stores their records with store.
	storing := func(store func(ctx context.Context, record string) error) clickid.Sender {
		return delivery.Sender(outbox.EnqueueFunc(func(ctx context.Context, records []outbox.Record) (map[string]string, error) {
			data, err := json.Marshal(records[0])
			if err != nil {
				return nil, err
			}
			return nil, store(ctx, string(data))
		}))
	}
	db, insert := openPlain(b)
	inOrder := func(tx *sql.Tx) clickid.Sender {
		return storing(func(ctx context.Context, record string) error {
			_, err := tx.StmtContext(ctx, insert).ExecContext(ctx, record)
			return err
		})
	}
	_, insertApart := openPlain(b)
	after := storing(func(ctx context.Context, record string) error {
		_, err := insertApart.ExecContext(ctx, record)
		return err
	})
	nowhere := storing(func(context.Context, string) error { return nil })
	shared := openSharedSQLite(b, cfg, 0)
	parts := []struct {
		name     string
		shop     *shop
		converts bool
	}{
		{"the order", shared, false},
		{"and its event, checked and encoded but not stored", &shop{transact: shared.transact, after: nowhere}, true},
		{"and a plain row of the event, in the order's transaction", &shop{transact: transactions(db, inOrder)}, true},
		{"and River's row of the event, in the order's transaction", shared, true},
		{"and a plain row of the event, in another file", &shop{transact: transactions(db, nil), after: after}, true},
		{"and River's row of the event, in another file", openSQLiteApart(b, cfg, 0), true},
	}
	took := make([][]time.Duration, len(parts))
	for round := range b.N {
		for _, i := range rand.Perm(len(parts)) { // the part before it leaves the caches cold or warm
			part := parts[i]
			id := fmt.Sprintf("%d-%d", round, i)
			began := time.Now()
			if err := part.shop.order(context.Background(), id, part.converts); err != nil {
				b.Fatal(err)
			}
			took[i] = append(took[i], time.Since(began))
		}
	}
	table := newParts("SQLiteParts")
	for i, part := range parts {
		table.Row(part.name, rateOf(took, i, 5), ratio.Percentile(took[i], 5))
	}
	b.ReportMetric(0, "ns/op")
}

// openPlain opens a shop with a plain table, and the statement that inserts into it.
func openPlain(b *testing.B) (*sql.DB, *sql.Stmt) {
	b.Helper()
	db := openShop(b)
	if _, err := db.Exec("CREATE TABLE plain (id integer PRIMARY KEY, record text NOT NULL)"); err != nil {
		b.Fatal(err)
	}
	insert, err := db.Prepare(plainRow)
	if err != nil {
		b.Fatal(err)
	}
	return db, insert
}
