package sqliteoutbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	"github.com/clickid/clickid/internal/sqldb"
	"modernc.org/sqlite" // registers the driver "sqlite", in pure Go
)

// busyTimeout is the time in milliseconds that a statement waits for another
// process.
const busyTimeout = "10000"

// openFile opens a file for the outbox.
func openFile(path string) (*sql.DB, error) {
	if sqldb.InMemory(path) {
		return nil, errors.New("sqliteoutbox: Open requires the path of a file; a database in memory would lose all events")
	}
	if sqldb.IsSQLiteURI(path) {
		return nil, errors.New("sqliteoutbox: Open requires the path of a file without \"file:\" and options; open a URI with database/sql and pass the pool to New")
	}
	if err := sqldb.CreateSQLiteFile(path); err != nil {
		return nil, fmt.Errorf("sqliteoutbox: opening the file: %w", err)
	}
	options := url.Values{
		"_pragma": {"busy_timeout(" + busyTimeout + ")", "journal_mode(WAL)", "synchronous(FULL)"},
		"_txlock": {"immediate"},
	}
	opens, err := sqlite.NewConnector(sqldb.SQLiteSource(path, options))
	if err != nil {
		return nil, fmt.Errorf("sqliteoutbox: opening the file: %w", err)
	}
	db := sql.OpenDB(connector{opens})
	// SQLite allows one writer, and River has no read-only connections.
	db.SetMaxOpenConns(1)
	return db, nil
}

// filePath returns the path of the database, or "" if it is in memory.
func filePath(ctx context.Context, db *sql.DB) (string, error) {
	var path string
	err := db.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&path)
	if err != nil {
		return "", fmt.Errorf("sqliteoutbox: reading the name of the file (is it a SQLite database?): %w", err)
	}
	return path, nil
}

// checkPool returns an error for a pool with which orders would fail with
// SQLITE_BUSY when the outbox writes at the same time.
func checkPool(ctx context.Context, db *sql.DB) error {
	if db.Stats().MaxOpenConnections == 1 {
		return nil
	}
	var problems []error
	first, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("sqliteoutbox: checking the database: %w", err)
	}
	defer func() { _ = first.Close() }()
	var mode string
	var timeout int
	if err := first.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return fmt.Errorf("sqliteoutbox: checking the database: %w", err)
	}
	if mode != "wal" {
		problems = append(problems, errors.New("sqliteoutbox: set PRAGMA journal_mode=WAL or SetMaxOpenConns(1): otherwise readers block orders"))
	}
	if err := first.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&timeout); err != nil {
		return fmt.Errorf("sqliteoutbox: checking the database: %w", err)
	}
	if timeout < 1000 {
		problems = append(problems, errors.New("sqliteoutbox: set a busy_timeout of at least 1000 ms in the data source name, or SetMaxOpenConns(1)"))
	}
	immediate, err := beginsImmediate(ctx, db, first, timeout)
	if err != nil {
		return fmt.Errorf("sqliteoutbox: checking the database: %w", err)
	}
	if !immediate {
		problems = append(problems, errors.New("sqliteoutbox: set _txlock=immediate in the data source name, or SetMaxOpenConns(1): "+
			"a transaction that reads before it writes would fail with SQLITE_BUSY"))
	}
	return errors.Join(problems...)
}

// beginsImmediate reports whether a transaction takes the write lock when it
// begins: then it cannot begin while another one holds the lock.
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
