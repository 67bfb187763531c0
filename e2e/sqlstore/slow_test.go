package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/outagetest"
	"github.com/clickid/clickid/internal/testserver"
	sqlstore "github.com/clickid/clickid/store_sql"
)

// slowDatabase is a database with the statements that make others wait, and the
// query for the number of those that wait.
type slowDatabase struct {
	testDatabase
	start           func(testing.TB) *testserver.Server
	impatience      string // the setting that ends a statement whose client has gone
	begin           string
	lockTable, free string
	waiting         string
}

var slowDatabases = []slowDatabase{
	{
		testDatabase{database: sqlstore.DatabasePostgreSQL, driver: "pgx"}, testserver.StartPostgres,
		"client_connection_check_interval=500ms", // a request to cancel that comes before its statement is lost
		"BEGIN", "LOCK TABLE clickid_clicks IN ACCESS EXCLUSIVE MODE", "ROLLBACK",
		"SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
	},
	{
		testDatabase{database: sqlstore.DatabaseMySQL, driver: "mysql"}, testserver.StartMariaDB,
		"innodb_lock_wait_timeout=2", // MariaDB does not notice it while the statement waits for a row
		"SELECT 1", "LOCK TABLES clickid_clicks WRITE", "UNLOCK TABLES",
		"SELECT (SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table%') +" +
			// innodb_trx is a cache that is not renewed while it is read often.
			" (SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS')",
	},
}

// slowServer is a server of such a database, on which a session can hold a lock.
type slowServer struct {
	slowDatabase
	pool    *sql.DB // of the shop
	store   *store
	session *sql.Conn
	admin   *sql.DB
}

func (d slowDatabase) open(t *testing.T) *slowServer {
	t.Helper()
	dsn := d.with(d.start(t).DSN(), d.impatience)
	s := &slowServer{slowDatabase: d, pool: d.testDatabase.open(t, dsn), admin: d.testDatabase.open(t, dsn)}
	s.admin.SetMaxIdleConns(-1) // a driver may have a goroutine for each
	s.store = d.migrated(t, s.pool, sqlstore.DefaultPrefix)
	session, err := s.admin.Conn(context.Background())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, session.Close()) })
	s.session = session
	return s
}

func (s *slowServer) execute(t *testing.T, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		_, err := s.session.ExecContext(context.Background(), statement)
		require.NoError(t, err)
	}
}

// awaitWaiting waits until a number of statements wait for the lock.
func (s *slowServer) awaitWaiting(t *testing.T, statements int) {
	t.Helper()
	outagetest.Eventually(t, func() error {
		var n int
		err := s.admin.QueryRow(s.waiting).Scan(&n)
		if err == nil && n != statements {
			err = fmt.Errorf("%d statements wait for the lock, want %d", n, statements)
		}
		return err
	})
}

// TestStore_slow locks the table of clicks for less than the timeout: pages wait,
// and their clicks are stored.
func TestStore_slow(t *testing.T) {
	for _, d := range slowDatabases {
		t.Run(string(d.database), func(t *testing.T) {
			t.Parallel()
			server := d.open(t)
			s := outagetest.NewShop(t, clickid.Config{Store: server.store, StoreTimeout: time.Minute})
			server.execute(t, d.begin, d.lockTable)
			const visitors = 8
			landings := make([]*http.Response, visitors)
			var group sync.WaitGroup
			for i := range visitors {
				group.Go(func() { landings[i] = s.Get(t, fmt.Sprint("/?clkid=slow-", i)) })
			}
			server.awaitWaiting(t, visitors)
			server.execute(t, d.free)
			group.Wait()
			require.Empty(t, s.Failures())
			for i, landing := range landings {
				require.Equal(t, fmt.Sprint("slow-", i), outagetest.ClickOf(s.Get(t, "/cart", landing.Cookies()...)))
			}
		})
	}
}

// TestStore_slowBeyondTimeout holds the lock for longer than the timeout. Pages are
// served without the store, and nothing of their statements is left while the lock
// is held.
func TestStore_slowBeyondTimeout(t *testing.T) {
	for _, d := range slowDatabases {
		t.Run(string(d.database), func(t *testing.T) {
			server := d.open(t) // not parallel: the test counts goroutines
			s := outagetest.NewShop(t, clickid.Config{Store: server.store})
			before := s.Lands(t, "before-the-lock")
			cookies, err := clickid.NewCookieStore([]byte("a key of the tests, of 32 bytes."))
			require.NoError(t, err)
			both, err := clickid.NewFallbackStore(server.store, cookies)
			require.NoError(t, err)
			withFallback := outagetest.NewShop(t, clickid.Config{Store: both})
			server.pool.SetMaxIdleConns(-1)
			goroutines := runtime.NumGoroutine()
			server.pool.SetMaxIdleConns(16)

			server.execute(t, d.begin, d.lockTable)
			s.ServesWithoutStore(t, before)
			// The fallback keeps the click, and the next page finds it.
			kept := withFallback.Lands(t, "during-the-lock")
			require.Equal(t, "during-the-lock", outagetest.ClickOf(withFallback.Get(t, "/cart", kept...)))
			require.Empty(t, withFallback.Failures())

			server.awaitWaiting(t, 0)
			server.pool.SetMaxIdleConns(-1) // a driver may have a goroutine for each
			outagetest.Eventually(t, func() error {
				if inUse, running := server.pool.Stats().InUse, runtime.NumGoroutine(); inUse > 0 || running > goroutines {
					return fmt.Errorf("%d connections are in use and %d goroutines run, %d before", inUse, running, goroutines)
				}
				return nil
			})
			server.execute(t, d.free)
			s.Recovers(t, before, "before-the-lock")
			require.Equal(t, 2, server.store.count(t, "clicks"), "a click without a cookie was stored")
		})
	}
}

// TestStore_lockedLink holds the lock of a link's row for longer than the timeout:
// linking the order again fails in time, and the click is found.
func TestStore_lockedLink(t *testing.T) {
	for _, d := range slowDatabases {
		t.Run(string(d.database), func(t *testing.T) {
			t.Parallel()
			server := d.open(t)
			s := outagetest.NewShop(t, clickid.Config{Store: server.store})
			landed, order := s.Lands(t, "landed"), clickid.OrderKey("42")
			require.NoError(t, s.Tracker.Link(s.Visit(landed), order))
			server.execute(t, "BEGIN", "SELECT * FROM clickid_links FOR UPDATE")
			for range 10 {
				require.ErrorIs(t, s.Tracker.Link(s.Visit(landed), order), context.DeadlineExceeded)
			}
			click, err := s.Tracker.Linked(context.Background(), order)
			require.NoError(t, err)
			require.Equal(t, "landed", click.ID)
			server.awaitWaiting(t, 0)
			server.execute(t, "ROLLBACK")
			require.NoError(t, s.Tracker.Link(s.Visit(landed), order))
		})
	}
}
