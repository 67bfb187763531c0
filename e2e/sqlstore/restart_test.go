package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/outagetest"
	sqlstore "github.com/clickid/clickid/store_sql"
)

// endSessions ends the sessions of the shop.
var endSessions = map[sqlstore.Database]string{
	sqlstore.DatabasePostgreSQL: "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
	sqlstore.DatabaseMySQL:      "KILL USER shop",
}

// TestStore_brokenConnections restarts the server, or has it end the sessions, while
// the pool has connections that were just used. The next pages open others and find
// their clicks.
func TestStore_brokenConnections(t *testing.T) {
	for _, d := range slowDatabases {
		t.Run(string(d.database), func(t *testing.T) {
			t.Parallel()
			server := d.start(t)
			admin, dsn := d.testDatabase.open(t, server.DSN()), server.DSN()
			if d.database == sqlstore.DatabaseMySQL {
				for _, statement := range []string{"CREATE USER shop@'127.0.0.1'", "GRANT ALL ON test.* TO shop@'127.0.0.1'"} {
					_, err := admin.Exec(statement)
					require.NoError(t, err)
				}
				dsn = strings.Replace(dsn, "root@", "shop@", 1)
			}
			db := d.testDatabase.open(t, dsn)
			s := outagetest.NewShop(t, clickid.Config{Store: d.migrated(t, db, sqlstore.DefaultPrefix), StoreTimeout: time.Minute})
			landed := s.Lands(t, "before")
			for name, end := range map[string]func(){
				"restart": func() { server.Restart() },
				"sessions": func() {
					_, err := admin.Exec(endSessions[d.database])
					require.NoError(t, err)
				},
			} {
				use(t, db)
				require.Equal(t, connections, db.Stats().Idle)
				end()
				var group sync.WaitGroup
				landings := make([]*http.Response, connections)
				for i := range connections {
					group.Go(func() { landings[i] = s.Get(t, fmt.Sprint("/?clkid=after-", i)) })
					group.Go(func() {
						if outagetest.ClickOf(s.Get(t, "/cart", landed...)) != "before" {
							t.Error(name, ": a page did not find its click")
						}
					})
				}
				group.Wait()
				require.Empty(t, s.Failures(), name)
				for i, landing := range landings {
					require.Equal(t, fmt.Sprint("after-", i), outagetest.ClickOf(s.Get(t, "/cart", landing.Cookies()...)), name)
				}
			}
		})
	}
}

// connections is the size of the pool.
const connections = 16

// use uses all connections of a pool twice. Drivers look at a connection that was not
// used for some time before they use it.
func use(t *testing.T, db *sql.DB) {
	t.Helper()
	for range 2 {
		conns := make([]*sql.Conn, connections)
		for i := range conns {
			var err error
			conns[i], err = db.Conn(context.Background())
			require.NoError(t, err)
		}
		for _, conn := range conns {
			require.NoError(t, conn.Close())
		}
	}
}
