package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// analyze lets the planner know what is in the tables.
var analyze = map[Database]string{DatabasePostgreSQL: "ANALYZE %s", DatabaseMySQL: "ANALYZE TABLE %s", DatabaseSQLite: "ANALYZE %s"}

// Every statement finds its rows through an index, however large the tables
// are, and reads no more rows than it needs.
func TestEveryStatementUsesAnIndex(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		ctx := context.Background()
		s, db := e.store(t)
		now := time.Now()
		s.fill(t, 8000, now.Add(30*24*time.Hour))
		s.fill(t, 2000, now)
		for _, table := range []string{"clickid_clicks", "clickid_links"} {
			_, err := db.ExecContext(ctx, fmt.Sprintf(analyze[e.database], table))
			require.NoError(t, err)
		}

		there := filledKey(now, 0).Hash() // MariaDB plans nothing for a row that is not
		hash, seconds := there[:], now.Unix()
		for _, row := range []struct {
			name, query string
			args        []any
			index       string // in MySQL, which names them within the table
		}{
			{"load", s.sql.load, []any{hash}, "PRIMARY"},
			{"delete", s.sql.remove, []any{hash}, "PRIMARY"},
			{"linked", s.sql.linked, []any{hash}, "PRIMARY"},
			{"unlink", s.sql.unlink, []any{hash}, "PRIMARY"},
			{"unlink token", s.sql.unlinkFrom, []any{hash}, "token_hash"},
			{"first expired click", s.sql.expiredClicks.first, []any{0, seconds}, "expires_at"},
			{"purge clicks", s.sql.expiredClicks.remove, []any{0, seconds, 100}, "expires_at"},
			{"first expired link", s.sql.expiredLinks.first, []any{0, seconds}, "expires_at"},
			{"purge links", s.sql.expiredLinks.remove, []any{0, seconds, 100}, "expires_at"},
		} {
			plan := explain(t, e, db, row.query, row.args)
			requireIndexed(t, e, plan, row.name, row.index)
		}
	})
}

// explain returns the plan's lines, columns divided by spaces.
func explain(t *testing.T, e engine, db *sql.DB, query string, args []any) []string {
	t.Helper()
	prefix := "EXPLAIN "
	if e.database == DatabaseSQLite {
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

func requireIndexed(t *testing.T, e engine, plan []string, name, mysqlIndex string) {
	t.Helper()
	all := name + ":\n" + strings.Join(plan, "\n")
	switch e.database {
	case DatabasePostgreSQL:
		require.Contains(t, all, "Index", all)
		require.NotContains(t, all, "Seq Scan", all)
		require.NotContains(t, all, "Sort", all)
	case DatabaseMySQL:
		require.Contains(t, all, " key="+mysqlIndex+" ", all)
		require.NotContains(t, all, "type=ALL", all)
		require.NotContains(t, all, "type=index ", all)
		require.NotContains(t, all, "filesort", all)
	case DatabaseSQLite:
		require.Contains(t, all, "SEARCH clickid_", all)
		require.NotContains(t, all, "SCAN", all)
		require.NotContains(t, all, "TEMP B-TREE", all)
	}
}
