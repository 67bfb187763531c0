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

// migrationFiles are the schema in plain SQL with the default prefix, for
// Migrate and for applications with their own migration tool.
//
//go:embed migrations
var migrationFiles embed.FS

// migration is one file. Later versions of this package add files and never
// change one. Each statement must be repeatable (IF NOT EXISTS), since MySQL
// cannot roll back a migration that a crash interrupts.
type migration struct {
	version    int
	statements []string
}

// Migrate creates the tables, or upgrades them to the version that this package
// needs. Call it at each start: when the tables are up to date it only reads,
// and when several instances start together, one migrates and the others wait
// until it has finished or their context ends. On PostgreSQL and SQLite a failed
// migration changes nothing; on MySQL the next call completes it.
//
// db needs the right to create tables. It can be another handle than
// [Config.DB], for a database user with more rights.
//
// Applications with their own migration tool apply the SQL files in the folder
// migrations of this module instead. Migrate accepts tables that were created
// from these files, and tables of a later version.
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

// migrations reads the files of the store's database in order, with its prefix.
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
			return nil, fmt.Errorf("sqlstore: reading the migrations: the name of %s must begin with a number: %w", entry.Name(), err)
		}
		list = append(list, migration{version, splitStatements(strings.ReplaceAll(string(text), DefaultPrefix, s.prefix))})
	}
	return list, nil
}

// splitStatements splits a file into its statements, since some drivers accept
// only one at a time. The files have comments on lines of their own and no
// semicolon inside a statement.
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
