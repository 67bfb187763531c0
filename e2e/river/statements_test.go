package river_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"
)

// countStatements is a tracer of pgx.
type countStatements struct{ n atomic.Int64 }

func (c *countStatements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

func (c *countStatements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestOutbox_statements counts the statements that an event costs the order and
// its delivery.
func TestOutbox_statements(t *testing.T) {
	t.Parallel()
	cfg := sharedPool(t).Config()
	count := &countStatements{}
	cfg.ConnConfig.Tracer = count
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	platform := clickidtest.NewServer(t)
	ob := newOutbox(t, pool, riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}})

	send(t, ob, "first", 1) // notifies
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		before := count.n.Load()
		_, err := clickid.Convert(t.Context(), ob.In(tx), crash.Conversion("second"))
		require.Equal(t, int64(1), count.n.Load()-before, "the insertion, which notifies")
		return err
	}))

	const events = 1000
	before := count.n.Load()
	send(t, ob, "more", events)
	require.Equal(t, int64(3), count.n.Load()-before, "a transaction with one insertion")
	before = count.n.Load()
	drained, err := ob.Drain(t.Context())
	require.NoError(t, err)
	require.Zero(t, drained.Remaining)
	require.Less(t, count.n.Load()-before, int64(events/2), "the delivery of 1,002 events")
}

// TestOutbox_Stats_estimated has more events than are counted.
func TestOutbox_Stats_estimated(t *testing.T) {
	t.Parallel()
	pool := sharedPool(t)
	ob, err := riveroutbox.New(riverpgxv5.New(pool), riveroutbox.Config{Schema: "stats", Delivery: outbox.Config{Destination: outbox.Administration("elsewhere")}})
	require.NoError(t, err)
	require.NoError(t, ob.Migrate(t.Context()))
	const queued = 30_000
	var records []outbox.Record
	for i := range queued {
		records = append(records, outbox.Record{Identity: fmt.Sprintf("%064x", i), Payload: []byte(`{"v":1,"event":{}}`), QueuedAt: time.Now()})
	}
	_, err = ob.Enqueue(t.Context(), records[:2000])
	require.NoError(t, err)
	stats, err := ob.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2000, stats.Queued)
	require.False(t, stats.Estimated)
	_, err = ob.Enqueue(t.Context(), records[2000:])
	require.NoError(t, err)
	stats, err = ob.Stats(t.Context())
	require.NoError(t, err)
	require.InEpsilon(t, queued, stats.Queued, 0.1)
	require.True(t, stats.Estimated)
}

// TestOutbox_sameJobs compares the jobs that the outbox inserts itself with those
// that River inserts, which it does where the application has a hook.
func TestOutbox_sameJobs(t *testing.T) {
	t.Parallel()
	pool, platform := sharedPool(t), clickidtest.NewServer(t)
	event := crash.Conversion("order-1")
	event.Time = time.Now()
	job := func(schema string, hooks ...rivertype.Hook) string {
		ob := newOutbox(t, pool, riveroutbox.Config{Schema: schema, Hooks: hooks, Delivery: outbox.Config{Destination: newClient(t, platform)}})
		_, err := ob.Send(t.Context(), event)
		require.NoError(t, err)
		var text string
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT jsonb_pretty((to_jsonb(job) - ARRAY['id', 'created_at', 'scheduled_at'])
			#- '{metadata,clickid,queued_at}' || jsonb_build_object('due', scheduled_at <= clock_timestamp()))
			FROM `+schema+`.river_job AS job`).Scan(&text))
		return text
	}
	ours := job("ours")
	require.Equal(t, job("rivers", &hook{}), ours)
	require.Contains(t, ours, `"metadata"`)
}
