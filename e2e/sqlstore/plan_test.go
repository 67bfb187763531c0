package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	sqlstore "github.com/clickid/clickid/store_sql"
	"github.com/stretchr/testify/require"
)

// analyze updates the statistics of a table.
var analyze = map[sqlstore.Database]string{sqlstore.DatabasePostgreSQL: "ANALYZE %s", sqlstore.DatabaseMySQL: "ANALYZE TABLE %s", sqlstore.DatabaseSQLite: "ANALYZE %s"}

// TestStore_indexes explains each statement of the store. It must use an index
// and must not sort.
func TestStore_indexes(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		ctx := context.Background()
		s, db := d.store(t)
		now := time.Now()
		s.fill(t, 8000, now.Add(30*24*time.Hour))
		s.fill(t, 2000, now)
		for _, table := range []string{"clickid_clicks", "clickid_links"} {
			_, err := db.ExecContext(ctx, fmt.Sprintf(analyze[d.database], table))
			require.NoError(t, err)
		}

		c, key := newClick("01ARZ3NDEKTSV4RRFFQ69G5FAV"), clickid.OrderKey("42")
		plain := s.Store
		token, err := plain.Save(ctx, c)
		require.NoError(t, err)
		require.NoError(t, plain.Link(ctx, key, token, c.Expires))
		plans := &explainedDB{DB: db, t: t, on: d}
		s.Store = d.through(t, plans, s.prefix)
		for _, row := range []struct {
			name  string
			run   func() error
			index []string // of each statement in MySQL; the last also of those that follow
		}{
			{"Load", func() error { _, err := s.Load(ctx, token); return err }, []string{"PRIMARY"}},
			{"Linked", func() error { _, err := s.Linked(ctx, key); return err }, []string{"PRIMARY"}},
			{"Unlink", func() error { return s.Unlink(ctx, key) }, []string{"PRIMARY"}},
			{"Delete", func() error {
				// MariaDB does not plan a search for a missing row.
				require.NoError(t, plain.Link(ctx, key, token, c.Expires))
				return s.Delete(ctx, token)
			}, []string{"PRIMARY", "token_hash"}},
			{"Purge of clicks", func() error { _, err := s.Purge(ctx, 100); return err }, []string{"expires_at"}},
			{"Purge of links", func() error {
				_, err := plain.Purge(ctx, 1900)
				require.NoError(t, err)
				_, err = s.Purge(ctx, 100)
				return err
			}, []string{"expires_at", "expires_at", "expires_at"}},
		} {
			plans.plans = nil
			require.NoError(t, row.run(), row.name)
			require.GreaterOrEqual(t, len(plans.plans), len(row.index), row.name)
			for i, plan := range plans.plans {
				requireIndexed(t, d, plan, row.name, row.index[min(i, len(row.index)-1)])
			}
		}
		require.Equal(t, 8000, s.count(t, "clicks"))
		require.Equal(t, 8000+1900, s.count(t, "links"))
	})
}

// explainedDB explains each statement before it runs.
type explainedDB struct {
	sqlstore.DB
	t     *testing.T
	on    testDatabase
	plans [][]string
}

func (d *explainedDB) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	d.plans = append(d.plans, explain(d.t, d.on, d.DB.(*sql.DB), query, args))
	return d.DB.ExecContext(ctx, query, args...)
}

func (d *explainedDB) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	d.plans = append(d.plans, explain(d.t, d.on, d.DB.(*sql.DB), query, args))
	return d.DB.QueryContext(ctx, query, args...)
}

// explain returns the lines of a plan with columns separated by spaces.
func explain(t *testing.T, d testDatabase, db *sql.DB, query string, args []any) []string {
	t.Helper()
	prefix := "EXPLAIN "
	if d.database == sqlstore.DatabaseSQLite {
		prefix = "EXPLAIN QUERY PLAN "
	}
	rows, err := db.Query(prefix+query, args...)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	columns, err := rows.Columns()
	require.NoError(t, err)
	var plan []string
	for rows.Next() {
		values, dest := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		require.NoError(t, rows.Scan(dest...))
		var line []string
		for i, value := range values {
			line = append(line, columns[i]+"="+value.String)
		}
		plan = append(plan, strings.Join(line, " "))
	}
	require.NoError(t, rows.Err())
	require.NotEmpty(t, plan)
	return plan
}

func requireIndexed(t *testing.T, d testDatabase, plan []string, name, mysqlIndex string) {
	t.Helper()
	all := name + ":\n" + strings.Join(plan, "\n")
	switch d.database {
	case sqlstore.DatabasePostgreSQL:
		require.Contains(t, all, "Index", all)
		require.NotContains(t, all, "Seq Scan", all)
		require.NotContains(t, all, "Sort", all)
	case sqlstore.DatabaseMySQL:
		require.Contains(t, all, " key="+mysqlIndex+" ", all)
		require.NotContains(t, all, "type=ALL", all)
		require.NotContains(t, all, "type=index ", all)
		require.NotContains(t, all, "filesort", all)
	case sqlstore.DatabaseSQLite:
		require.Contains(t, all, "SEARCH clickid_", all)
		require.NotContains(t, all, "SCAN", all)
		require.NotContains(t, all, "TEMP B-TREE", all)
	}
}
