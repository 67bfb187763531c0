package outboxes

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMySQLSource(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"mysql://shop:secret@db:3307/shop":               "shop:secret@tcp(db:3307)/shop?parseTime=true",
		"mysql://shop@db/shop":                           "shop@tcp(db:3306)/shop?parseTime=true",
		"mariadb://shop@db/shop?tls=true":                "shop@tcp(db:3306)/shop?parseTime=true&tls=true",
		"shop:secret@tcp(db:3307)/shop?tls=true":         "shop:secret@tcp(db:3307)/shop?parseTime=true&tls=true",
		"shop@unix(/run/mysqld/mysqld.sock)/shop":        "shop@unix(/run/mysqld/mysqld.sock)/shop?parseTime=true",
		"tcp(db)/shop":                                   "tcp(db:3306)/shop?parseTime=true",
		"mysql://shop:secret@db:3307":                    "",
		"shop:secret@tcp(db:3307)":                       "",
		"shop:secret@tcp(db:3307)/shop?parseTime=secret": "",
	} {
		k, err := parse(address)
		require.NoError(t, err)
		require.Equal(t, kindMySQL, k, address)
		source, err := mysqlSource(address)
		require.Equal(t, want, source, address)
		if want == "" {
			require.ErrorContains(t, err, "the address of MySQL cannot be read")
			require.NotContains(t, err.Error(), "secret")
		} else {
			require.NoError(t, err)
		}
	}
	for _, path := range []string{"outbox.db", "/var/lib/shop/outbox.db", "shop@home.db"} {
		k, err := parse(path)
		require.NoError(t, err)
		require.Equal(t, kindSQLite, k, path)
	}
}
