package outbox_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid/e2e/internal/plans"
	"github.com/clickid/clickid/outbox"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
)

// TestTable_plans counts the pages that PostgreSQL reads while many events wait, in
// tables with and without statistics.
func TestTable_plans(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, outbox.DatabasePostgreSQL)
	cfg, err := pgx.ParseConfig(d.dsn)
	require.NoError(t, err)
	explained := &plans.Explainer{}
	cfg.Tracer = explained
	db := stdlib.OpenDB(*cfg)
	t.Cleanup(func() { _ = db.Close() })
	client := newClient(t, "http://127.0.0.1:1")
	queue, err := sqliteoutbox.Open(filepath.Join(t.TempDir(), "outbox.db"), sqliteoutbox.Config{Delivery: outbox.Config{Destination: client}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = queue.Close() })
	require.NoError(t, queue.Migrate(t.Context()))
	table := d.tableOf(t, db, client)
	ob, err := outbox.NewTableOutbox(queue, outbox.RelayConfig{DB: db, Table: table})
	require.NoError(t, err)
	write(t, ob, newEvent("first"))
	for _, statement := range []string{
		"ALTER TABLE clickid_outbox SET (autovacuum_enabled = off)",
		"ALTER TABLE clickid_outbox_moved SET (autovacuum_enabled = off)",
		`INSERT INTO clickid_outbox (destination, identity, payload, attributes, erase_keys, queued_at)
			SELECT destination, encode(sha256(i::text::bytea), 'hex'), payload, attributes, encode(sha256(i::text::bytea), 'hex'), queued_at
			FROM clickid_outbox, generate_series(2, 100000) AS i`,
		`INSERT INTO clickid_outbox_moved (destination, identity, payload, attributes, erase_keys, queued_at, moved_at)
			SELECT destination, identity, payload, attributes, erase_keys, queued_at, queued_at FROM clickid_outbox`,
	} {
		_, err = db.ExecContext(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	var size int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT pg_relation_size('clickid_outbox') / current_setting('block_size')::int").Scan(&size))

	q := newQueue()
	for _, statistics := range []string{"SELECT 1", "ANALYZE"} {
		_, err = db.ExecContext(t.Context(), statistics)
		require.NoError(t, err)
		for name, do := range map[string]func(){
			"Stats": func() { count(t, table, db) },
			"Find": func() {
				entries, err := ob.Find(t.Context(), "first")
				require.NoError(t, err)
				require.Len(t, entries, 2, "one in each table")
			},
			"relay": func() {
				ctx, cancel := context.WithCancel(t.Context())
				q.fail = func(context.Context, []outbox.Record) error {
					cancel() // after a batch
					return ctx.Err()
				}
				relay, err := outbox.NewRelay(outbox.RelayConfig{DB: db, Table: table, Queue: q})
				require.NoError(t, err)
				require.ErrorIs(t, relay.Run(ctx), context.Canceled)
			},
		} {
			found := explained.Watch(do)
			require.NotEmpty(t, found, name)
			for _, plan := range found {
				require.Contains(t, plan, "Buffers:", plan)
				// The sample of Stats looks up 1,000 rows in the primary key.
				require.Less(t, plans.Pages(plan), size/2, "%s reads half of the table with\n%.200s", name, plan)
			}
		}
	}
}

// TestTable_find_mysql looks at the plan of the query of Find.
func TestTable_find_mysql(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, outbox.DatabaseMySQL)
	db := d.open(t)
	write(t, d.table(t, db).In(db), newEvents("order", 500)...)
	rows, err := db.QueryContext(t.Context(), "EXPLAIN SELECT id FROM clickid_outbox WHERE substr(erase_keys, 1, 16) = ? AND erase_keys LIKE ? AND destination = ? ORDER BY id",
		strings.Repeat("a", 16), strings.Repeat("a", 64)+"%", "destination")
	require.NoError(t, err)
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	require.NoError(t, err)
	values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	require.True(t, rows.Next())
	require.NoError(t, rows.Scan(into...))
	require.Contains(t, values, sql.NullString{String: "clickid_outbox_event", Valid: true}, columns)
}
