package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/e2e/internal/mariadb"
	"github.com/clickid/clickid/internal/outagetest"
	"github.com/clickid/clickid/internal/testserver"
	sqlstore "github.com/clickid/clickid/store_sql"
)

func TestStore_outage(t *testing.T) {
	for _, d := range []struct {
		testDatabase
		start func(testing.TB) *testserver.Server
	}{
		{testDatabase{database: sqlstore.DatabasePostgreSQL, driver: "pgx"}, testserver.StartPostgres},
		{testDatabase{database: sqlstore.DatabaseMySQL, driver: "mysql"}, testserver.StartMariaDB},
	} {
		t.Run(string(d.database), func(t *testing.T) {
			t.Parallel()
			server := d.start(t)
			db := d.open(t, server.DSN())
			store := d.migrated(t, db, sqlstore.DefaultPrefix)
			s := outagetest.NewShop(t, clickid.Config{Store: store})
			before, forgotten := s.Lands(t, "before-the-outage"), s.Lands(t, "forgotten")

			server.Pause()
			s.ServesWithoutStore(t, before)
			pending := s.FailsToForget(t, forgotten)
			_, err := s.Tracker.Linked(context.Background(), clickid.OrderKey("42"))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Error(t, s.Tracker.Link(s.Visit(before), clickid.OrderKey("42")))
			server.Resume()
			s.Recovers(t, before, "before-the-outage")
			s.Forgets(t, forgotten, pending)

			server.Stop()
			s.ServesWithoutStore(t, before)
			// A shop that starts during the outage serves pages as well.
			late := outagetest.NewShop(t, clickid.Config{Store: d.newStore(t, d.open(t, server.DSN()))})
			late.ServesWithoutStore(t, before)
			server.Restart()
			s.Recovers(t, before, "before-the-outage")
			late.Recovers(t, before, "before-the-outage")

			server.Kill()
			s.ServesWithoutStore(t, before)
			server.Restart()
			s.Lands(t, "after-the-crash")
		})
	}
}

// TestStore_failover kills the primary server of PostgreSQL during a visit and
// promotes its standby.
func TestStore_failover(t *testing.T) {
	t.Parallel()
	servers := startPostgresPair(t)
	s := outagetest.NewShop(t, clickid.Config{Store: servers.store})
	before := s.Lands(t, "before-the-outage")
	servers.awaitStandby(t)

	servers.primary.Kill()
	s.ServesWithoutStore(t, before)
	servers.promote(t)
	s.Recovers(t, before, "before-the-outage")
}

// postgresPair is a primary of PostgreSQL with a standby, and a store that connects
// to the one that writes.
type postgresPair struct {
	primary *testserver.Server
	standby *sql.DB
	store   *store
}

func startPostgresPair(t *testing.T) *postgresPair {
	t.Helper()
	primary := testserver.StartPostgres(t)
	standby := testserver.StartPostgresStandby(t, primary)
	d := testDatabase{database: sqlstore.DatabasePostgreSQL, driver: "pgx"}
	db := d.open(t, "postgres://postgres@"+primary.Addr()+","+standby.Addr()+"/postgres?sslmode=disable&target_session_attrs=read-write")
	return &postgresPair{primary, d.open(t, standby.DSN()), d.migrated(t, db, sqlstore.DefaultPrefix)}
}

// awaitStandby waits until the standby has everything that the primary has committed.
func (p *postgresPair) awaitStandby(t *testing.T) {
	t.Helper()
	var position string
	require.NoError(t, p.store.db.QueryRow("SELECT pg_current_wal_flush_lsn()").Scan(&position))
	outagetest.Eventually(t, func() error {
		var behind bool
		err := p.standby.QueryRow("SELECT pg_last_wal_replay_lsn() < $1::pg_lsn", position).Scan(&behind)
		if err == nil && behind {
			err = errors.New("the standby is behind the primary")
		}
		return err
	})
}

func (p *postgresPair) promote(t *testing.T) {
	t.Helper()
	_, err := p.standby.Exec("SELECT pg_promote()")
	require.NoError(t, err)
}

// TestStore_failoverMariaDB kills the primary of MariaDB during a visit. The shop
// reaches the replica before it is promoted.
func TestStore_failoverMariaDB(t *testing.T) {
	t.Parallel()
	servers := mariadb.Start(t, false)
	d := testDatabase{database: sqlstore.DatabaseMySQL, driver: "mysql"}
	s := outagetest.NewShop(t, clickid.Config{Store: d.migrated(t, d.open(t, servers.DSN), sqlstore.DefaultPrefix)})
	before := s.Lands(t, "before-the-outage")
	servers.AwaitReplica()

	servers.Primary.Kill()
	s.ServesWithoutStore(t, before)
	servers.Switch.To(servers.Replica)
	refusal := s.FailsToLand(t, "on-the-replica")
	require.ErrorContains(t, refusal, "the server is read-only")
	require.ErrorContains(t, refusal, "Error 1290 ")
	require.Equal(t, "before-the-outage", outagetest.ClickOf(s.Get(t, "/cart", before...)))
	servers.Promote()
	s.Recovers(t, before, "before-the-outage")
}

// TestStore_fallback stops the server, or kills the primary and promotes its replica,
// while a fallback is configured.
func TestStore_fallback(t *testing.T) {
	for _, d := range slowDatabases {
		t.Run("outage of "+string(d.database), func(t *testing.T) {
			t.Parallel()
			server := d.start(t)
			store := d.migrated(t, d.testDatabase.open(t, server.DSN()), sqlstore.DefaultPrefix)
			outagetest.RunFallback(t, outagetest.Primary{
				Store: store, Begin: server.Stop, End: func() { server.Restart() },
				Count: func() int { return store.count(t, "clicks") },
			})
		})
	}
	t.Run("failover of postgresql", func(t *testing.T) {
		t.Parallel()
		servers := startPostgresPair(t)
		outagetest.RunFallback(t, outagetest.Primary{
			Store: servers.store,
			Begin: func() { servers.awaitStandby(t); servers.primary.Kill() },
			End:   func() { servers.promote(t) },
			Count: func() int { return servers.store.count(t, "clicks") },
		})
	})
	t.Run("failover of mysql", func(t *testing.T) {
		t.Parallel()
		servers := mariadb.Start(t, false)
		d := testDatabase{database: sqlstore.DatabaseMySQL, driver: "mysql"}
		store := d.migrated(t, d.open(t, servers.DSN), sqlstore.DefaultPrefix)
		outagetest.RunFallback(t, outagetest.Primary{
			Store: store,
			Begin: func() {
				servers.AwaitReplica()
				servers.Primary.Kill()
			},
			End: func() {
				servers.Switch.To(servers.Replica)
				servers.Promote()
			},
			Count: func() int { return store.count(t, "clicks") },
		})
	})
}

// TestStore_switchover demotes the primary of MariaDB, to which the pool has
// connections, after its replica was promoted. The driver closes them.
func TestStore_switchover(t *testing.T) {
	t.Parallel()
	servers := mariadb.Start(t, false)
	d := testDatabase{database: sqlstore.DatabaseMySQL, driver: "mysql"}
	db := d.open(t, servers.DSN+"?rejectReadOnly=true")
	s := outagetest.NewShop(t, clickid.Config{Store: d.migrated(t, db, sqlstore.DefaultPrefix)})
	before := s.Lands(t, "before-the-switchover")
	require.Positive(t, db.Stats().Idle)
	servers.AwaitReplica()

	servers.Demote()
	servers.Promote()
	servers.Switch.To(servers.Replica)
	s.Recovers(t, before, "before-the-switchover")
}

// TestStore_fullDisk fills the disk of the server. New clicks are reported and
// not stored, and earlier ones are found.
func TestStore_fullDisk(t *testing.T) {
	for _, d := range []struct {
		testDatabase
		start   func(testing.TB) *testserver.Server
		refusal string
	}{
		{testDatabase{database: sqlstore.DatabasePostgreSQL, driver: "pgx"}, testserver.StartPostgresOnDisk, "No space left"},
		{testDatabase{database: sqlstore.DatabaseMySQL, driver: "mysql"}, testserver.StartMariaDBOnDisk, "full"},
	} {
		t.Run(string(d.database), func(t *testing.T) {
			t.Parallel()
			server := d.start(t)
			s := outagetest.NewShop(t, clickid.Config{
				Store: d.migrated(t, d.open(t, server.DSN()), sqlstore.DefaultPrefix), StoreTimeout: time.Minute,
			})
			before := s.Lands(t, "before-it-was-full")
			server.FillDisk()
			require.ErrorContains(t, s.FailsToLand(t, "when-it-was-full"), d.refusal)
			require.Equal(t, "before-it-was-full", outagetest.ClickOf(s.Get(t, "/cart", before...)))
			require.Empty(t, s.Failures())

			server.FreeDisk()
			s.Recovers(t, before, "before-it-was-full")
		})
	}
}

// TestStore_fullFile limits the size of a SQLite file, like a full disk.
func TestStore_fullFile(t *testing.T) {
	t.Parallel()
	d := testDatabase{database: sqlstore.DatabaseSQLite, driver: "sqlite"}
	db := d.open(t, filepath.Join(t.TempDir(), "clicks.db"))
	db.SetMaxOpenConns(1) // the limit is that of a connection
	s := outagetest.NewShop(t, clickid.Config{Store: d.migrated(t, db, sqlstore.DefaultPrefix)})
	before := s.Lands(t, "before-it-was-full")
	_, err := db.Exec("PRAGMA max_page_count = 40")
	require.NoError(t, err)
	require.ErrorContains(t, s.FailsToLand(t, "when-it-was-full"), "full")
	require.Equal(t, "before-it-was-full", outagetest.ClickOf(s.Get(t, "/cart", before...)))
	require.Empty(t, s.Failures())

	_, err = db.Exec("PRAGMA max_page_count = 100000")
	require.NoError(t, err)
	s.Recovers(t, before, "before-it-was-full")
}

// TestStore_lockedFile has another process that holds the lock of the file.
func TestStore_lockedFile(t *testing.T) {
	t.Parallel()
	d := testDatabase{database: sqlstore.DatabaseSQLite, driver: "sqlite"}
	path := filepath.Join(t.TempDir(), "clicks.db")
	s := outagetest.NewShop(t, clickid.Config{Store: d.migrated(t, d.open(t, path), sqlstore.DefaultPrefix)})
	before := s.Lands(t, "before-the-lock")

	unlock := lockFile(t, path)
	landing := s.Get(t, "/?clkid=during-the-lock")
	require.Empty(t, landing.Cookies())
	failures := s.Failures()
	require.Len(t, failures, 1)
	require.ErrorIs(t, failures[0], context.DeadlineExceeded)
	// Readers do not wait for the writer.
	require.Equal(t, "before-the-lock", outagetest.ClickOf(s.Get(t, "/cart", before...)))

	unlock()
	s.Recovers(t, before, "before-the-lock")
}

// TestStore_slowFile has another process that holds the lock of the file for less
// than the timeout: pages wait, and their clicks are stored.
func TestStore_slowFile(t *testing.T) {
	t.Parallel()
	d := testDatabase{database: sqlstore.DatabaseSQLite, driver: "sqlite"}
	path := filepath.Join(t.TempDir(), "clicks.db")
	store := d.migrated(t, d.open(t, path), sqlstore.DefaultPrefix)
	s := outagetest.NewShop(t, clickid.Config{Store: store, StoreTimeout: time.Minute})
	unlock := lockFile(t, path)
	const visitors = 8
	landings := make(chan *http.Response, visitors)
	for i := range visitors {
		go func() { landings <- s.Get(t, fmt.Sprint("/?clkid=slow-", i)) }()
	}
	time.Sleep(2 * time.Second) // the length of the fault
	require.Empty(t, landings, "a page did not wait for the store")
	unlock()
	for range visitors {
		landing := <-landings
		require.Equal(t, outagetest.ClickOf(landing), outagetest.ClickOf(s.Get(t, "/cart", landing.Cookies()...)))
	}
	require.Empty(t, s.Failures())
	require.Equal(t, visitors, store.count(t, "clicks"))
}

// lockFile locks a SQLite file for writers. The lock has a pool of its own, or it
// would wait for itself.
func lockFile(t *testing.T, path string) (unlock func()) {
	t.Helper()
	other, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close()) })
	other.SetMaxOpenConns(1)
	_, err = other.Exec("BEGIN IMMEDIATE")
	require.NoError(t, err)
	return func() {
		_, err := other.Exec("ROLLBACK")
		require.NoError(t, err)
	}
}

func TestStore_closedPool(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		store, db := d.store(t)
		s := outagetest.NewShop(t, clickid.Config{Store: store})
		before := s.Lands(t, "before-the-close")
		require.NoError(t, db.Close())
		s.ServesWithoutStore(t, before)
	})
}
