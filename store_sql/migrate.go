package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"
)

// migrationFiles are the schema in plain SQL, with the default prefix, for
// this package and for people who run their own migration tool.
//
//go:embed migrations
var migrationFiles embed.FS

// migration is one file. A later version of this package adds files and never
// changes one. Every statement must be repeatable (IF NOT EXISTS): MySQL cannot
// roll back what a crash interrupts.
type migration struct {
	version    int
	statements []string
}

// Migrate brings the tables to the version that this package needs. Instances
// that start at once wait for each other; in PostgreSQL and SQLite a migration
// happens completely or not at all. Tables of a newer version are left as they
// are, and tables that were made from the plain files are taken over.
//
// db may be another handle than [Config].DB, of a user who may create tables.
// Once the tables are there, Migrate only reads.
//
// Whoever has a migration tool of their own applies the files in the folder
// migrations instead.
func (s *Store) Migrate(ctx context.Context, db *sql.DB) error {
	migrations, err := s.migrations()
	if err != nil {
		return err
	}
	latest := migrations[len(migrations)-1].version
	var version int
	if found, err := scanRow(ctx, db, s.sql.version, nil, &version); err == nil && found && version >= latest {
		return nil
	}
	if err := s.migrateLocked(ctx, db, migrations); err != nil {
		return s.failure(ctx, "migrating the tables", err)
	}
	return nil
}

func (s *Store) migrateLocked(ctx context.Context, db *sql.DB, migrations []migration) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // gives the connection back
	if err := s.lockMigrations(ctx, conn); err != nil {
		return errors.Join(err, s.unlockMigrations(ctx, conn, false))
	}
	err = s.applyMigrations(ctx, conn, migrations)
	return errors.Join(err, s.unlockMigrations(ctx, conn, err == nil))
}

func (s *Store) applyMigrations(ctx context.Context, conn *sql.Conn, migrations []migration) error {
	if _, err := conn.ExecContext(ctx, s.sql.createVersions); err != nil {
		return err
	}
	var version int
	if _, err := scanRow(ctx, conn, s.sql.version, nil, &version); err != nil {
		return err
	}
	for _, m := range migrations {
		if m.version <= version {
			continue
		}
		for _, statement := range m.statements {
			if _, err := conn.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("migration %d: %w", m.version, err)
			}
		}
		if _, err := conn.ExecContext(ctx, s.sql.migrate, m.version); err != nil {
			return fmt.Errorf("migration %d: %w", m.version, err)
		}
	}
	return nil
}

// lockMigrations waits until no other instance migrates these tables.
func (s *Store) lockMigrations(ctx context.Context, conn *sql.Conn) error {
	switch s.database {
	case DatabasePostgreSQL:
		if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
			return err
		}
		// The lock's number is this database's only, and ends with the transaction.
		name := sha256.Sum256([]byte("clickid migrations " + s.prefix))
		_, err := conn.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", int64(binary.BigEndian.Uint64(name[:8])))
		return err
	case DatabaseMySQL:
		var got sql.NullInt64
		_, err := scanRow(ctx, conn, "SELECT GET_LOCK("+mysqlLock+", 86400)", []any{s.prefix}, &got)
		if err == nil && got.Int64 != 1 {
			err = errors.New("the lock could not be taken; does the connection name a database?")
		}
		return err
	}
	return repeat(ctx, func() error {
		_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE")
		return err
	})
}

// mysqlLock is the name of the lock, which is the whole server's: at most 64
// characters for this database and prefix.
const mysqlLock = "CONCAT('clickid ', SHA1(CONCAT(DATABASE(), '.', ?)))"

// unlockMigrations keeps or undoes what was migrated and lets the next
// instance go on, also when ctx has ended. A connection that cannot is thrown
// away, and its lock and transaction with it.
func (s *Store) unlockMigrations(ctx context.Context, conn *sql.Conn, keep bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var err error
	switch {
	case s.database == DatabaseMySQL:
		_, err = conn.ExecContext(ctx, "DO RELEASE_LOCK("+mysqlLock+")", s.prefix)
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
		return nil // what failed before is the cause
	}
	return err
}

// migrations reads the database's files, in order, for the store's prefix.
func (s *Store) migrations() ([]migration, error) {
	dir := path.Join("migrations", string(s.database))
	entries, err := migrationFiles.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("clickid: reading the migrations: %w", err)
	}
	list := make([]migration, 0, len(entries))
	for _, entry := range entries {
		text, err := migrationFiles.ReadFile(path.Join(dir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("clickid: reading the migrations: %w", err)
		}
		number, _, _ := strings.Cut(entry.Name(), "_")
		version, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("clickid: the migration %s has no number: %w", entry.Name(), err)
		}
		list = append(list, migration{version, splitStatements(strings.ReplaceAll(string(text), DefaultPrefix, s.prefix))})
	}
	return list, nil
}

// splitStatements cuts a file into its statements, since not every driver takes
// several at once. The files have comments in lines of their own, and no
// semicolon within a statement.
func splitStatements(text string) []string {
	var code strings.Builder
	for _, line := range strings.Split(text, "\n") {
		if !strings.HasPrefix(line, "--") {
			code.WriteString(line + "\n")
		}
	}
	var statements []string
	for _, statement := range strings.Split(code.String(), ";") {
		if statement = strings.TrimSpace(statement); statement != "" {
			statements = append(statements, statement)
		}
	}
	return statements
}
