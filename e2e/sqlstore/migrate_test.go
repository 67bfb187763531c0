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

func TestInstancesMigrateAtOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		dsn := e.create(t)
		const instances = 12
		stores := make([]*store, instances)
		for i := range stores {
			stores[i] = e.newStore(t, e.open(t, dsn))
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

func TestMigratingWaitsForAnotherInstance(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		ctx := context.Background()
		dsn := e.create(t)
		db := e.open(t, dsn)
		locked, unlock, migrated := make(chan struct{}), make(chan struct{}), make(chan error)
		go func() {
			migrated <- sqldb.Migrate(ctx, db, sqldb.Database(e.database), "clickid_migrations", func(context.Context, *sql.Conn) error {
				close(locked)
				<-unlock
				return nil
			})
		}()
		<-locked

		s := e.newStore(t, e.open(t, dsn))
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

// readOnly forbids a session to write.
var readOnly = map[sqlstore.Database]string{
	sqlstore.DatabasePostgreSQL: "SET default_transaction_read_only = on",
	sqlstore.DatabaseMySQL:      "SET SESSION TRANSACTION READ ONLY",
	sqlstore.DatabaseSQLite:     "PRAGMA query_only = 1",
}

func TestMigratingAgainOnlyReads(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		ctx := context.Background()
		s, db := e.store(t)
		db.SetMaxOpenConns(1)
		_, err := db.ExecContext(ctx, readOnly[e.database])
		require.NoError(t, err)
		_, err = s.Save(ctx, newClick("01ARZ3NDEKTSV4RRFFQ69G5FAV"))
		require.Error(t, err)
		require.NoError(t, s.Migrate(ctx, db))
	})
}

func TestTablesOfANewerVersionStay(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		ctx := context.Background()
		s, db := e.store(t)
		_, err := db.ExecContext(ctx, "INSERT INTO clickid_migrations (version) VALUES (99)")
		require.NoError(t, err)
		require.NoError(t, s.Migrate(ctx, db))
		require.Equal(t, 2, s.count(t, "migrations"))
		requireWorks(t, s)
	})
}

func TestAFailedMigrationLeavesNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		if e.database == sqlstore.DatabaseMySQL {
			return // it cannot roll back the creation of a table
		}
		ctx := context.Background()
		db := e.open(t, e.create(t))
		s := e.newStore(t, db)
		_, err := db.ExecContext(ctx, "CREATE TABLE clickid_links (other INTEGER)")
		require.NoError(t, err)
		require.ErrorContains(t, s.Migrate(ctx, db), "sqlstore: migrating the tables in "+string(e.database)+": migration 1: ")
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

func TestMigratingIsCancelled(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		db := e.open(t, e.create(t))
		s := e.newStore(t, db)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		require.ErrorIs(t, s.Migrate(ctx, db), context.Canceled)
		require.NoError(t, s.Migrate(context.Background(), db))
	})
}

// The files are for people with a migration tool of their own, which sends
// them as they are.
func TestThePlainFiles(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		ctx := context.Background()
		dsn := e.create(t)
		several := dsn
		if e.database == sqlstore.DatabaseMySQL {
			several = e.with(dsn, "multiStatements=true")
		}
		files, err := filepath.Glob(filepath.Join("..", "..", "store_sql", "migrations", string(e.database), "*.sql"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		tool := e.open(t, several)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			_, err = tool.ExecContext(ctx, string(text))
			require.NoError(t, err)
		}
		s := e.newStore(t, e.open(t, dsn))
		requireWorks(t, s)

		// Migrate takes them over.
		require.NoError(t, s.Migrate(ctx, s.db))
		require.Equal(t, 1, s.count(t, "clicks"))
		require.Equal(t, len(files), s.count(t, "migrations"))
	})
}

func TestMySQLNeedsADatabase(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		if e.database != sqlstore.DatabaseMySQL {
			return
		}
		dsn := e.create(t)
		db := e.open(t, dsn[:strings.LastIndexByte(dsn, '/')+1])
		require.ErrorContains(t, e.newStore(t, db).Migrate(context.Background(), db), "name the database")
	})
}
