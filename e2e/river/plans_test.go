package river_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/e2e/internal/plans"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"
)

// TestOutbox_plans looks at the plans of what runs while many events wait, in a
// table with and without statistics.
func TestOutbox_plans(t *testing.T) {
	t.Parallel()
	cfg := sharedPool(t).Config()
	explained := &plans.Explainer{Inserts: true}
	cfg.ConnConfig.Tracer = explained
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	ob, err := riveroutbox.New(riverpgxv5.New(pool), riveroutbox.Config{Schema: "plans", Delivery: outbox.Config{Destination: outbox.Administration("elsewhere")}})
	require.NoError(t, err)
	require.NoError(t, ob.Migrate(t.Context()))
	_, err = pool.Exec(t.Context(), "ALTER TABLE plans.river_job SET (autovacuum_enabled = off)")
	require.NoError(t, err)
	_, err = ob.Enqueue(t.Context(), []outbox.Record{{Identity: strings.Repeat("0", 64), Payload: []byte(strings.Repeat("x", 400)), QueuedAt: time.Now()}})
	require.NoError(t, err)
	const queued = 50_000
	_, err = pool.Exec(t.Context(), `INSERT INTO plans.river_job (args, kind, max_attempts, metadata, queue, unique_key, unique_states)
		SELECT args, kind, max_attempts, jsonb_set(metadata, '{clickid,keys}', jsonb_build_array(md5(i::text))), queue, sha256(i::text::bytea), unique_states
		FROM plans.river_job, generate_series(2, $1::int) AS i`, queued)
	require.NoError(t, err)
	var size int
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT pg_relation_size('plans.river_job') / current_setting('block_size')::int").Scan(&size))

	for _, statistics := range []string{"SELECT 1", "ANALYZE plans.river_job"} {
		_, err = pool.Exec(t.Context(), statistics)
		require.NoError(t, err)
		for name, do := range map[string]func() error{
			"Enqueue": func() error {
				_, err := ob.Enqueue(t.Context(), []outbox.Record{{Identity: fmt.Sprintf("%064x", time.Now().UnixNano()), QueuedAt: time.Now()}})
				return err
			},
			"Enqueue of several": func() error {
				var records []outbox.Record
				for i := range 10 {
					records = append(records, outbox.Record{Identity: fmt.Sprintf("%062x%02x", time.Now().UnixNano(), i), QueuedAt: time.Now()})
				}
				_, err := ob.Enqueue(t.Context(), records)
				return err
			},
			"Stats": func() error {
				_, err := ob.Stats(t.Context())
				return err
			},
			"Find": func() error {
				_, err := ob.Find(t.Context(), "order")
				return err
			},
			"Erase": func() error {
				_, err := ob.Erase(t.Context(), clickid.OrderKey("order"))
				return err
			},
		} {
			found := explained.Watch(func() { require.NoError(t, do(), name) })
			require.NotEmpty(t, found, name)
			for _, plan := range found {
				require.Contains(t, plan, "Buffers:", plan)
				require.NotContains(t, plan, "Seq Scan on river_job", plan)
				require.Less(t, plans.Pages(plan), size, fmt.Sprintf("%s reads as much as the table has:\n%s", name, plan))
			}
		}
	}
}
