package river_test

import (
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// TestOutbox_Drain_states checks which events a drain takes over: those whose
// time has come and those of a process that was killed long ago, but not those
// that wait or that another process delivers.
func TestOutbox_Drain_states(t *testing.T) {
	t.Parallel()
	pool, platform := sharedPool(t), clickidtest.NewServer(t)
	ob := newOutbox(t, pool, riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}})
	for id, set := range map[string]string{
		"new":     "state = state",
		"retry":   "state = 'retryable', scheduled_at = now() - interval '1 second'",
		"snoozed": "state = 'scheduled', scheduled_at = now() - interval '1 second'",
		"killed":  "state = 'running', attempted_at = now() - interval '3 minutes', attempted_by = '{killed}'",
		"other":   "state = 'running', attempted_at = now(), attempted_by = '{other}'",
		"later":   "state = 'scheduled', scheduled_at = now() + interval '1 hour'",
	} {
		send(t, ob, id, 1)
		_, err := pool.Exec(t.Context(), "UPDATE clickid.river_job SET "+set+" WHERE id = (SELECT max(id) FROM clickid.river_job)")
		require.NoError(t, err)
	}
	drained, err := ob.Drain(within(t, time.Minute))
	require.NoError(t, err)
	require.Equal(t, outbox.Drained{Settled: 4, Remaining: 2}, drained)
	var accepted []string
	for _, e := range platform.Accepted() {
		accepted = append(accepted, e.ID)
	}
	require.ElementsMatch(t, []string{"new-0", "retry-0", "snoozed-0", "killed-0"}, accepted)
}

// TestOutbox_Drain_smallPool drains with the few connections of a function.
func TestOutbox_Drain_smallPool(t *testing.T) {
	t.Parallel()
	cfg, err := pgxpool.ParseConfig(testserver.Postgres(t))
	require.NoError(t, err)
	cfg.MaxConns = 2
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	platform := clickidtest.NewServer(t)
	ob := newOutbox(t, pool, riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}})
	send(t, ob, "e", 200)
	drained, err := ob.Drain(within(t, time.Minute))
	require.NoError(t, err)
	require.Equal(t, outbox.Drained{Settled: 200}, drained)
}
