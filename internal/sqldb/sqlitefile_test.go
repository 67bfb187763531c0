package sqldb_test

import (
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/clickid/clickid/internal/sqldb"
	"github.com/stretchr/testify/require"
)

func TestCreateSQLiteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	require.NoError(t, sqldb.CreateSQLiteFile(path))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Zero(t, info.Size())
	if runtime.GOOS != "windows" {
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}

	require.NoError(t, os.WriteFile(path, []byte("content"), 0o600))
	require.NoError(t, sqldb.CreateSQLiteFile(path))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "content", string(content), "an existing file stays as it is")

	require.Error(t, sqldb.CreateSQLiteFile(filepath.Join(path, "below-a-file.db")))
}

func TestSQLiteSource(t *testing.T) {
	for path, want := range map[string]string{
		"shop.db":            "file:shop.db?mode=rw",
		"/srv/a b?c#d%41.db": "file:/srv/a%20b%3Fc%23d%2541.db?mode=rw",
		"//srv/shop.db":      "file:/srv/shop.db?mode=rw",
		"file:shop.db":       "file:file:shop.db?mode=rw",
	} {
		require.Equal(t, want, sqldb.SQLiteSource(path, url.Values{"mode": {"rw"}}), path)
	}
	require.Equal(t, "file:shop.db", sqldb.SQLiteSource("shop.db", nil))
	require.True(t, sqldb.IsSQLiteURI("file:shop.db?mode=rw"))
	require.False(t, sqldb.IsSQLiteURI("shop.file:db"))
}

func TestInMemory(t *testing.T) {
	for _, name := range []string{"", ":memory:", "file::memory:?cache=shared", "file:clicks?mode=memory"} {
		require.True(t, sqldb.InMemory(name), name)
	}
	for _, name := range []string{"clicks.db", "file:/srv/memory/clicks.db?mode=rwc"} {
		require.False(t, sqldb.InMemory(name), name)
	}
}
