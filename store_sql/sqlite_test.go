package sqlstore

import (
	"context"
	"database/sql/driver"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// oldDriver does not implement driver.ExecerContext.
type oldDriver struct{}

func (oldDriver) Open(string) (driver.Conn, error) { return oldConn{}, nil }

type oldConn struct{ driver.Conn }

func (oldConn) Close() error { return nil }

func TestOpenSQLite_oldDriver(t *testing.T) {
	_, err := (&sqliteConnector{dsnConnector{oldDriver{}, "clicks.db"}}).Connect(context.Background())
	require.ErrorContains(t, err, "driver.ExecerContext")
}

func TestSQLitePath(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"C:/clicks.db":                           "C:/clicks.db",
		`C:\clicks.db?_txlock=immediate`:         `C:\clicks.db`,
		"file:clicks.db":                         "clicks.db",
		"file:C:/clicks.db?mode=rwc":             "C:/clicks.db",
		"file:///C:/my%20clicks.db":              "/C:/my clicks.db",
		"file://localhost/C:/clicks.db?mode=rwc": "/C:/clicks.db",
	} {
		path, err := sqlitePath(dsn)
		require.NoError(t, err, dsn)
		require.Equal(t, localPath(want, runtime.GOOS), path, dsn)
	}
	require.Equal(t, "C:/clicks.db", localPath("/C:/clicks.db", "windows"))
	require.Equal(t, "/srv/clicks.db", localPath("/srv/clicks.db", "windows"))
	require.Equal(t, "/C:/clicks.db", localPath("/C:/clicks.db", "linux"))
}
