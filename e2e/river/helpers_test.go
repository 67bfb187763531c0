package river_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// pgxOutbox is the outbox with a pgx pool.
type pgxOutbox = riveroutbox.Outbox[pgx.Tx]

// within returns a context that limits the waits of a test.
func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func newPool(t testing.TB, database string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(context.Background(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// sharedPool returns a pool of a new database on the shared server.
func sharedPool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return newPool(t, testserver.Postgres(t))
}

func newClient(t testing.TB, platform *clickidtest.Server) *capi.Client {
	t.Helper()
	client, err := crash.NewClient(platform.URL)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// newOutbox returns a migrated outbox. Its waits are short unless cfg sets
// others.
func newOutbox(t testing.TB, pool *pgxpool.Pool, cfg riveroutbox.Config) *pgxOutbox {
	t.Helper()
	if cfg.Delivery.MinSnooze == 0 {
		cfg.Delivery.MinSnooze = 50 * time.Millisecond
	}
	if cfg.Delivery.MaxSnooze == 0 {
		cfg.Delivery.MaxSnooze = 2 * time.Second
	}
	ob, err := riveroutbox.New(riverpgxv5.New(pool), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := ob.Migrate(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			logJobs(t, pool)
		}
	})
	return ob
}

// logJobs logs the jobs of a failed test by state, with the ages of their latest
// attempts and the times until they are due.
func logJobs(t testing.TB, pool *pgxpool.Pool) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	rows, err := pool.Query(ctx, `SELECT format('%s %s jobs, attempted %s to %s ago, due in %s to %s', count(*), state,
			now() - max(attempted_at), now() - min(attempted_at), min(scheduled_at) - now(), max(scheduled_at) - now())
		FROM clickid.river_job GROUP BY state`)
	if err != nil {
		t.Logf("reading the jobs: %v", err)
		return
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	t.Logf("%s %v", strings.Join(lines, "\n"), err)
}

// start starts an outbox and stops it when the test ends.
func start(t testing.TB, ob outbox.Outbox) {
	t.Helper()
	if err := ob.Start(context.Background()); err != nil { // the outbox ends with this context
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := ob.Stop(ctx); err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
}

// send sends a number of orders with IDs that begin with prefix. It fails
// unless all are queued.
func send(t testing.TB, s clickid.Sender, prefix string, orders int) {
	t.Helper()
	events := make([]clickid.Event, orders)
	for i := range events {
		events[i] = crash.Conversion(fmt.Sprintf("%s-%d", prefix, i))
	}
	if report, err := s.Send(within(t, time.Minute), events...); err != nil || !report.Accepted() {
		t.Fatalf("Send: %+v, %v", report, err)
	}
}

// await waits until the platform has accepted a number of events. It fails if
// the platform has more, or accepts none for three minutes,
// longer than an event waits that a busy database left behind.
func await(t testing.TB, platform *clickidtest.Server, events int) {
	t.Helper()
	for {
		before := platform.Count()
		accepted, err := platform.Wait(within(t, 3*time.Minute), events)
		if err == nil && len(accepted) == events {
			return
		}
		if got := platform.Count(); err == nil || got == before {
			t.Fatalf("the platform has %d events, want %d: %v", got, events, err)
		}
	}
}

// eventually waits until a condition in the database is true.
func eventually(t testing.TB, what string, condition func(ctx context.Context) (bool, error)) {
	t.Helper()
	ctx := within(t, 90*time.Second)
	for {
		ok, err := condition(ctx)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if ok {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not in time: %s", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// count returns the result of a counting query.
func count(ctx context.Context, pool *pgxpool.Pool, query string, args ...any) (n int, err error) {
	err = pool.QueryRow(ctx, query, args...).Scan(&n)
	return n, err
}
