package sqlstore

import (
	"context"
	"database/sql/driver"
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
