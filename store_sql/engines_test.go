package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/testserver"
)

// engine is a database that the tests run on.
type engine struct {
	database Database
	// create makes an empty database and returns what driver opens.
	create func(t *testing.T) (dsn string)
	driver string
}

// onEachEngine runs test on the shared servers and on SQLite.
func onEachEngine(t *testing.T, test func(t *testing.T, e engine)) {
	for _, e := range []engine{
		{DatabasePostgreSQL, func(t *testing.T) string { return testserver.Postgres(t) }, "pgx"},
		{DatabaseMySQL, func(t *testing.T) string { return testserver.MySQL(t) }, "mysql"},
		{DatabaseSQLite, func(t *testing.T) string { return filepath.Join(t.TempDir(), "clicks.db") }, "sqlite"},
	} {
		t.Run(string(e.database), func(t *testing.T) {
			t.Parallel()
			test(t, e)
		})
	}
}

// open returns a pool that is closed when the test ends. It is small, since
// others use the servers too.
func (e engine) open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	open := sql.Open
	if e.database == DatabaseSQLite {
		open = OpenSQLite
	}
	db, err := open(e.driver, dsn)
	require.NoError(t, err)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// with adds settings to what the driver opens.
func (e engine) with(dsn, settings string) string {
	if e.database == DatabaseSQLite {
		dsn = "file:" + dsn
	}
	separator := "?"
	if strings.Contains(dsn, "?") {
		separator = "&"
	}
	return dsn + separator + settings
}

// store returns a store in a new database, with its tables.
func (e engine) store(t *testing.T) (*Store, *sql.DB) {
	t.Helper()
	db := e.open(t, e.create(t))
	return e.migrated(t, db, DefaultPrefix), db
}

func (e engine) migrated(t *testing.T, db *sql.DB, prefix string) *Store {
	t.Helper()
	s, err := New(Config{DB: db, Database: e.database, Prefix: prefix})
	require.NoError(t, err)
	require.NoError(t, s.Migrate(context.Background(), db))
	return s
}

// newClick returns a click that was captured now.
func newClick(id string) clickid.Click {
	at := time.Unix(time.Now().Unix(), 0).UTC()
	return clickid.Click{ID: id, Param: "clkid", At: at, Expires: at.Add(clickid.DefaultTTL)}
}

// fill inserts clicks and as many links, one a second, the last of which
// expires at the given time.
func (s *Store) fill(t *testing.T, n int, last time.Time) {
	t.Helper()
	const chunk = 500
	for from := 0; from < n; from += chunk {
		var clicks, links []any
		for i := from; i < min(n, from+chunk); i++ {
			hash, expires := filledKey(last, i).Hash(), last.Add(time.Duration(i-n+1)*time.Second).Unix()
			clicks = append(clicks, hash[:], "01ARZ3NDEKTSV4RRFFQ69G5FAV", "clkid", expires-86400, expires)
			links = append(links, hash[:], hash[:], hash[:], expires)
		}
		for _, insert := range []struct {
			query   string
			columns int
			args    []any
		}{{s.sql.save, 5, clicks}, {s.sql.link, 4, links}} {
			_, err := s.db.ExecContext(context.Background(), manyRows(insert.query, len(insert.args)/insert.columns, s.database), insert.args...)
			require.NoError(t, err)
		}
	}
}

func filledKey(last time.Time, i int) clickid.Key {
	return clickid.OrderKey(fmt.Sprint(last.Unix(), " ", i))
}

// manyRows makes an INSERT of one row insert n.
func manyRows(query string, n int, d Database) string {
	start := strings.Index(query, "VALUES (") + len("VALUES ")
	end := start + 1
	for depth := 1; depth > 0; end++ { // to the closing parenthesis
		switch query[end] {
		case '(':
			depth++
		case ')':
			depth--
		}
	}
	row := query[start:end]
	if d == DatabasePostgreSQL {
		for i := 5; i > 0; i-- {
			row = strings.ReplaceAll(row, fmt.Sprintf("$%d", i), "?")
		}
	}
	query = query[:start] + strings.Repeat(row+", ", n-1) + row + query[end:]
	if d == DatabasePostgreSQL {
		query = numbered(query)
	}
	return query
}

// count returns the rows of one of the store's tables.
func (s *Store) count(t *testing.T, table string) (n int) {
	t.Helper()
	found, err := scanRow(context.Background(), s.db, "SELECT COUNT(*) FROM "+s.prefix+table, nil, &n)
	require.NoError(t, err)
	require.True(t, found)
	return n
}

// within fails the test when f takes longer.
func within(t *testing.T, limit time.Duration, f func()) {
	t.Helper()
	start := time.Now()
	f()
	require.Less(t, time.Since(start), limit)
}
