// Package sqlstore tests the store on each database that it supports, with the
// drivers that it recommends.
package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
	"github.com/clickid/clickid/internal/testserver"
	sqlstore "github.com/clickid/clickid/store_sql"
)

// testDatabase is a database that the tests run on.
type testDatabase struct {
	database sqlstore.Database
	// create creates an empty database and returns its data source name.
	create func(t *testing.T) (dsn string)
	driver string
}

// onEachDatabase runs test on the shared servers and on SQLite.
func onEachDatabase(t *testing.T, test func(t *testing.T, d testDatabase)) {
	for _, d := range []testDatabase{
		{sqlstore.DatabasePostgreSQL, func(t *testing.T) string { return testserver.Postgres(t) }, "pgx"},
		{sqlstore.DatabaseMySQL, func(t *testing.T) string { return testserver.MySQL(t) }, "mysql"},
		{sqlstore.DatabaseSQLite, func(t *testing.T) string { return filepath.Join(t.TempDir(), "clicks.db") }, "sqlite"},
	} {
		t.Run(string(d.database), func(t *testing.T) {
			t.Parallel()
			test(t, d)
		})
	}
}

// open returns a pool that is closed when the test ends. The pool is small, since
// other tests use the servers as well.
func (d testDatabase) open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	open := sql.Open
	if d.database == sqlstore.DatabaseSQLite {
		open = sqlstore.OpenSQLite
	}
	db, err := open(d.driver, dsn)
	require.NoError(t, err)
	return limited(t, db)
}

func limited(t *testing.T, db *sql.DB) *sql.DB {
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// connector counts the connections that a pool opens.
type connector struct {
	driver   driver.Driver
	dsn      string
	connects atomic.Int64
}

func (c *connector) Driver() driver.Driver { return c.driver }

func (c *connector) Connect(context.Context) (driver.Conn, error) {
	c.connects.Add(1)
	return c.driver.Open(c.dsn)
}

// openCounted opens a pool without the settings of OpenSQLite.
func (d testDatabase) openCounted(t *testing.T, dsn string) (*sql.DB, *connector) {
	t.Helper()
	registered, err := sql.Open(d.driver, dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, registered.Close()) })
	c := &connector{driver: registered.Driver(), dsn: dsn}
	return limited(t, sql.OpenDB(c)), c
}

// with adds settings to a data source name.
func (d testDatabase) with(dsn, settings string) string {
	if d.database == sqlstore.DatabaseSQLite {
		dsn = "file:" + dsn
	}
	separator := "?"
	if strings.Contains(dsn, "?") {
		separator = "&"
	}
	return dsn + separator + settings
}

// store is a store and its database.
type store struct {
	*sqlstore.Store
	db     *sql.DB
	on     testDatabase
	prefix string
}

// store returns a store with tables in a new database.
func (d testDatabase) store(t *testing.T) (*store, *sql.DB) {
	t.Helper()
	db := d.open(t, d.create(t))
	return d.migrated(t, db, sqlstore.DefaultPrefix), db
}

func (d testDatabase) migrated(t *testing.T, db *sql.DB, prefix string) *store {
	t.Helper()
	s := &store{d.through(t, db, prefix), db, d, prefix}
	require.NoError(t, s.Migrate(context.Background(), db))
	return s
}

// newStore returns a store without tables.
func (d testDatabase) newStore(t *testing.T, db *sql.DB) *store {
	t.Helper()
	return &store{d.through(t, db, sqlstore.DefaultPrefix), db, d, sqlstore.DefaultPrefix}
}

// through returns a store that uses db.
func (d testDatabase) through(t *testing.T, db sqlstore.DB, prefix string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.New(sqlstore.Config{DB: db, Database: d.database, Prefix: prefix})
	require.NoError(t, err)
	return s
}

// newClick returns a click that was captured now.
func newClick(id string) clickid.Click {
	at := time.Unix(time.Now().Unix(), 0).UTC()
	return clickid.Click{ID: id, Param: "clkid", At: at, Expires: at.Add(clickid.DefaultTTL)}
}

// fill inserts n clicks and n links that expire second after second, the last at
// the given time.
func (s *store) fill(t *testing.T, n int, last time.Time) {
	t.Helper()
	const chunk = 500
	for from := 0; from < n; from += chunk {
		var clicks, links []any
		for i := from; i < min(n, from+chunk); i++ {
			hash, expires := extension.KeyHash(filledKey(last, i)), last.Add(time.Duration(i-n+1)*time.Second).Unix()
			clicks = append(clicks, hash[:], "01ARZ3NDEKTSV4RRFFQ69G5FAV", "clkid", expires-86400, expires)
			links = append(links, hash[:], hash[:], hash[:], expires)
		}
		s.insert(t, "clicks (token_hash, click_id, param, captured_at, expires_at)", "(?, ?, ?, {time}, {time})", clicks)
		s.insert(t, "links (key_hash, token_hash, sealed_token, expires_at)", "(?, ?, ?, {time})", links)
	}
}

func filledKey(last time.Time, i int) clickid.Key {
	return clickid.OrderKey(fmt.Sprint(last.Unix(), " ", i))
}

// insert inserts rows of the given form, as many as args has values for. {time}
// takes Unix seconds.
func (s *store) insert(t *testing.T, into, row string, args []any) {
	t.Helper()
	row = strings.ReplaceAll(row, "{time}", toTime[s.on.database])
	rows := len(args) / strings.Count(row, "?")
	query := "INSERT INTO " + s.prefix + into + " VALUES " + row + strings.Repeat(", "+row, rows-1)
	if s.on.database == sqlstore.DatabasePostgreSQL {
		for i := range args {
			query = strings.Replace(query, "?", fmt.Sprint("$", i+1), 1)
		}
	}
	_, err := s.db.ExecContext(context.Background(), query, args...)
	require.NoError(t, err)
}

// toTime converts Unix seconds to the type of a time column.
var toTime = map[sqlstore.Database]string{
	sqlstore.DatabasePostgreSQL: "to_timestamp(CAST(? AS bigint))",
	sqlstore.DatabaseMySQL:      "TIMESTAMPADD(SECOND, ?, TIMESTAMP'1970-01-01 00:00:00')",
	sqlstore.DatabaseSQLite:     "?",
}

// time returns a time as an SQL expression.
func (d testDatabase) time(at time.Time) string {
	return strings.Replace(toTime[d.database], "?", fmt.Sprint(at.Unix()), 1)
}

// count returns the number of rows in a table of the store.
func (s *store) count(t *testing.T, table string) (n int) {
	t.Helper()
	require.NoError(t, s.db.QueryRow("SELECT COUNT(*) FROM "+s.prefix+table).Scan(&n))
	return n
}

// within fails the test when f takes longer than limit.
func within(t *testing.T, limit time.Duration, f func()) {
	t.Helper()
	start := time.Now()
	f()
	require.Less(t, time.Since(start), limit)
}
