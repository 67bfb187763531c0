// Package testserver provides real servers to tests: shared servers that are
// already running, and private servers that a test may stop, pause and fill.
//
// The address of a shared server is in its environment variable and defaults to
// the usual port on this machine:
//
//	CLICKID_TEST_REDIS     host:port or redis://user:password@host:port/db
//	CLICKID_TEST_POSTGRES  postgres://user:password@host:port/database
//	CLICKID_TEST_MYSQL     user:password@tcp(host:port)/ as go-sql-driver/mysql reads it
//
// The user of PostgreSQL or MySQL must be allowed to create databases. Private
// servers are started from the installed programs.
//
// A test is skipped if its server is missing. It fails instead if
// CLICKID_TEST_REQUIRE is set.
package testserver

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// Missing skips a test that needs something that is not on this machine. The
// test fails instead if CLICKID_TEST_REQUIRE is set. remedy describes how to
// provide it.
func Missing(tb testing.TB, what, remedy string) {
	tb.Helper()
	if os.Getenv("CLICKID_TEST_REQUIRE") != "" {
		tb.Fatalf("%s is missing and CLICKID_TEST_REQUIRE is set: %s", what, remedy)
	}
	tb.Skipf("%s is missing: %s", what, remedy)
}

// Program returns the path of an installed program. Without it the test is
// skipped or fails; see [Missing].
func Program(tb testing.TB, name string) (path string) {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(tb, "the program "+name, "install it")
	}
	return path
}

// Redis returns the URL of the shared Redis server for redis.ParseURL and
// asynq.ParseRedisURI. Other tests use the server at the same time, so all keys
// must have a [Name] as prefix and be removed afterwards.
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
// returns its URL. The database is dropped when the test ends. The test must
// import github.com/jackc/pgx/v5/stdlib.
func Postgres(tb testing.TB) (url string) {
	tb.Helper()
	admin := os.Getenv("CLICKID_TEST_POSTGRES")
	required := admin != ""
	if !required {
		// A server with the authentication method trust ignores the password.
		admin = "postgres://postgres:postgres@127.0.0.1:5432/postgres"
	}
	db := open(tb, "pgx", admin, required, "PostgreSQL at 127.0.0.1:5432 with the user postgres",
		"start one there, or set CLICKID_TEST_POSTGRES to postgres://user:password@host:port/database")
	name := createDatabase(tb, db, "DROP DATABASE IF EXISTS %s WITH (FORCE)")
	return withPostgresDatabase(tb, admin, name)
}

// MySQL creates an empty database on the shared MySQL or MariaDB server and
// returns its DSN. The database is dropped when the test ends. The test must
// import github.com/go-sql-driver/mysql.
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

// Name returns a new name for a database or key prefix of a test. It consists of
// lower-case letters, digits and underscores.
func Name() string {
	var b [6]byte
	// Since Go 1.24, Read never returns an error.
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
			tb.Fatalf("connecting to the server of the environment variable: %v", err)
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
		tb.Fatalf("creating the test's database: %v", err)
	}
	tb.Cleanup(func() {
		if _, err := db.Exec(strings.Replace(drop, "%s", name, 1)); err != nil {
			tb.Logf("dropping the test's database %s: %v", name, err)
		}
	})
	return name
}

func withPostgresDatabase(tb testing.TB, dsn, database string) string {
	tb.Helper()
	u, err := url.Parse(dsn)
	if err != nil || u.Host == "" {
		tb.Fatal("CLICKID_TEST_POSTGRES must be a URL of the form postgres://user:password@host:port/database")
	}
	u.Path = "/" + database
	return u.String()
}

func withMySQLDatabase(tb testing.TB, dsn, database string) string {
	tb.Helper()
	slash := strings.LastIndexByte(dsn, '/')
	if slash < 0 {
		tb.Fatal("CLICKID_TEST_MYSQL must be a DSN of the form user:password@tcp(host:port)/")
	}
	_, params, found := strings.Cut(dsn[slash+1:], "?")
	if found {
		params = "?" + params
	}
	return dsn[:slash+1] + database + params
}
