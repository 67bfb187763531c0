package river_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
)

func conversion(order string) clickid.Event { return crash.Conversion(order) }

func TestOutbox_In(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	pool := sharedPool(t)
	ob := newOutbox(t, pool, riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}})
	start(t, ob)
	ctx := within(t, time.Minute)
	for _, row := range []struct {
		order  string
		commit bool
	}{{"withdrawn", false}, {"paid", true}} {
		tx, err := pool.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if result, err := clickid.Convert(ctx, ob.In(tx), conversion(row.order)); err != nil || result.Verdict != clickid.VerdictQueued {
			t.Fatalf("Convert: %+v, %v", result, err)
		}
		if row.commit {
			err = tx.Commit(ctx)
		} else {
			err = tx.Rollback(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	await(t, platform, 1)
	if id := platform.Accepted()[0].ID; id != "paid" {
		t.Fatalf("order %s was sent", id)
	}
	if remaining, err := ob.Stop(ctx); remaining != 0 || err != nil {
		t.Fatalf("Stop: %d, %v", remaining, err)
	}
}

// TestOutbox_In_concurrent stores the same events in two open transactions, in
// opposite order. Neither waits for the other, with any outcome.
func TestOutbox_In_concurrent(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name           string
		first, second  bool // commits
		isolation      pgx.TxIsoLevel
		accepted, sent int
	}{
		{"both commit", true, true, pgx.ReadCommitted, 2, 2},
		{"the first commits", true, false, pgx.ReadCommitted, 2, 2},
		{"the second commits", false, true, pgx.ReadCommitted, 2, 2},
		{"none commits", false, false, pgx.ReadCommitted, 0, 0},
		{"both commit with a snapshot", true, true, pgx.RepeatableRead, 2, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			platform := clickidtest.NewServer(t)
			pool := sharedPool(t)
			ob := newOutbox(t, pool, riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}})
			ctx := within(t, time.Minute)
			begin := func() pgx.Tx {
				tx, err := pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: test.isolation})
				if err != nil {
					t.Fatal(err)
				}
				// A wait for a lock fails the test.
				if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '1s'"); err != nil {
					t.Fatal(err)
				}
				return tx
			}
			end := func(tx pgx.Tx, commit bool) {
				err := tx.Rollback
				if commit {
					err = tx.Commit
				}
				if err := err(ctx); err != nil {
					t.Fatal(err)
				}
			}
			store := func(tx pgx.Tx, id string) {
				if _, err := ob.In(tx).Send(ctx, conversion(id)); err != nil {
					t.Fatal(err)
				}
			}
			first, second := begin(), begin()
			store(first, "one")
			store(second, "two")
			store(first, "two")
			store(second, "one")
			end(first, test.first)
			end(second, test.second)
			start(t, ob)
			if test.accepted > 0 {
				await(t, platform, test.accepted)
			}
			eventually(t, "an empty queue", func(ctx context.Context) (bool, error) {
				stats, err := ob.Stats(ctx)
				return stats.Queued == 0 && stats.Delivered == test.accepted, err
			})
			received := 0
			for _, event := range platform.Accepted() {
				received += event.Received
			}
			if received != test.sent {
				t.Errorf("%d events were sent, want %d", received, test.sent)
			}
		})
	}
}

// TestOutbox_In_known repeats a delivered event in a transaction that stays open.
// The delivery of other events goes on.
func TestOutbox_In_known(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	pool := sharedPool(t)
	ob := newOutbox(t, pool, riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}})
	start(t, ob)
	send(t, ob, "A", 10)
	ctx := within(t, time.Minute)
	tx, err := pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	e := conversion("A-0")
	e.Value = clickid.Minor(1, "USD")
	report, err := ob.In(tx).Send(ctx, e)
	if err != nil {
		t.Fatal(err)
	}
	if r := report.Results[0]; r.Reason != "already known" || len(r.Warnings) != 1 {
		t.Errorf("the result of a known event is %+v", r)
	}
	send(t, ob, "B", 100)
	eventually(t, "every delivery noted", func(ctx context.Context) (bool, error) {
		stats, err := ob.Stats(ctx)
		return stats.Delivered == 110, err
	})
}

func TestOutbox_databaseSQL(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	db, err := sql.Open("pgx", testserver.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	ob, err := riveroutbox.New(riverdatabasesql.New(db), riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}})
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, time.Minute)
	if err := ob.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	start(t, ob)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	send(t, ob.In(tx), "A", 10)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	send(t, ob, "A", 12)
	await(t, platform, 12)
	erase(t, ob, platform)
}
