// Package testserver gives tests real servers: shared ones that run already,
// and private ones that a test may stop, pause and fill.
//
// A shared server is taken from its environment variable, else from its usual
// port on this machine:
//
//	CLICKID_TEST_REDIS     host:port or redis://user:password@host:port/db
//	CLICKID_TEST_POSTGRES  postgres://user:password@host:port/database
//	CLICKID_TEST_MYSQL     user:password@tcp(host:port)/ as go-sql-driver/mysql reads it
//
// The user of PostgreSQL or MySQL must be allowed to create databases. Private
// servers are started from the programs that are installed.
//
// A test whose server is missing is skipped, visibly, and fails instead where
// CLICKID_TEST_REQUIRE is set.
package testserver

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// Missing ends a test that lacks something on this machine: a skip that says
// what and how to provide it, or a failure where CLICKID_TEST_REQUIRE is set.
func Missing(tb testing.TB, what, remedy string) {
	tb.Helper()
	if os.Getenv("CLICKID_TEST_REQUIRE") != "" {
		tb.Fatalf("%s is missing, and CLICKID_TEST_REQUIRE forbids skipping: %s", what, remedy)
	}
	tb.Skipf("%s is missing: %s", what, remedy)
}

// Redis returns the URL of the shared Redis server, as redis.ParseURL and
// asynq.ParseRedisURI read it. Others use the server too: take a [Name] as the
// prefix of all keys, and remove them afterwards.
func Redis(tb testing.TB) (url string) {
	tb.Helper()
	if set := os.Getenv("CLICKID_TEST_REDIS"); set != "" {
		if !strings.Contains(set, "://") {
			set = "redis://" + set
		}
		return set
	}
	const addr = "127.0.0.1:6379"
	if err := probe(addr, redisReady); err != nil {
		Missing(tb, "Redis at "+addr, "start one there, or set CLICKID_TEST_REDIS")
	}
	return "redis://" + addr + "/0"
}

// Postgres creates an empty database on the shared PostgreSQL server and
// returns its URL. The database is dropped when the test ends. The test imports
// github.com/jackc/pgx/v5/stdlib, which this package cannot.
func Postgres(tb testing.TB) (url string) {
	tb.Helper()
	admin := os.Getenv("CLICKID_TEST_POSTGRES")
	required := admin != ""
	if !required {
		// A server that trusts its machine ignores the password.
		admin = "postgres://postgres:postgres@127.0.0.1:5432/postgres"
	}
	db := open(tb, "pgx", admin, required, "PostgreSQL at 127.0.0.1:5432 with the user postgres",
		"start one there, or set CLICKID_TEST_POSTGRES to postgres://user:password@host:port/database")
	name := createDatabase(tb, db, "DROP DATABASE IF EXISTS %s WITH (FORCE)")
	return withPostgresDatabase(tb, admin, name)
}

// MySQL creates an empty database on the shared MySQL or MariaDB server and
// returns its DSN. The database is dropped when the test ends. The test imports
// github.com/go-sql-driver/mysql, which this package cannot.
func MySQL(tb testing.TB) (dsn string) {
	tb.Helper()
	admin := os.Getenv("CLICKID_TEST_MYSQL")
	required := admin != ""
	if !required {
		admin = "root@tcp(127.0.0.1:3306)/"
	}
	db := open(tb, "mysql", admin, required, "MySQL or MariaDB at 127.0.0.1:3306 with the user root and no password",
		"start one there, or set CLICKID_TEST_MYSQL to user:password@tcp(host:port)/")
	name := createDatabase(tb, db, "DROP DATABASE IF EXISTS %s")
	return withMySQLDatabase(tb, admin, name)
}

// Name returns a new name for a test's own database or key prefix: lower-case
// letters, digits and underscores.
func Name() string {
	var b [6]byte
	// An error here ends the program since Go 1.24 and does not happen before.
	_, _ = rand.Read(b[:])
	return "clickid_test_" + hex.EncodeToString(b[:])
}

// open returns a pool that is closed when the test ends.
func open(tb testing.TB, driver, dsn string, required bool, what, remedy string) *sql.DB {
	tb.Helper()
	if !slices.Contains(sql.Drivers(), driver) {
		tb.Fatalf("the test does not import the database driver %q", driver)
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		tb.Fatalf("opening %s: %v", what, err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		if required {
			tb.Fatalf("the server that the environment names does not answer: %v", err)
		}
		Missing(tb, what, remedy)
	}
	return db
}

// createDatabase creates a database that is dropped when the test ends.
func createDatabase(tb testing.TB, db *sql.DB, drop string) (name string) {
	tb.Helper()
	name = Name()
	if _, err := db.Exec("CREATE DATABASE " + name); err != nil {
		tb.Fatalf("creating a database for the test: %v", err)
	}
	tb.Cleanup(func() {
		if _, err := db.Exec(strings.Replace(drop, "%s", name, 1)); err != nil {
			tb.Logf("the test's database %s remains: %v", name, err)
		}
	})
	return name
}

func withPostgresDatabase(tb testing.TB, dsn, database string) string {
	tb.Helper()
	u, err := url.Parse(dsn)
	if err != nil || u.Host == "" {
		tb.Fatal("CLICKID_TEST_POSTGRES is no URL of the form postgres://user:password@host:port/database")
	}
	u.Path = "/" + database
	return u.String()
}

func withMySQLDatabase(tb testing.TB, dsn, database string) string {
	tb.Helper()
	slash := strings.LastIndexByte(dsn, '/')
	if slash < 0 {
		tb.Fatal("CLICKID_TEST_MYSQL is no DSN of the form user:password@tcp(host:port)/")
	}
	_, params, found := strings.Cut(dsn[slash+1:], "?")
	if found {
		params = "?" + params
	}
	return dsn[:slash+1] + database + params
}
