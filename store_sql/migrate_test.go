package sqlstore

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMigrations_form(t *testing.T) {
	for _, database := range []Database{DatabasePostgreSQL, DatabaseMySQL, DatabaseSQLite} {
		s, err := New(Config{DB: new(sql.DB), Database: database, Prefix: "shop_"})
		require.NoError(t, err)
		migrations, err := s.migrations()
		require.NoError(t, err)
		for i, m := range migrations {
			require.Equal(t, i+1, m.version, database)
			require.NotEmpty(t, m.statements)
			for _, statement := range m.statements {
				require.Regexp(t, `^CREATE (TABLE|INDEX) IF NOT EXISTS shop_`, statement)
				require.NotContains(t, statement, "clickid")
				require.Equal(t, strings.Count(statement, "("), strings.Count(statement, ")"))
			}
		}
	}
}
