package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/clickid/clickid/internal/memfs"
	"github.com/clickid/clickid/internal/sqldb"
)

// migrationFiles are the schema in plain SQL with the default prefix. Each
// migration has a file that ends in ".up.sql" and one that reverts it.
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
// Applications with their own migration tool use [Store.GooseMigrations] or
// [Store.GolangMigrations] instead. Migrate accepts tables that they created, and
// tables of a later version.
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
		if !strings.HasSuffix(entry.Name(), upSuffix) {
			continue
		}
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

const (
	upSuffix   = ".up.sql"
	downSuffix = ".down.sql"
)

// GooseMigrations returns the tables of the store as migrations of goose, in the
// root of the file system. They depend on [Config].Database and Prefix. Their
// versions are 1 and so on, so give them a version table of their own:
//
//	provider, err := goose.NewProvider(goose.DialectPostgres, db, store.GooseMigrations(),
//		goose.WithTableName("clickid_goose_version"))
func (s *Store) GooseMigrations() fs.FS {
	files := make(map[string]string)
	s.eachMigration(func(name, up, down string) {
		files[name+".sql"] = "-- +goose Up\n" + up + "\n-- +goose Down\n" + down
	})
	return memfs.New(files)
}

// GolangMigrations returns the tables of the store as migrations of
// golang-migrate, in the root of the file system. They depend on
// [Config].Database and Prefix. Their versions are 1 and so on, so give them a
// version table of their own (x-migrations-table). MySQL needs
// multiStatements=true in the data source name.
//
//	source, err := iofs.New(store.GolangMigrations(), ".")
func (s *Store) GolangMigrations() fs.FS {
	files := make(map[string]string)
	s.eachMigration(func(name, up, down string) {
		files[name+upSuffix], files[name+downSuffix] = up, down
	})
	return memfs.New(files)
}

// eachMigration calls visit with the name of each migration and its files, with
// the store's prefix.
func (s *Store) eachMigration(visit func(name, up, down string)) {
	dir := path.Join("migrations", string(s.database))
	read := func(name string) string {
		text, _ := migrationFiles.ReadFile(path.Join(dir, name)) // it is embedded
		return strings.ReplaceAll(string(text), DefaultPrefix, s.prefix)
	}
	entries, _ := migrationFiles.ReadDir(dir)
	for _, entry := range entries {
		if name, ok := strings.CutSuffix(entry.Name(), upSuffix); ok {
			visit(name, read(name+upSuffix), read(name+downSuffix))
		}
	}
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
