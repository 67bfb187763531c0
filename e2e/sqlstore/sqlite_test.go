package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	sqlstore "github.com/clickid/clickid/store_sql"
)

func openSQLite(t *testing.T, path string) *sql.DB {
	t.Helper()
	return testDatabase{database: sqlstore.DatabaseSQLite, driver: "sqlite"}.open(t, path)
}

func TestOpenSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clicks.db")
	db := openSQLite(t, path)
	for pragma, want := range map[string]string{"journal_mode": "wal", "busy_timeout": "100", "synchronous": "2"} {
		var got string
		require.NoError(t, db.QueryRow("PRAGMA "+pragma).Scan(&got))
		require.Equal(t, want, got, pragma)
	}
	_, err := db.Exec("CREATE TABLE written (x)")
	require.NoError(t, err)
	files, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	require.Contains(t, files, path+"-wal")
	for _, file := range files {
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "click IDs are personal data")
	}

	for _, dsn := range []string{"", ":memory:", "file::memory:?cache=shared", "file:x?mode=memory"} {
		_, err := sqlstore.OpenSQLite("sqlite", dsn)
		require.ErrorContains(t, err, "dsn must name a file", dsn)
	}
	_, err = sqlstore.OpenSQLite("no-such-driver", path)
	require.ErrorContains(t, err, "sqlstore: OpenSQLite: sql: unknown driver")

	_, err = sqlstore.OpenSQLite("sqlite", filepath.Join(t.TempDir(), "no", "such", "folder", "clicks.db"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = sqlstore.OpenSQLite("sqlite", "file:%zz")
	require.ErrorContains(t, err, "the URI is malformed")

	// The first statement fails on a file of another format.
	notADatabase := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(notADatabase, []byte("this is a text and not a database, long enough to have a header of its own: 100 bytes at the least"), 0o600))
	wrong, err := sqlstore.OpenSQLite("sqlite", notADatabase)
	require.NoError(t, err)
	require.ErrorContains(t, wrong.Ping(), "not a database")
	require.NoError(t, wrong.Close())
}

func TestOpenSQLite_uris(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	for _, row := range []struct{ dsn, file string }{
		{"plain.db", "plain.db"},
		{"options.db?_txlock=immediate", "options.db"},
		{"file:relative%20name.db?_txlock=immediate", "relative name.db"},
		{"file:" + folder + "/absolute.db", "absolute.db"},
		{"file://" + folder + "/with-host.db?mode=rwc", "with-host.db"},
	} {
		db, err := sqlstore.OpenSQLite("sqlite", row.dsn)
		require.NoError(t, err, row.dsn)
		_, err = db.Exec("CREATE TABLE written (x)")
		require.NoError(t, err, row.dsn)
		require.NoError(t, db.Close())
		info, err := os.Stat(filepath.Join(folder, row.file))
		require.NoError(t, err, row.dsn)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), row.dsn)
		require.NotZero(t, info.Size(), row.dsn)
	}
	files, err := filepath.Glob("*")
	require.NoError(t, err)
	require.Len(t, files, 5, "OpenSQLite created other files")
}

// TestOpenSQLite_concurrentWriters has two pools, like those of two processes, and
// an application that writes to the same file.
func TestOpenSQLite_concurrentWriters(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	path := filepath.Join(t.TempDir(), "clicks.db")
	d := testDatabase{database: sqlstore.DatabaseSQLite, driver: "sqlite"}
	stores := []*store{d.migrated(t, openSQLite(t, path), sqlstore.DefaultPrefix), d.migrated(t, openSQLite(t, path), sqlstore.DefaultPrefix)}
	shopDB, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(60000)")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, shopDB.Close()) })
	_, err = shopDB.ExecContext(ctx, "CREATE TABLE orders (id TEXT NOT NULL PRIMARY KEY)")
	require.NoError(t, err)

	const writers, rounds = 16, 10
	var done sync.WaitGroup
	for n := range writers {
		done.Add(1)
		go func() {
			defer done.Done()
			for round := range rounds {
				if err := orderIn(ctx, stores[n%2], shopDB, fmt.Sprint(n, "/", round)); err != nil {
					t.Errorf("writer %d, round %d: %v", n, round, err)
					return
				}
			}
		}()
	}
	done.Wait()
	for n := range writers {
		for round := range rounds {
			id := fmt.Sprint(n, "/", round)
			token, err := stores[0].Linked(ctx, clickid.OrderKey(id))
			require.NoError(t, err)
			c, err := stores[1].Load(ctx, token)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("click-%d-%d", n, round), c.ID)
		}
	}
	require.Equal(t, writers*rounds, stores[0].count(t, "clicks"))
}

// orderIn saves a click and links it to an order in the order's transaction.
func orderIn(ctx context.Context, s *store, shopDB *sql.DB, id string) error {
	var n, round int
	if _, err := fmt.Sscanf(id, "%d/%d", &n, &round); err != nil {
		return err
	}
	c := newClick(fmt.Sprintf("click-%d-%d", n, round))
	token, err := s.Save(ctx, c)
	if err != nil {
		return err
	}
	tx, err := shopDB.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES (?)", id); err != nil {
		return err
	}
	if err := s.In(tx).Link(ctx, clickid.OrderKey(id), token, c.Expires); err != nil {
		return err
	}
	return tx.Commit()
}
