package sqlstore_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
	"github.com/clickid/clickid/internal/reference"
	sqlstore "github.com/clickid/clickid/store_sql"
)

// database is a measured database.
type database struct {
	*sql.DB
	kind sqlstore.Database
}

func open(b *testing.B, kind sqlstore.Database, driver, dsn string) database {
	b.Helper()
	db, err := sql.Open(driver, dsn)
	failOn(b, err)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	b.Cleanup(func() { _ = db.Close() })
	return database{db, kind}
}

// name returns the name of the database in tables.
func (d database) name() string {
	switch d.kind {
	case sqlstore.DatabasePostgreSQL:
		return "PostgreSQL"
	case sqlstore.DatabaseMySQL:
		return "MariaDB"
	}
	return "SQLite"
}

func (d database) version(b *testing.B) (version string) {
	b.Helper()
	if d.kind == sqlstore.DatabaseSQLite {
		failOn(b, d.QueryRow("SELECT sqlite_version()").Scan(&version))
		return "SQLite " + version
	}
	failOn(b, d.QueryRow("SELECT version()").Scan(&version))
	return version
}

// digest returns random bytes for row i, the same in each run.
func digest(kind string, i int) [32]byte {
	return sha256.Sum256(binary.BigEndian.AppendUint64([]byte(kind), uint64(i)))
}

// tokenOf returns a token in the form of the store's.
func tokenOf(i int) string {
	random := digest("token", i)
	return base64.RawURLEncoding.EncodeToString(append([]byte("1700000000|"), random[:16]...))
}

// expiryOf spreads n rows evenly: the first fifth has expired within the last
// week, the others expire within 28 days. Rows are loaded in this order, as in a
// shop.
func expiryOf(i, n int, now time.Time) time.Time {
	const week = 7 * 24 * time.Hour
	return now.Add(-week + time.Duration(float64(5*week)*float64(i+1)/float64(n))).Truncate(time.Second)
}

func clickRow(i int, now time.Time) []any {
	hash, random := reference.Hash(tokenOf(i)), digest("click", i)
	expires := expiryOf(i, *clicks, now)
	return []any{hash[:], base32.HexEncoding.EncodeToString(random[:])[:26], "clkid", expires.Add(-clickid.DefaultTTL), expires}
}

// linkRow links to a token as long as one of the cookie store, since clicks in
// cookies and links in SQL are the recommended first setup.
func linkRow(i int, now time.Time) []any {
	k, token := clickid.OrderKey(fmt.Sprint(i)), fmt.Sprintf("%0140d", i)
	sealed, err := extension.Seal(k, token)
	if err != nil {
		panic(err) // the key is not empty
	}
	key, hash := extension.KeyHash(k), reference.Hash(token)
	return []any{key[:], hash[:], sealed, expiryOf(i, *links, now)}
}

// table is a table of n rows.
type table struct {
	name    string
	columns []string
	n       int
	row     func(i int) []any
}

func clickTable(now time.Time) table {
	return table{"clickid_clicks", []string{"token_hash", "click_id", "param", "captured_at", "expires_at"}, *clicks,
		func(i int) []any { return clickRow(i, now) }}
}

// load fills both tables of the store in the order in which the rows expire.
func load(b *testing.B, d database, now time.Time) {
	b.Helper()
	inOrder := func(i int) int { return i }
	d.fill(b, clickTable(now), inOrder)
	d.fill(b, table{"clickid_links", []string{"key_hash", "token_hash", "sealed_token", "expires_at"}, *links,
		func(i int) []any { return linkRow(i, now) }}, inOrder)
}

// fill fills a table while its indexes exist, as in production. The n-th row is the
// one that order returns.
func (d database) fill(b *testing.B, t table, order func(n int) int) {
	b.Helper()
	row := func(n int) []any {
		values := t.row(order(n))
		for i, value := range values {
			if at, ok := value.(time.Time); ok && d.kind == sqlstore.DatabaseSQLite {
				values[i] = at.Unix()
			}
		}
		return values
	}
	if d.kind == sqlstore.DatabasePostgreSQL {
		copyRows(b, d, t.name, t.columns, t.n, row)
	} else {
		insertRows(b, d, t.name, t.columns, t.n, row)
	}
}

func copyRows(b *testing.B, d database, table string, columns []string, n int, row func(int) []any) {
	b.Helper()
	conn, err := d.Conn(context.Background())
	failOn(b, err)
	defer func() { _ = conn.Close() }()
	failOn(b, conn.Raw(func(c any) error {
		_, err := c.(*stdlib.Conn).Conn().CopyFrom(context.Background(), pgx.Identifier{table}, columns,
			pgx.CopyFromSlice(n, func(i int) ([]any, error) { return row(i), nil }))
		return err
	}))
}

func insertRows(b *testing.B, d database, table string, columns []string, n int, row func(int) []any) {
	b.Helper()
	const chunk = 1000
	perCommit := 20
	values := "(?" + strings.Repeat(", ?", len(columns)-1) + ")"
	conn, err := d.Conn(context.Background())
	failOn(b, err)
	defer func() { _ = conn.Close() }()
	if d.kind == sqlstore.DatabaseSQLite {
		defer d.loadFast(b, conn)()
		perCommit = n // each commit would write most pages of the index by expiry again
	}
	for from := 0; from < n; {
		tx, err := conn.BeginTx(context.Background(), nil)
		failOn(b, err)
		for range perCommit {
			to := min(n, from+chunk)
			if from == to {
				break
			}
			args := make([]any, 0, chunk*len(columns))
			for ; from < to; from++ {
				args = append(args, row(from)...)
			}
			rows := len(args) / len(columns)
			_, err := tx.Exec("INSERT INTO "+table+" ("+strings.Join(columns, ", ")+") VALUES "+values+strings.Repeat(", "+values, rows-1), args...)
			failOn(b, err)
		}
		failOn(b, tx.Commit())
	}
}

// loadFast lets a connection to SQLite keep pages in memory and not wait for the
// disk, until the returned function is called.
func (d database) loadFast(b *testing.B, conn *sql.Conn) (done func()) {
	b.Helper()
	ctx := context.Background()
	var cache, synchronous int
	failOn(b, conn.QueryRowContext(ctx, "PRAGMA cache_size").Scan(&cache))
	failOn(b, conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous))
	set := func(cache, synchronous int) {
		_, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA cache_size = %d; PRAGMA synchronous = %d", cache, synchronous))
		failOn(b, err)
	}
	set(-4<<20, 0) // 4 GiB
	return func() { set(cache, synchronous) }
}

func (d database) analyze(b *testing.B) {
	b.Helper()
	statement := "ANALYZE TABLE clickid_clicks, clickid_links"
	switch d.kind {
	case sqlstore.DatabasePostgreSQL:
		statement = "VACUUM ANALYZE"
	case sqlstore.DatabaseSQLite:
		statement = "ANALYZE"
	}
	_, err := d.Exec(statement)
	failOn(b, err)
}

// sizes returns the bytes of both tables with their indexes.
func (d database) sizes(b *testing.B, say func(string, ...any)) (clickBytes, linkBytes float64) {
	b.Helper()
	query := `SELECT table_name, SUM(data_length), SUM(index_length) FROM information_schema.tables
		WHERE table_schema = DATABASE() AND table_name IN ('clickid_clicks', 'clickid_links') GROUP BY table_name`
	switch d.kind {
	case sqlstore.DatabaseSQLite:
		query = `SELECT tbl_name, SUM(pgsize * (s.name = tbl_name)), SUM(pgsize * (s.name <> tbl_name)) FROM dbstat AS s JOIN sqlite_schema AS t ON t.name = s.name
			WHERE tbl_name IN ('clickid_clicks', 'clickid_links') GROUP BY tbl_name`
	case sqlstore.DatabasePostgreSQL:
		query = `SELECT relname, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class WHERE relname IN ('clickid_clicks', 'clickid_links')`
	}
	rows, err := d.Query(query)
	failOn(b, err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var table string
		var data, indexes float64
		failOn(b, rows.Scan(&table, &data, &indexes))
		say("%s: %.0f MiB of rows, %.0f MiB of indexes", table, data/(1<<20), indexes/(1<<20))
		if table == "clickid_clicks" {
			clickBytes = data + indexes
		} else {
			linkBytes = data + indexes
		}
	}
	failOn(b, rows.Err())
	return clickBytes, linkBytes
}

// explain returns a plan with a line for each step.
func (d database) explain(b *testing.B, tx *sql.Tx, query string, args []any) string {
	b.Helper()
	explain := "EXPLAIN "
	if d.kind == sqlstore.DatabaseSQLite {
		explain = "EXPLAIN QUERY PLAN "
	}
	rows, err := tx.Query(explain+query, args...)
	failOn(b, err)
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	failOn(b, err)
	var plan strings.Builder
	for rows.Next() {
		values, dest := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		failOn(b, rows.Scan(dest...))
		plan.WriteString("   ")
		for i, value := range values {
			if len(columns) > 1 {
				plan.WriteString(" " + columns[i] + "=")
			} else {
				plan.WriteByte(' ')
			}
			plan.WriteString(value.String)
		}
		plan.WriteByte('\n')
	}
	failOn(b, rows.Err())
	return plan.String()
}

// readsAll reports whether a plan reads a whole table or index.
func (d database) readsAll(plan string) bool {
	switch d.kind {
	case sqlstore.DatabasePostgreSQL:
		return strings.Contains(plan, "Seq Scan")
	case sqlstore.DatabaseSQLite:
		return strings.Contains(plan, "SCAN")
	}
	return strings.Contains(plan, "type=ALL") || strings.Contains(plan, "type=index ")
}
