package outbox_test

import (
	"testing"

	"github.com/clickid/clickid/outbox"
	"github.com/stretchr/testify/require"
)

func TestNewTable_prefix(t *testing.T) {
	for _, tt := range []struct {
		name     string
		database outbox.Database
		prefix   string
		problem  string // empty if the prefix is valid
	}{
		{"default", outbox.DatabaseSQLite, "", ""},
		{"reserved by SQLite", outbox.DatabaseSQLite, "sqlite_shop_", "outbox: TableConfig.Prefix must not begin with sqlite_"},
		{"reserved by SQLite, elsewhere", outbox.DatabaseMySQL, "sqlite_shop_", ""},
		{"invalid character", outbox.DatabasePostgreSQL, "Shop_", "outbox: TableConfig.Prefix must be 1 to 32 characters"},
	} {
		// Without the other required fields, NewTable always returns an error.
		_, err := outbox.NewTable(outbox.TableConfig{Database: tt.database, Prefix: tt.prefix})
		if tt.problem == "" {
			require.NotContains(t, err.Error(), "Prefix", tt.name)
			continue
		}
		require.ErrorContains(t, err, tt.problem, tt.name)
	}
}
