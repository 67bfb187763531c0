package sqliteoutbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	"github.com/clickid/clickid/internal/sqldb"
	"modernc.org/sqlite" // which is the driver "sqlite" as well, in pure Go
)

// busyTimeout is how long a statement waits for another process, in
// milliseconds.
const busyTimeout = "10000"

// openFile opens the outbox's own file.
func openFile(path string) (*sql.DB, error) {
	if sqldb.InMemory(path) {
		return nil, errors.New("sqliteoutbox: the outbox needs the path of a file: a database in memory loses every event at the end of the process")
	}
	if err := sqldb.CreateSQLiteFile(path); err != nil {
		return nil, fmt.Errorf("sqliteoutbox: opening the SQLite outbox: %w", err)
	}
	options := url.Values{
		"_pragma": {"busy_timeout(" + busyTimeout + ")", "journal_mode(WAL)", "synchronous(FULL)"},
		"_txlock": {"immediate"},
	}
	source := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: options.Encode()}
	opens, err := sqlite.NewConnector(source.String())
	if err != nil {
		return nil, fmt.Errorf("sqliteoutbox: opening the SQLite outbox: %w", err)
	}
	db := sql.OpenDB(connector{opens})
	// One connection: SQLite has one writer, and River knows no readers.
	db.SetMaxOpenConns(1)
	return db, nil
}

// filePath returns the database's file, or "" when it is in memory.
func filePath(ctx context.Context, db *sql.DB) (string, error) {
	var path string
	err := db.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&path)
	if err != nil {
		return "", fmt.Errorf("sqliteoutbox: reading the name of the file (is it a SQLite database?): %w", err)
	}
	return path, nil
}

// checkPool refuses a pool with which orders would fail with SQLITE_BUSY, as
// soon as the outbox writes beside them.
func checkPool(ctx context.Context, db *sql.DB) error {
	if db.Stats().MaxOpenConnections == 1 {
		return nil
	}
	var problems []error
	first, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("sqliteoutbox: checking the application's SQLite database: %w", err)
	}
	defer func() { _ = first.Close() }()
	var mode string
	var timeout int
	if err := first.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return fmt.Errorf("sqliteoutbox: checking the application's SQLite database: %w", err)
	}
	if mode != "wal" {
		problems = append(problems, errors.New("sqliteoutbox: the SQLite database must be in WAL mode (PRAGMA journal_mode=WAL), or its pool have a single connection: readers would block orders"))
	}
	if err := first.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&timeout); err != nil {
		return fmt.Errorf("sqliteoutbox: checking the application's SQLite database: %w", err)
	}
	if timeout < 1000 {
		problems = append(problems, errors.New("sqliteoutbox: the SQLite database must have a busy_timeout of at least 1000 ms in its data source name, or its pool a single connection"))
	}
	immediate, err := beginsImmediate(ctx, db, first, timeout)
	if err != nil {
		return fmt.Errorf("sqliteoutbox: checking the application's SQLite database: %w", err)
	}
	if !immediate {
		problems = append(problems, errors.New("sqliteoutbox: the SQLite database's transactions must be immediate (_txlock=immediate in the data source name), or its pool have a single connection: "+
			"a transaction that reads before it writes would fail with SQLITE_BUSY"))
	}
	return errors.Join(problems...)
}

// beginsImmediate reports whether a transaction takes the write lock when it
// begins: it does exactly when it cannot begin beside one that holds the lock.
func beginsImmediate(ctx context.Context, db *sql.DB, first *sql.Conn, timeout int) (bool, error) {
	second, err := db.Conn(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = second.Close() }()
	if _, err := second.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil {
		return false, err
	}
	defer func() {
		_, _ = second.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("PRAGMA busy_timeout = %d", timeout))
	}()
	if _, err := first.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return false, err
	}
	defer func() { _, _ = first.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") }()
	tx, err := second.BeginTx(ctx, nil)
	if err != nil {
		return true, ctx.Err()
	}
	return false, tx.Rollback()
}
