package memfs_test

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/clickid/clickid/internal/memfs"
	"github.com/stretchr/testify/require"
)

func TestNew(t *testing.T) {
	t.Parallel()
	fsys := memfs.New(map[string]string{"2_b.sql": "two", "1_a.sql": "one"})
	require.NoError(t, fstest.TestFS(fsys, "1_a.sql", "2_b.sql"))
	data, err := fs.ReadFile(fsys, "2_b.sql")
	require.NoError(t, err)
	require.Equal(t, "two", string(data))
	entries, err := fs.ReadDir(fsys, ".")
	require.NoError(t, err)
	require.Len(t, entries, 2)
}
