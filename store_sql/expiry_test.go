package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
	"github.com/clickid/clickid/internal/reference"
)

// scripted is a driver without a database. Each query returns the same row.
type scripted struct{ row []driver.Value }

func (s scripted) Connect(context.Context) (driver.Conn, error) { return s, nil }
func (s scripted) Driver() driver.Driver                        { return nil }
func (s scripted) Prepare(string) (driver.Stmt, error)          { return nil, driver.ErrSkip }
func (s scripted) Close() error                                 { return nil }
func (s scripted) Begin() (driver.Tx, error)                    { return nil, driver.ErrSkip }

func (s scripted) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), nil
}

func (s scripted) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return &scriptedRows{row: s.row, columns: len(s.row)}, nil
}

type scriptedRows struct {
	row     []driver.Value
	columns int
}

func (r *scriptedRows) Columns() []string { return make([]string, r.columns) }
func (r *scriptedRows) Close() error      { return nil }

func (r *scriptedRows) Next(dest []driver.Value) error {
	if r.row == nil {
		return io.EOF
	}
	copy(dest, r.row)
	r.row = nil
	return nil
}

func newScripted(t testing.TB, database Database, row []driver.Value) *Store {
	t.Helper()
	db := sql.OpenDB(scripted{row})
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	s, err := New(Config{DB: db, Database: database})
	require.NoError(t, err)
	return s
}

// TestStore_expiredRows loads rows that Purge has not deleted yet.
func TestStore_expiredRows(t *testing.T) {
	ctx := context.Background()
	expires := time.Date(2040, 1, 15, 12, 0, 0, 0, time.UTC)
	token, err := reference.New(expires.Add(-time.Hour))
	require.NoError(t, err)
	key := clickid.OrderKey("42")
	sealed, err := extension.Seal(key, token)
	require.NoError(t, err)
	for _, row := range []struct {
		name  string
		now   time.Time
		found bool
	}{
		{"before", expires.Add(-time.Nanosecond), true},
		{"at", expires, false},
		{"after", expires.Add(time.Hour), false},
	} {
		clicks := newScripted(t, DatabasePostgreSQL, []driver.Value{"01ARZ3NDEKTSV4RRFFQ69G5FAV", "clkid", "", "", expires.Unix() - 3600, expires.Unix()})
		clicks.now = func() time.Time { return row.now }
		click, err := clicks.Load(ctx, token)
		links := newScripted(t, DatabasePostgreSQL, []driver.Value{sealed, expires.Unix()})
		links.now = clicks.now
		linked, linkedErr := links.Linked(ctx, key)
		if !row.found {
			require.ErrorIs(t, err, clickid.ErrNotFound, row.name)
			require.ErrorIs(t, linkedErr, clickid.ErrNotFound, row.name)
			continue
		}
		require.NoError(t, err, row.name)
		require.Equal(t, expires, click.Expires, row.name)
		require.NoError(t, linkedErr, row.name)
		require.Equal(t, token, linked, row.name)
	}
}
