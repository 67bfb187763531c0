package river_test

import (
	"context"
	"testing"
	"time"

	"github.com/clickid/clickid/internal/interleavetest"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// gateTracer makes the statements on the jobs pass a gate.
type gateTracer struct{ gate *interleavetest.Gate }

// TraceQueryStart implements [pgx.QueryTracer].
func (g gateTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if interleavetest.IsRiverStep(data.SQL) {
		g.gate.Pass(data.SQL)
	}
	return ctx
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (gateTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestOutbox_interleaved(t *testing.T) {
	t.Parallel()
	interleavetest.Run(t, newInterleaved(t, sharedPool(t)))
}

// TestOutbox_interleaved_keyless delivers jobs that were stored without a unique key,
// and forgets skips.
func TestOutbox_interleaved_keyless(t *testing.T) {
	t.Parallel()
	plain := sharedPool(t)
	backend := newInterleaved(t, plain)
	open := backend.Open
	backend.Open = func(t testing.TB, cfg outbox.Config, gate *interleavetest.Gate) outbox.Drainer {
		cfg.ForgetSkips = true
		return open(t, cfg, gate)
	}
	backend.Deliveries = true
	backend.Queued = func(t testing.TB) {
		execute(t, plain, "UPDATE clickid.river_job SET unique_key = NULL, unique_states = NULL WHERE state = 'available'")
	}
	interleavetest.Run(t, backend)
}

// newInterleaved returns outboxes on the database of a pool.
func newInterleaved(t testing.TB, plain *pgxpool.Pool) interleavetest.Backend {
	return interleavetest.Backend{
		Open: func(t testing.TB, cfg outbox.Config, gate *interleavetest.Gate) outbox.Drainer {
			pool := plain
			if gate != nil {
				poolConfig := plain.Config()
				poolConfig.ConnConfig.Tracer = gateTracer{gate}
				var err error
				if pool, err = pgxpool.NewWithConfig(context.Background(), poolConfig); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(pool.Close)
			}
			return newOutbox(t, pool, riveroutbox.Config{Delivery: cfg, PollInterval: 20 * time.Millisecond})
		},
		Stored: func(t testing.TB) string {
			var all string
			err := plain.QueryRow(t.Context(), "SELECT coalesce(string_agg(to_jsonb(j)::text, E'\n'), '') FROM clickid.river_job j").Scan(&all)
			if err != nil {
				t.Fatal(err)
			}
			return all
		},
		Expire: func(t testing.TB) {
			execute(t, plain, "UPDATE clickid.river_job SET attempted_at = now() - interval '1 hour' WHERE state = 'running'")
		},
	}
}

func execute(t testing.TB, pool *pgxpool.Pool, statement string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
