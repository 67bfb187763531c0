package asynq_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	asynqoutbox "github.com/clickid/clickid/outbox_asynq"
	"github.com/redis/go-redis/v9"
)

// TestTable_redisForgets empties the Redis server while events that the relay
// has moved wait for the platform.
func TestTable_redisForgets(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	server, platform := testserver.StartRedis(t), clickidtest.NewServer(t)
	lift := platform.Always(clickidtest.Fault{Status: 503})
	connection, err := connect(server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	ob := openTable(ctx, t, connection, platform, func(*asynqoutbox.Config) {})
	const n = 500
	sendAll(ctx, t, ob, n)
	ob.awaitMoved(ctx)
	if err := connection.FlushAll(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	entries, err := ob.Find(ctx, crash.Conversion(fmt.Sprintf("R-%d", n-1)).ID)
	if err != nil || len(entries) != 1 || entries[0].State != outbox.StateQueued {
		t.Errorf("a forgotten event is %+v, %v", entries, err)
	}
	await(ctx, t, "the relay enqueues again", func() bool { return ob.requeued.Load() > 0 })
	lift()
	if _, err := platform.Wait(ctx, n); err != nil {
		t.Fatalf("%d of %d events are accepted", platform.Count(), n)
	}
	await(ctx, t, "the outcomes are known", func() bool {
		var kept int
		err := ob.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM clickid_outbox_moved").Scan(&kept)
		return err == nil && kept == 0
	})
}

// relayed is an outbox table with a relay that moves its events to asynq.
type relayed struct {
	*outbox.TableOutbox
	t        *testing.T
	table    *outbox.Table
	db       *sql.DB
	requeued atomic.Int32 // events that the relay has enqueued again
}

// openTable starts the relay of a new table.
func openTable(ctx context.Context, t *testing.T, connection *redis.Client, platform *clickidtest.Server, edit func(*asynqoutbox.Config)) *relayed {
	t.Helper()
	r := &relayed{t: t}
	queue := openOutboxOn(t, connection, platform, func(cfg *asynqoutbox.Config) {
		cfg.Workers = 10
		cfg.Delivery.Hook = func(_ context.Context, o outbox.Observation) {
			if o.Kind == outbox.KindRequeued {
				r.requeued.Add(1)
			}
		}
		edit(cfg)
	})
	db, err := sql.Open("pgx", testserver.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	table, err := outbox.NewTable(outbox.TableConfig{Database: outbox.DatabasePostgreSQL, Destination: queue.Delivery().Destination()})
	if err != nil {
		t.Fatal(err)
	}
	ob, err := outbox.NewTableOutbox(queue, outbox.RelayConfig{DB: db, Table: table, ConfirmAfter: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := ob.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	if err := ob.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, _ = ob.Stop(stop)
	})
	r.TableOutbox, r.table, r.db = ob, table, db
	return r
}

// awaitMoved waits until the relay has moved all events.
func (r *relayed) awaitMoved(ctx context.Context) {
	r.t.Helper()
	await(ctx, r.t, "the relay moves the events", func() bool {
		stats, err := r.table.Stats(ctx, r.db)
		return err == nil && stats.Queued == 0
	})
}

// await waits until a condition is true or ctx ends.
func await(ctx context.Context, t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatal("not in time: " + what)
		case <-tick.C:
		}
	}
}
