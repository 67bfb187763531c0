package databases_test

import (
	"database/sql"
	"io/fs"
	"testing"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	migratemysql "github.com/golang-migrate/migrate/v4/database/mysql"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	migratesqlite "github.com/golang-migrate/migrate/v4/database/sqlite"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	sqlstore "github.com/clickid/clickid/store_sql"
)

// tables are the store and the outbox table in an empty database.
type tables struct {
	*testing.T
	kind  outbox.Database
	db    *sql.DB
	dsn   string
	store *sqlstore.Store
	table *outbox.Table
}

func newTables(t *testing.T, kind outbox.Database) *tables {
	t.Helper()
	driver, dsn := address(t, kind)
	if kind == outbox.DatabaseMySQL {
		dsn += "?multiStatements=true"
	}
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() }) // golang-migrate may have closed it
	store, err := sqlstore.New(sqlstore.Config{DB: db, Database: sqlstore.Database(kind), Prefix: "shop_"})
	require.NoError(t, err)
	table, err := outbox.NewTable(outbox.TableConfig{Database: kind, Destination: newClient(t, clickidtest.NewServer(t)), Prefix: "shop_"})
	require.NoError(t, err)
	return &tables{t, kind, db, dsn, store, table}
}

// works checks that store and table can be used, and that Migrate accepts them.
func (s *tables) works() {
	s.Helper()
	for range 2 {
		click := Order{Number: "1"}.event().Click
		token, err := s.store.Save(s.Context(), click)
		require.NoError(s, err)
		got, err := s.store.Load(s.Context(), token)
		require.NoError(s, err)
		require.Equal(s, click, got)
		_, err = clickid.Convert(s.Context(), s.table.In(s.db), Order{Number: "1", Cents: 1}.event())
		require.NoError(s, err)
		require.NoError(s, s.store.Migrate(s.Context(), s.db))
		require.NoError(s, s.table.Migrate(s.Context(), s.db))
	}
	stats, err := s.table.Stats(s.Context(), s.db)
	require.NoError(s, err)
	require.Equal(s, 1, stats.Queued)
}

// gone checks that the tables were dropped.
func (s *tables) gone() {
	s.Helper()
	for _, table := range []string{"shop_clicks", "shop_links", "shop_outbox", "shop_outbox_moved"} {
		_, err := s.db.ExecContext(s.Context(), "SELECT 1 FROM "+table)
		require.Error(s, err, table)
	}
}

func onEachDatabase(t *testing.T, test func(s *tables)) {
	t.Parallel()
	for kind := range drivers {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			test(newTables(t, kind))
		})
	}
}

// migrateWithGoose applies the migrations of store and outbox table.
func migrateWithGoose(t *testing.T, dialect goose.Dialect, db *sql.DB, store *sqlstore.Store, table *outbox.Table) error {
	ctx := t.Context()
	clicks, err := goose.NewProvider(dialect, db, store.GooseMigrations(), goose.WithTableName("clickid_goose_version"))
	if err != nil {
		return err
	}
	if _, err := clicks.Up(ctx); err != nil {
		return err
	}
	events, err := goose.NewProvider(dialect, db, table.GooseMigrations(), goose.WithTableName("clickid_outbox_goose_version"))
	if err != nil {
		return err
	}
	_, err = events.Up(ctx)
	return err
}

func TestMigrations_goose(t *testing.T) {
	dialects := map[outbox.Database]goose.Dialect{
		outbox.DatabasePostgreSQL: goose.DialectPostgres, outbox.DatabaseMySQL: goose.DialectMySQL, outbox.DatabaseSQLite: goose.DialectSQLite3,
	}
	onEachDatabase(t, func(s *tables) {
		for range 2 { // the second time changes nothing
			require.NoError(s, migrateWithGoose(s.T, dialects[s.kind], s.db, s.store, s.table))
			s.works()
			_, err := s.db.ExecContext(s.Context(), "DELETE FROM shop_outbox")
			require.NoError(s, err)
		}
		for fsys, name := range map[fs.FS]string{s.store.GooseMigrations(): "clickid_goose_version", s.table.GooseMigrations(): "clickid_outbox_goose_version"} {
			p, err := goose.NewProvider(dialects[s.kind], s.db, fsys, goose.WithTableName(name))
			require.NoError(s, err)
			_, err = p.DownTo(s.Context(), 0)
			require.NoError(s, err)
		}
		s.gone()
	})
}

// golangMigrate returns golang-migrate for the migrations in fsys.
func golangMigrate(fsys fs.FS, name string, driver database.Driver) (*migrate.Migrate, error) {
	source, err := iofs.New(fsys, ".")
	if err != nil {
		return nil, err
	}
	return migrate.NewWithInstance("iofs", source, name, driver)
}

func TestMigrations_golangMigrate(t *testing.T) {
	onEachDatabase(t, func(s *tables) {
		run := func(fsys fs.FS, versions string, step func(*migrate.Migrate) error) {
			s.Helper()
			// golang-migrate closes what it was given.
			db, err := sql.Open(drivers[s.kind], s.dsn)
			require.NoError(s, err)
			var driver database.Driver
			switch s.kind {
			case outbox.DatabasePostgreSQL:
				driver, err = migratepgx.WithInstance(db, &migratepgx.Config{MigrationsTable: versions})
			case outbox.DatabaseMySQL:
				driver, err = migratemysql.WithInstance(db, &migratemysql.Config{MigrationsTable: versions})
			default:
				driver, err = migratesqlite.WithInstance(db, &migratesqlite.Config{MigrationsTable: versions})
			}
			require.NoError(s, err)
			m, err := golangMigrate(fsys, "shop", driver)
			require.NoError(s, err)
			require.NoError(s, step(m))
			sourceErr, driverErr := m.Close()
			require.NoError(s, sourceErr)
			require.NoError(s, driverErr)
		}
		run(s.store.GolangMigrations(), "clickid_schema_migrations", (*migrate.Migrate).Up)
		run(s.table.GolangMigrations(), "clickid_outbox_schema_migrations", (*migrate.Migrate).Up)
		s.works()
		run(s.store.GolangMigrations(), "clickid_schema_migrations", (*migrate.Migrate).Down)
		run(s.table.GolangMigrations(), "clickid_outbox_schema_migrations", (*migrate.Migrate).Down)
		s.gone()
	})
}
