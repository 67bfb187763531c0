package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/clickid/clickid/internal/sqldb"
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
	err = sqldb.Migrate(ctx, db, sqldb.Database(s.database), s.prefix+"migrations", func(ctx context.Context, conn *sql.Conn) error {
		return s.applyMigrations(ctx, conn, migrations)
	})
	if err != nil {
		return s.failure(ctx, "migrating the tables", err)
	}
	return nil
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

// migrations reads the database's files, in order, for the store's prefix.
func (s *Store) migrations() ([]migration, error) {
	dir := path.Join("migrations", string(s.database))
	entries, err := migrationFiles.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: reading the migrations: %w", err)
	}
	list := make([]migration, 0, len(entries))
	for _, entry := range entries {
		text, err := migrationFiles.ReadFile(path.Join(dir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("sqlstore: reading the migrations: %w", err)
		}
		number, _, _ := strings.Cut(entry.Name(), "_")
		version, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("sqlstore: the migration %s has no number: %w", entry.Name(), err)
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
