package river_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/jackc/pgx/v5"
)

// TestOutbox_Replay_damaged replays all dead letters but the damaged one.
func TestOutbox_Replay_damaged(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	lift := platform.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"A-0", "A-1", "A-2"}})
	pool := sharedPool(t)
	ob := newOutbox(t, pool, riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}})
	start(t, ob)
	send(t, ob, "A", 3)
	letters := deadLetters(t, ob, 3)
	lift()
	table := pgx.Identifier{riveroutbox.DefaultSchema, "river_job"}.Sanitize()
	_, err := pool.Exec(t.Context(), "UPDATE "+table+` SET metadata = metadata || '{"clickid": 7}' WHERE id = $1::bigint`, letters[1].ID)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := ob.Replay(t.Context()); n != 2 || err != nil {
		t.Fatalf("Replay returns %d, %v", n, err)
	}
	await(t, platform, 2)
	deadLetters(t, ob, 1)
	if n, err := ob.Replay(t.Context(), letters[1].ID); n != 0 || err == nil {
		t.Errorf("Replay of the damaged one returns %d, %v", n, err)
	}
}

// deadLetters waits until there are n dead letters and returns them.
func deadLetters(t *testing.T, ob *pgxOutbox, n int) (letters []outbox.DeadLetter) {
	t.Helper()
	eventually(t, strconv.Itoa(n)+" dead letters", func(ctx context.Context) (bool, error) {
		var err error
		letters, err = ob.DeadLetters(ctx, outbox.Page{})
		return len(letters) == n, err
	})
	return letters
}

// TestReplay_openTransaction replays a dead letter while an open transaction
// sends its event again and has the event's lock, as for a new event that shares
// it. Later Sends know the replayed event, and do not store a new one, whose
// idempotency key the platform would have refused before.
func TestReplay_openTransaction(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	lift := platform.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"A-0"}})
	pool := sharedPool(t)
	cfg := riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}}
	stopped := newOutbox(t, pool, cfg)
	ctx := within(t, time.Minute)
	var class, bucket int32
	if err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		send(t, stopped.In(tx), "A", 1)
		return tx.QueryRow(ctx, `SELECT classid::bigint::bit(32)::int, objid::bigint::bit(32)::int
			FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()`).Scan(&class, &bucket)
	}); err != nil {
		t.Fatal(err)
	}
	if err := stopped.Start(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a dead letter", func(ctx context.Context) (bool, error) {
		stats, err := stopped.Stats(ctx)
		return stats.DeadLetters == 1, err
	})
	if _, err := stopped.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	lift()

	tx, err := pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(ctx) }() // without effect after the commit
	send(t, stopped.In(tx), "A", 1)
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1, $2)", class, bucket); err != nil {
		t.Fatal(err)
	}
	replayed := make(chan error, 1)
	go func() {
		_, err := stopped.Replay(ctx)
		replayed <- err
	}()
	eventually(t, "the replay waits", func(ctx context.Context) (waits bool, err error) {
		if len(replayed) > 0 {
			t.Fatalf("the replay does not wait: %v", <-replayed)
		}
		err = pool.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))").Scan(&waits)
		return waits, err
	})
	send(t, stopped, "A", 1)
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-replayed; err != nil {
		t.Fatal(err)
	}
	send(t, stopped, "A", 1)
	if stats, err := stopped.Stats(ctx); stats.Queued != 1 || err != nil {
		t.Fatalf("Stats: %+v, %v", stats, err)
	}
	start(t, newOutbox(t, pool, cfg))
	await(t, platform, 1)
}
