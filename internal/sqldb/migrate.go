package sqldb

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"time"
)

// unlockTimeout limits the end of a migration, since it also runs after ctx has
// ended.
const unlockTimeout = 5 * time.Second

// Migrate calls apply on a connection of db while no other process migrates
// tables of the same name. On PostgreSQL and SQLite apply runs in a
// transaction, which is rolled back when apply fails; MySQL commits after each
// statement that creates a table.
func Migrate(ctx context.Context, db *sql.DB, d Database, name string, apply func(ctx context.Context, conn *sql.Conn) error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // returns the connection to the pool
	if err := lock(ctx, conn, d, name); err != nil {
		return errors.Join(err, unlock(ctx, conn, d, name, false))
	}
	err = apply(ctx, conn)
	return errors.Join(err, unlock(ctx, conn, d, name, err == nil))
}

// MigrationLock returns the number of PostgreSQL's advisory lock for a name. The
// lock belongs to one database of the server.
func MigrationLock(name string) int64 {
	hash := sha256.Sum256([]byte("clickid migration of " + name))
	return int64(binary.BigEndian.Uint64(hash[:8]))
}

// mysqlLock is the name of MySQL's lock. It belongs to the whole server and has
// at most 64 characters for a database and a name.
const mysqlLock = "CONCAT('clickid ', SHA1(CONCAT(DATABASE(), '.', ?)))"

// lock waits until it holds the lock. On PostgreSQL and SQLite it begins the
// transaction that holds it.
func lock(ctx context.Context, conn *sql.Conn, d Database, name string) error {
	switch d {
	case DatabasePostgreSQL:
		if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
			return err
		}
		_, err := conn.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", MigrationLock(name))
		return err
	case DatabaseMySQL:
		var got sql.NullInt64
		err := conn.QueryRowContext(ctx, "SELECT GET_LOCK("+mysqlLock+", 86400)", name).Scan(&got)
		if err == nil && got.Int64 != 1 {
			err = errors.New("the migration lock could not be taken: name the database in the data source name")
		}
		return err
	}
	return Repeat(ctx, func() error {
		_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE")
		return err
	})
}

// unlock commits or rolls back the migration and releases the lock, even if ctx
// has ended. If that fails, unlock closes the connection and so releases the
// lock and rolls back the transaction.
func unlock(ctx context.Context, conn *sql.Conn, d Database, name string, keep bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
	defer cancel()
	var err error
	switch {
	case d == DatabaseMySQL:
		_, err = conn.ExecContext(ctx, "DO RELEASE_LOCK("+mysqlLock+")", name)
	case keep:
		_, err = conn.ExecContext(ctx, "COMMIT")
	default:
		_, err = conn.ExecContext(ctx, "ROLLBACK")
	}
	if err == nil {
		return nil
	}
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	if !keep {
		return nil // the earlier failure is the cause
	}
	return err
}
