package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/clickid/clickid/internal/sqldb"
	"github.com/stretchr/testify/require"
)

func TestRepeat(t *testing.T) {
	passes := errors.New("database is locked (5) (SQLITE_BUSY)")
	for _, row := range []struct {
		name  string
		fails int
		err   error
		want  int // calls
	}{
		{"success", 0, nil, 1},
		{"a lock that passes", 3, passes, 4},
		{"a restart of PostgreSQL", 1, postgresError{errors.New("terminating connection"), "57P01"}, 2},
		{"another error", 3, errors.New("disk full"), 1},
	} {
		calls := 0
		err := sqldb.Repeat(context.Background(), func() error {
			if calls++; calls <= row.fails {
				return row.err
			}
			return nil
		})
		require.Equal(t, row.want, calls, row.name)
		if calls <= row.fails {
			require.Equal(t, row.err, err, row.name)
		} else {
			require.NoError(t, err, row.name)
		}
	}
}

func TestRepeat_endedContext(t *testing.T) {
	passes := errors.New("database is locked (5) (SQLITE_BUSY)")
	ctx, cancel := context.WithCancel(context.Background())
	calls := 0
	err := sqldb.Repeat(ctx, func() error { calls++; cancel(); return passes })
	require.Equal(t, 1, calls)
	require.Equal(t, passes, err)
}

// postgresError is an error of a PostgreSQL driver.
type postgresError struct {
	error
	state string
}

func (e postgresError) SQLState() string { return e.state }

func TestIsTransient(t *testing.T) {
	for _, row := range []struct {
		name                         string
		err                          error
		transient, missing, readOnly bool
	}{
		{"PostgreSQL deadlock", postgresError{errors.New("deadlock detected"), "40P01"}, true, false, false},
		{"PostgreSQL serialization failure", fmt.Errorf("saving: %w", postgresError{errors.New("could not serialize"), "40001"}), true, false, false},
		{"PostgreSQL missing table", postgresError{errors.New("no relation"), "42P01"}, false, true, false},
		{"PostgreSQL error that quotes another database", postgresError{errors.New("database is locked"), "22000"}, false, false, false},
		{"MySQL deadlock", errors.New("Error 1213 (40001): Deadlock found"), true, false, false},
		{"MariaDB changed row", errors.New("Error 1020 (HY000): Record has changed"), true, false, false},
		{"MySQL missing table", errors.New("Error 1146 (42S02): Table 'shop.clickid_clicks' doesn't exist"), false, true, false},
		{"MySQL error with a longer number", errors.New("Error 12131 (HY000): other"), false, false, false},
		{"SQLite lock", errors.New("database is locked (5) (SQLITE_BUSY)"), true, false, false},
		{"SQLite missing table", errors.New("no such table: clickid_clicks"), false, true, false},
		{"ended context", context.Canceled, false, false, false},
		{"PostgreSQL standby", postgresError{errors.New("cannot execute INSERT in a read-only transaction"), "25006"}, false, false, true},
		{"MariaDB replica", errors.New("Error 1290 (HY000): The MariaDB server is running with the --read-only option so it cannot execute this statement"), false, false, true},
		{"MySQL read-only transaction", errors.New("Error 1792 (25006): Cannot execute statement in a READ ONLY transaction."), false, false, true},
		{"SQLite read-only file", errors.New("attempt to write a readonly database (8)"), false, false, false},
	} {
		require.Equal(t, row.transient, sqldb.IsTransient(row.err), row.name)
		require.Equal(t, row.missing, sqldb.IsMissingTable(row.err), row.name)
		require.Equal(t, row.readOnly, sqldb.IsReadOnly(row.err), row.name)
	}
}
