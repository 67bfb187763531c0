package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
)

func TestNew(t *testing.T) {
	db := new(sql.DB)
	for name, row := range map[string]struct {
		config   Config
		problems []string
	}{
		"complete":               {Config{DB: db, Database: DatabaseSQLite}, nil},
		"with a prefix":          {Config{DB: db, Database: DatabaseMySQL, Prefix: "shop_2_"}, nil},
		"longest prefix":         {Config{DB: db, Database: DatabasePostgreSQL, Prefix: strings.Repeat("a", 32)}, nil},
		"nil pool":               {Config{DB: (*sql.DB)(nil), Database: DatabaseSQLite}, []string{"DB is required"}},
		"nothing":                {Config{}, []string{"DB is required", "Database must be"}},
		"unknown database":       {Config{DB: db, Database: "oracle"}, []string{"Database must be"}},
		"everything wrong":       {Config{Database: "?", Prefix: "?"}, []string{"DB", "Database must be", "Prefix"}},
		"injected prefix":        {Config{DB: db, Database: DatabaseSQLite, Prefix: "x; DROP TABLE orders; --"}, []string{"Prefix must be"}},
		"quoted prefix":          {Config{DB: db, Database: DatabaseSQLite, Prefix: `"x"`}, []string{"Prefix must be"}},
		"prefix with line":       {Config{DB: db, Database: DatabaseSQLite, Prefix: "x\n"}, []string{"Prefix must be"}},
		"capital prefix":         {Config{DB: db, Database: DatabasePostgreSQL, Prefix: "Shop_"}, []string{"Prefix must be"}},
		"prefix with schema":     {Config{DB: db, Database: DatabasePostgreSQL, Prefix: "shop."}, []string{"Prefix must be"}},
		"prefix of a digit":      {Config{DB: db, Database: DatabaseMySQL, Prefix: "2_"}, []string{"Prefix must be"}},
		"prefix too long":        {Config{DB: db, Database: DatabaseMySQL, Prefix: strings.Repeat("a", 33)}, []string{"Prefix must be"}},
		"SQLite's own prefix":    {Config{DB: db, Database: DatabaseSQLite, Prefix: "sqlite_x"}, []string{"sqlite_"}},
		"SQLite's own elsewhere": {Config{DB: db, Database: DatabaseMySQL, Prefix: "sqlite_x"}, nil},
	} {
		s, err := New(row.config)
		if row.problems == nil {
			require.NoError(t, err, name)
			continue
		}
		require.Nil(t, s, name)
		for _, problem := range row.problems {
			require.ErrorContains(t, err, problem, name)
		}
		require.Equal(t, len(row.problems), len(strings.Split(err.Error(), "\n")), name)
	}
}

// TestFailure_endedContext has a driver that returns an error of its own when the
// context ends.
func TestFailure_endedContext(t *testing.T) {
	s := &Store{database: DatabaseSQLite}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	cause := errors.New("interrupted (9)")
	err := s.failure(ctx, "loading the click", cause)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, cause)
}

func TestIn_nilTransaction(t *testing.T) {
	s := newScripted(t, DatabasePostgreSQL, nil)
	for _, tx := range []DB{nil, (*sql.Tx)(nil)} {
		_, err := s.In(tx).Linked(context.Background(), clickid.OrderKey("42"))
		require.ErrorContains(t, err, "sqlstore: finding the link in postgresql: Store.In needs a transaction")
		require.Error(t, s.In(tx).Unlink(context.Background(), clickid.OrderKey("42")))
	}
}
