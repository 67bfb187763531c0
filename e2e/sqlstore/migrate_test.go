package sqlstore_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/sqldb"
	sqlstore "github.com/clickid/clickid/store_sql"
)

func requireWorks(t *testing.T, s *store) {
	t.Helper()
	ctx := context.Background()
	c, k := newClick("01ARZ3NDEKTSV4RRFFQ69G5FAV"), clickid.OrderKey("42")
	token, err := s.Save(ctx, c)
	require.NoError(t, err)
	require.NoError(t, s.Link(ctx, k, token, c.Expires))
	linked, err := s.Linked(ctx, k)
	require.NoError(t, err)
	got, err := s.Load(ctx, linked)
	require.NoError(t, err)
	require.Equal(t, c, got)
}

func TestMigrate_concurrentInstances(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		dsn := d.create(t)
		const instances = 12
		stores := make([]*store, instances)
		for i := range stores {
			stores[i] = d.newStore(t, d.open(t, dsn))
		}
		var start, done sync.WaitGroup
		start.Add(1)
		errs := make([]error, instances)
		for i, s := range stores {
			done.Add(1)
			go func() {
				defer done.Done()
				start.Wait()
				errs[i] = s.Migrate(context.Background(), s.db)
			}()
		}
		start.Done()
		done.Wait()
		for i, s := range stores {
			require.NoError(t, errs[i])
			requireWorks(t, s)
		}
		require.Equal(t, 1, stores[0].count(t, "migrations"))
	})
}

func TestMigrate_waits(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		ctx := context.Background()
		dsn := d.create(t)
		db := d.open(t, dsn)
		locked, unlock, migrated := make(chan struct{}), make(chan struct{}), make(chan error)
		go func() {
			migrated <- sqldb.Migrate(ctx, db, sqldb.Database(d.database), "clickid_migrations", func(context.Context, *sql.Conn) error {
				close(locked)
				<-unlock
				return nil
			})
		}()
		<-locked

		s := d.newStore(t, d.open(t, dsn))
		short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		within(t, 5*time.Second, func() {
			require.ErrorIs(t, s.Migrate(short, s.db), context.DeadlineExceeded)
		})

		close(unlock)
		require.NoError(t, <-migrated)
		require.NoError(t, s.Migrate(ctx, s.db))
		requireWorks(t, s)
	})
}

// readOnly makes a session read-only.
var readOnly = map[sqlstore.Database]string{
	sqlstore.DatabasePostgreSQL: "SET default_transaction_read_only = on",
	sqlstore.DatabaseMySQL:      "SET SESSION TRANSACTION READ ONLY",
	sqlstore.DatabaseSQLite:     "PRAGMA query_only = 1",
}

func TestMigrate_upToDate(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		ctx := context.Background()
		s, db := d.store(t)
		db.SetMaxOpenConns(1)
		_, err := db.ExecContext(ctx, readOnly[d.database])
		require.NoError(t, err)
		_, err = s.Save(ctx, newClick("01ARZ3NDEKTSV4RRFFQ69G5FAV"))
		require.Error(t, err)
		require.NoError(t, s.Migrate(ctx, db))
	})
}

func TestMigrate_laterVersion(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		ctx := context.Background()
		s, db := d.store(t)
		_, err := db.ExecContext(ctx, "INSERT INTO clickid_migrations (version) VALUES (99)")
		require.NoError(t, err)
		require.NoError(t, s.Migrate(ctx, db))
		require.Equal(t, 2, s.count(t, "migrations"))
		requireWorks(t, s)
	})
}

func TestMigrate_failure(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		if d.database == sqlstore.DatabaseMySQL {
			return // MySQL cannot roll back the creation of a table
		}
		ctx := context.Background()
		db := d.open(t, d.create(t))
		s := d.newStore(t, db)
		_, err := db.ExecContext(ctx, "CREATE TABLE clickid_links (other INTEGER)")
		require.NoError(t, err)
		require.ErrorContains(t, s.Migrate(ctx, db), "sqlstore: migrating the tables in "+string(d.database)+": migration 1: ")
		for _, table := range []string{"clicks", "migrations"} {
			_, err := db.ExecContext(ctx, "SELECT 1 FROM clickid_"+table)
			require.True(t, sqldb.IsMissingTable(err), "%s: %v", table, err)
		}
		_, err = db.ExecContext(ctx, "DROP TABLE clickid_links")
		require.NoError(t, err)
		require.NoError(t, s.Migrate(ctx, db))
		requireWorks(t, s)
	})
}

func TestMigrate_canceled(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		db := d.open(t, d.create(t))
		s := d.newStore(t, db)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		require.ErrorIs(t, s.Migrate(ctx, db), context.Canceled)
		require.NoError(t, s.Migrate(context.Background(), db))
	})
}

// TestMigrate_plainFiles applies the files as a migration tool does, each in one
// call.
func TestMigrate_plainFiles(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		ctx := context.Background()
		dsn := d.create(t)
		several := dsn
		if d.database == sqlstore.DatabaseMySQL {
			several = d.with(dsn, "multiStatements=true")
		}
		files, err := filepath.Glob(filepath.Join("..", "..", "store_sql", "migrations", string(d.database), "*.up.sql"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		tool := d.open(t, several)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			_, err = tool.ExecContext(ctx, string(text))
			require.NoError(t, err)
		}
		s := d.newStore(t, d.open(t, dsn))
		requireWorks(t, s)

		// Migrate accepts these tables.
		require.NoError(t, s.Migrate(ctx, s.db))
		require.Equal(t, 1, s.count(t, "clicks"))
		require.Equal(t, len(files), s.count(t, "migrations"))
	})
}

func TestMigrate_noDatabase(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		if d.database != sqlstore.DatabaseMySQL {
			return
		}
		dsn := d.create(t)
		db := d.open(t, dsn[:strings.LastIndexByte(dsn, '/')+1])
		require.ErrorContains(t, d.newStore(t, db).Migrate(context.Background(), db), "name the database")
	})
}
