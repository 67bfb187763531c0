package river_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
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

// TestOutbox_In_concurrent stores an order in two transactions at the same
// time, such as those of a webhook and of the page after it.
func TestOutbox_In_concurrent(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	pool := sharedPool(t)
	ob := newOutbox(t, pool, riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}})
	start(t, ob)
	ctx := within(t, time.Minute)
	first, err := pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	send(t, ob.In(first), "A", 1)
	second := make(chan error, 1)
	go func() {
		tx, err := pool.Begin(ctx)
		if err == nil {
			// Waits until the first transaction ends.
			_, err = ob.In(tx).Send(ctx, conversion("A-0"))
		}
		if err == nil {
			err = tx.Commit(ctx)
		}
		second <- err
	}()
	if err := first.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	send(t, ob, "A", 2) // for the third time
	await(t, platform, 2)
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
