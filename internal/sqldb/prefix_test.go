package sqldb_test

import (
	"strings"
	"testing"

	"github.com/clickid/clickid/internal/sqldb"
	"github.com/stretchr/testify/require"
)

func TestCheckPrefix(t *testing.T) {
	for _, row := range []struct {
		name     string
		database sqldb.Database
		prefix   string
		problem  string // empty where the prefix is valid
	}{
		{"default", sqldb.DatabaseMySQL, "clickid_", ""},
		{"leading underscore and digit", sqldb.DatabaseSQLite, "_2shop_", ""},
		{"longest", sqldb.DatabasePostgreSQL, strings.Repeat("a", 32), ""},
		{"too long", sqldb.DatabasePostgreSQL, strings.Repeat("a", 33), "must be 1 to 32 characters"},
		{"empty", sqldb.DatabasePostgreSQL, "", "must be 1 to 32 characters"},
		{"leading digit", sqldb.DatabaseMySQL, "2_", "must not begin with a digit"},
		{"capital", sqldb.DatabasePostgreSQL, "Shop_", "[a-z0-9_]"},
		{"schema", sqldb.DatabasePostgreSQL, "shop.", "[a-z0-9_]"},
		{"quoted", sqldb.DatabaseSQLite, `"x"`, "[a-z0-9_]"},
		{"line break", sqldb.DatabaseSQLite, "x\n", "[a-z0-9_]"},
		{"injection", sqldb.DatabaseSQLite, "x; DROP TABLE orders; --", "[a-z0-9_]"},
		{"reserved by SQLite", sqldb.DatabaseSQLite, "sqlite_x", "SQLite reserves"},
		{"reserved by SQLite, elsewhere", sqldb.DatabaseMySQL, "sqlite_x", ""},
	} {
		err := sqldb.CheckPrefix(row.database, row.prefix)
		if row.problem == "" {
			require.NoError(t, err, row.name)
			continue
		}
		require.ErrorContains(t, err, row.problem, row.name)
	}
}

func TestDatabase_valid(t *testing.T) {
	for _, d := range []sqldb.Database{sqldb.DatabasePostgreSQL, sqldb.DatabaseMySQL, sqldb.DatabaseSQLite} {
		require.True(t, d.Valid(), d)
	}
	require.False(t, sqldb.Database("").Valid())
	require.False(t, sqldb.Database("oracle").Valid())
}
