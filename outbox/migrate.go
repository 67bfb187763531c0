package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"

	"github.com/clickid/clickid/internal/memfs"
	"github.com/clickid/clickid/internal/sqldb"
)

// Migrate creates the table and that of moved events unless they exist, and their
// indexes. Several instances may call it at the same time, on every start. It
// accepts tables that a migration tool created from [Table.GooseMigrations] or
// [Table.GolangMigrations].
//
// Orders wait while PostgreSQL builds an index of an existing table. An index that
// cannot be created there is not an error, such as without the permission, or when
// the lock of the table is not free within a second: a shop must start without it.
// Migrate logs a warning to [slog.Default], and the next Migrate tries again; until
// then, Find reads the whole table.
func (t *Table) Migrate(ctx context.Context, db *sql.DB) error {
	return t.migrate(ctx, db, slog.Default())
}

func (t *Table) migrate(ctx context.Context, db *sql.DB, logger *slog.Logger) error {
	exist := t.hasTables(ctx, db)
	if exist && t.hasIndexes(ctx, db) {
		return nil // the account may have no permission to create tables
	}
	err := sqldb.Migrate(ctx, db, sqldb.Database(t.database), t.name, func(ctx context.Context, conn *sql.Conn) error {
		if !exist {
			for _, statement := range t.tables() {
				if _, err := conn.ExecContext(ctx, statement); err != nil {
					return err
				}
			}
		}
		return t.addIndexes(ctx, conn)
	})
	switch {
	case err != nil && exist:
		logger.WarnContext(ctx, "outbox: an index of the outbox table cannot be created; Find reads the whole table until a later Migrate creates it", "error", err)
	case err != nil:
		return fmt.Errorf("outbox: creating the outbox tables: %w", err)
	}
	return nil
}

// tables returns the statements that create the tables.
func (t *Table) tables() []string {
	return []string{t.database.create(t.name, ""), t.database.createMoved(t.moved)}
}

// indexes returns the statements that create the indexes, by the name of the index.
func (t *Table) indexes() map[string]string {
	statements := make(map[string]string)
	for _, table := range []string{t.name, t.moved} {
		statements[table+"_event"] = t.database.eventIndex(table+"_event", table)
	}
	return statements
}

// hasTables reports whether both tables exist.
func (t *Table) hasTables(ctx context.Context, db *sql.DB) bool {
	for _, name := range []string{t.name, t.moved} {
		rows, err := db.QueryContext(ctx, "SELECT 1 FROM "+name+" WHERE 1 = 0")
		if err != nil {
			return false
		}
		if rows.Close() != nil {
			return false
		}
	}
	return true
}

// rowQuerier is a database or a connection.
type rowQuerier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (t *Table) hasIndex(ctx context.Context, q rowQuerier, index string) (bool, error) {
	var found int
	err := q.QueryRowContext(ctx, t.database.hasIndex(), index).Scan(&found)
	return found > 0, err
}

// hasIndexes reports whether the indexes exist, or cannot be looked for.
func (t *Table) hasIndexes(ctx context.Context, q rowQuerier) bool {
	for index := range t.indexes() {
		if found, err := t.hasIndex(ctx, q, index); err == nil && !found {
			return false
		}
	}
	return true
}

// addIndexes creates the indexes that do not exist.
func (t *Table) addIndexes(ctx context.Context, conn *sql.Conn) (err error) {
	before, after := t.database.limitLocks()
	if _, err := conn.ExecContext(ctx, before); err != nil {
		return err
	}
	for index, statement := range t.indexes() {
		found, failed := t.hasIndex(ctx, conn, index)
		if failed == nil && !found {
			_, failed = conn.ExecContext(ctx, statement)
		}
		if failed != nil {
			err = failed
			break
		}
	}
	if err != nil && t.database == DatabasePostgreSQL {
		return err // the transaction is rolled back, and the limit with it
	}
	_, failed := conn.ExecContext(ctx, after)
	return errors.Join(err, failed)
}

// GooseMigrations returns the tables as migrations of goose, in the root of the
// file system. Their versions are 1 and 2, so give them a version table of their own:
//
//	provider, err := goose.NewProvider(goose.DialectPostgres, db, table.GooseMigrations(),
//		goose.WithTableName("clickid_outbox_goose_version"))
func (t *Table) GooseMigrations() fs.FS {
	files := make(map[string]string)
	for _, m := range t.migrations() {
		files[m.name+".sql"] = "-- +goose Up\n" + m.up + "\n-- +goose Down\n" + m.down
	}
	return memfs.New(files)
}

// GolangMigrations returns the tables as migrations of golang-migrate, in the
// root of the file system. Their versions are 1 and 2, so give them a version table
// of their own (x-migrations-table). MySQL needs multiStatements=true in the data
// source name.
//
//	source, err := iofs.New(table.GolangMigrations(), ".")
func (t *Table) GolangMigrations() fs.FS {
	files := make(map[string]string)
	for _, m := range t.migrations() {
		files[m.name+".up.sql"], files[m.name+".down.sql"] = m.up, m.down
	}
	return memfs.New(files)
}

// migration is the SQL of a version and its reversal.
type migration struct{ name, up, down string }

func (t *Table) migrations() []migration {
	script := func(statements ...string) string { return strings.Join(statements, ";\n\n") + ";\n" }
	dropIndex := func(table string) string {
		if t.database == DatabaseMySQL {
			return "DROP INDEX " + table + "_event ON " + table
		}
		return "DROP INDEX IF EXISTS " + table + "_event"
	}
	indexes := t.indexes()
	return []migration{
		{"0001_outbox", script(t.tables()...), script("DROP TABLE IF EXISTS "+t.moved, "DROP TABLE IF EXISTS "+t.name)},
		{"0002_outbox_event", script(indexes[t.name+"_event"], indexes[t.moved+"_event"]), script(dropIndex(t.moved), dropIndex(t.name))},
	}
}
