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

// sqlitePragmas are set on every new connection.
//
// The short wait for a lock is on purpose: some drivers do not notice that the
// context ends meanwhile, and the store tries again by itself.
var sqlitePragmas = [...]string{"PRAGMA busy_timeout = 100", "PRAGMA journal_mode = WAL"}

// OpenSQLite opens a SQLite file for a [Store], with the driver that the
// application has registered: "sqlite" for modernc.org/sqlite. It sets
// write-ahead logging, so that readers and the writer do not wait for each
// other, a wait of 100 ms for the lock of another writer, which the store
// repeats within its context's time, and as many connections as there are
// processors, at least four. A missing file is created, readable for its owner
// alone.
//
// dsn is a path, or a URI such as "file:clicks.db?_txlock=immediate".
//
// What SQLite is good for: one machine with a local file system (the log needs
// shared memory, which network file systems lack), any number of goroutines,
// and a few processes. There is one writer at a time: some thousands of saved
// clicks a second, which a long transaction of the application holds up.
// Begin a transaction that reads before it writes with BEGIN IMMEDIATE
// (_txlock=immediate in the DSN of modernc.org/sqlite), since SQLite refuses
// to turn a reader into a writer once another has written. A database in
// memory is refused: every connection would have its own.
//
// A database that the application shares with package sqliteoutbox needs
// immediate transactions and longer waits: open it yourself, as the guide to
// the outbox shows, and hand the same pool to both.
func OpenSQLite(driverName, dsn string) (*sql.DB, error) {
	if sqldb.InMemory(dsn) {
		return nil, errors.New("sqlstore: OpenSQLite needs a file; for a store in memory use clickid.NewMemoryStore")
	}
	path, err := sqlitePath(dsn)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: opening the SQLite database: %w", err)
	}
	// Only database/sql knows the registered drivers. This opens nothing yet.
	registered, err := sql.Open(driverName, dsn)
	if err == nil {
		err = errors.Join(registered.Close(), sqldb.CreateSQLiteFile(path))
	}
	if err != nil {
		return nil, fmt.Errorf("sqlstore: opening the SQLite database: %w", err)
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
	return path, nil
}

// dsnConnector opens connections as database/sql does for drivers that have no
// connector of their own.
type dsnConnector struct {
	driver driver.Driver
	dsn    string
}

// Driver implements driver.Connector.
func (c dsnConnector) Driver() driver.Driver { return c.driver }

// Connect implements driver.Connector.
func (c dsnConnector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }

// sqliteConnector prepares every connection that the driver opens.
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
		return nil, errors.New("sqlstore: the SQLite driver does not implement driver.ExecerContext")
	}
	for _, pragma := range sqlitePragmas {
		// Turning the log on needs the file alone for a moment, without waiting.
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
