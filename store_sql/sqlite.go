package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"

	"github.com/clickid/clickid/internal/sqldb"
)

// sqlitePragmas are set on each new connection. The busy timeout is short because
// some drivers do not return when the context ends during that wait. The store
// repeats the statement instead.
var sqlitePragmas = [...]string{"PRAGMA busy_timeout = 100", "PRAGMA journal_mode = WAL"}

// OpenSQLite opens a SQLite file for a [Store] and creates it when it is
// missing, readable only by its owner. driverName is the name under which the
// application's driver is registered, "sqlite" for modernc.org/sqlite. dsn is a
// path, or a URI such as "file:clicks.db?_txlock=immediate". A database in
// memory is an error, since each connection would have its own.
//
// Each connection uses write-ahead logging, with which readers and the writer do
// not block each other, and a busy timeout of 100 ms, after which the store
// repeats the statement. The pool has as many connections as there are
// processors, at least four.
//
// SQLite fits one machine with a local file system, any number of goroutines and
// a few processes. It has one writer at a time, which saves some thousands of
// clicks a second; a long transaction of the application delays them. Begin a
// transaction that reads before it writes with BEGIN IMMEDIATE
// (_txlock=immediate with modernc.org/sqlite): SQLite cannot make a reader a
// writer after another connection has written.
//
// A database that is shared with package sqliteoutbox needs immediate
// transactions and a longer busy timeout. Open it with database/sql and pass the
// same pool to both.
func OpenSQLite(driverName, dsn string) (*sql.DB, error) {
	if sqldb.InMemory(dsn) {
		return nil, errors.New("sqlstore: OpenSQLite: dsn must name a file; use clickid.NewMemoryStore to keep clicks in memory")
	}
	path, err := sqlitePath(dsn)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: OpenSQLite: %w", err)
	}
	// Only database/sql knows the registered drivers. This opens nothing yet.
	registered, err := sql.Open(driverName, dsn)
	if err == nil {
		err = errors.Join(registered.Close(), sqldb.CreateSQLiteFile(path))
	}
	if err != nil {
		return nil, fmt.Errorf("sqlstore: OpenSQLite: %w", err)
	}
	db := sql.OpenDB(&sqliteConnector{dsnConnector{registered.Driver(), dsn}})
	connections := max(4, runtime.GOMAXPROCS(0))
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// sqlitePath returns the path in a data source name.
func sqlitePath(dsn string) (string, error) {
	path, _, _ := strings.Cut(dsn, "?") // drivers accept options after a path, too
	if !strings.HasPrefix(dsn, "file:") {
		return path, nil
	}
	uri, err := url.Parse(dsn)
	if err == nil {
		path = uri.Path
		if uri.Opaque != "" { // a relative path
			path, err = url.PathUnescape(uri.Opaque)
		}
	}
	if err != nil {
		return "", errors.New("the URI is malformed") // without its text
	}
	return localPath(path, runtime.GOOS), nil
}

// localPath returns the path of a URI without the slash before the drive in
// "/C:/clicks.db", which SQLite also removes on Windows.
func localPath(path, goos string) string {
	if goos == "windows" && len(path) > 2 && path[0] == '/' && path[2] == ':' {
		return path[1:]
	}
	return path
}

// dsnConnector opens connections as database/sql does for drivers without a
// connector of their own.
type dsnConnector struct {
	driver driver.Driver
	dsn    string
}

// Driver implements driver.Connector.
func (c dsnConnector) Driver() driver.Driver { return c.driver }

// Connect implements driver.Connector.
func (c dsnConnector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }

// sqliteConnector sets the pragmas on each connection.
type sqliteConnector struct{ dsnConnector }

// Connect implements driver.Connector.
func (c *sqliteConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.dsnConnector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	execer, ok := conn.(driver.ExecerContext)
	if !ok {
		_ = conn.Close()
		return nil, errors.New("sqlstore: OpenSQLite: the driver must implement driver.ExecerContext, as modernc.org/sqlite does")
	}
	for _, pragma := range sqlitePragmas {
		// Switching the journal mode needs an exclusive lock and does not wait.
		err := sqldb.Repeat(ctx, func() error {
			_, err := execer.ExecContext(ctx, pragma, nil)
			return err
		})
		if err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("sqlstore: preparing the SQLite connection: %w", err)
		}
	}
	return conn, nil
}
