package outbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/e2e/internal/mariadb"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
)

// failoverShop is a shop whose orders and outbox table are on a primary with a
// replica. Its relay feeds River in a SQLite file.
type failoverShop struct {
	kind     outbox.Database
	insert   string
	db       *sql.DB
	file     string
	platform *clickidtest.Server
	table    *outbox.TableOutbox
	stop     func()
}

func newFailoverShop(t *testing.T, d database) *failoverShop {
	t.Helper()
	s := &failoverShop{
		kind: d.kind, insert: "INSERT INTO orders (id) VALUES (?)", db: d.open(t),
		file: filepath.Join(t.TempDir(), "outbox.db"), platform: clickidtest.NewServer(t),
	}
	if d.kind == outbox.DatabasePostgreSQL {
		s.insert = "INSERT INTO orders (id) VALUES ($1)"
	}
	_, err := s.db.Exec("CREATE TABLE orders (id varchar(64) PRIMARY KEY)")
	require.NoError(t, err)
	s.open(t)
	require.NoError(t, s.table.Migrate(context.Background()))
	return s
}

// open opens the outbox without starting it.
func (s *failoverShop) open(t *testing.T) {
	t.Helper()
	client, err := crash.NewClient(s.platform.URL)
	require.NoError(t, err)
	queue, err := sqliteoutbox.Open(s.file, sqliteoutbox.Config{Delivery: outbox.Config{Destination: client}})
	require.NoError(t, err)
	require.NoError(t, queue.Migrate(context.Background()))
	table, err := outbox.NewTable(outbox.TableConfig{Database: s.kind, Destination: client})
	require.NoError(t, err)
	s.table, err = outbox.NewTableOutbox(queue, outbox.RelayConfig{DB: s.db, Table: table, Interval: 20 * time.Millisecond, Timeout: 2 * time.Second})
	require.NoError(t, err)
	var once sync.Once
	s.stop = func() {
		once.Do(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			_, _ = s.table.Stop(ctx)
			_ = queue.Close()
		})
	}
	t.Cleanup(s.stop)
}

// order places an order with its conversion.
func (s *failoverShop) order(id string) error {
	return inTransaction(s.db, func(tx *sql.Tx) error {
		if _, err := tx.Exec(s.insert, id); err != nil {
			return err
		}
		_, err := clickid.Convert(context.Background(), s.table.In(tx), crash.Conversion(id))
		return err
	})
}

// orders returns the orders in the database.
func (s *failoverShop) orders(t *testing.T) map[string]bool {
	t.Helper()
	rows, err := s.db.Query("SELECT id FROM orders")
	require.NoError(t, err)
	defer func() { _ = rows.Close() }()
	orders := make(map[string]bool)
	for rows.Next() {
		var id string
		require.NoError(t, rows.Scan(&id))
		orders[id] = true
	}
	require.NoError(t, rows.Err())
	return orders
}

// isMoved waits until the relay has moved everything.
func (s *failoverShop) isMoved(t *testing.T) {
	t.Helper()
	eventually(t, "everything is moved", func() bool {
		var waiting int
		return s.db.QueryRow("SELECT COUNT(*) FROM clickid_outbox").Scan(&waiting) == nil && waiting == 0
	})
}

// hasAccepted waits until the queue is empty, and checks that the platform has
// accepted a number of events, each once.
func (s *failoverShop) hasAccepted(t *testing.T, events int) {
	t.Helper()
	eventually(t, "everything is delivered", func() bool {
		stats, err := s.table.Stats(context.Background())
		return err == nil && stats.Queued == 0 && stats.DeadLetters == 0
	})
	require.Equal(t, events, s.platform.Count())
	require.Zero(t, crash.Resent(s.platform))
}

// ofGroup is the database of a group of MariaDB servers.
func ofGroup(servers *mariadb.Group) database {
	return database{outbox.DatabaseMySQL, "mysql", servers.DSN}
}

// TestTable_failover kills the primary while orders are placed and delivered, and
// promotes its synchronous replica. The customers repeat the orders that failed, and
// webhooks repeat all.
func TestTable_failover(t *testing.T) {
	t.Parallel()
	t.Run("mysql", func(t *testing.T) {
		t.Parallel()
		servers := mariadb.Start(t, true)
		testFailover(t, newFailoverShop(t, ofGroup(servers)), func(s *failoverShop) {
			servers.Primary.Kill()
			// The shop reaches the replica before its promotion.
			servers.Switch.To(servers.Replica)
			eventually(t, "the replica refuses an order", func() bool {
				_, err := s.table.Send(context.Background(), crash.Conversion("direct"))
				return err != nil && strings.Contains(err.Error(), "the server is read-only") && strings.Contains(err.Error(), "Error 1290 ")
			})
			servers.Promote()
		})
	})
	t.Run("postgresql", func(t *testing.T) {
		t.Parallel()
		primary := testserver.StartPostgres(t)
		standby := testserver.StartPostgresStandby(t, primary)
		execute := func(server *testserver.Server, statement string) {
			t.Helper()
			_, err := database{outbox.DatabasePostgreSQL, "pgx", server.DSN()}.open(t).Exec(statement)
			require.NoError(t, err)
		}
		execute(primary, "ALTER SYSTEM SET synchronous_standby_names = '*'")
		execute(primary, "SELECT pg_reload_conf()")
		both := "postgres://postgres@" + primary.Addr() + "," + standby.Addr() + "/postgres?sslmode=disable&target_session_attrs=read-write"
		testFailover(t, newFailoverShop(t, database{outbox.DatabasePostgreSQL, "pgx", both}), func(*failoverShop) {
			primary.Kill()
			execute(standby, "SELECT pg_promote()")
		})
	})
}

func testFailover(t *testing.T, s *failoverShop, failOver func(*failoverShop)) {
	require.NoError(t, s.table.Start(context.Background()))
	var (
		mu      sync.Mutex
		placed  []string
		failed  []string
		closing = make(chan struct{})
		group   sync.WaitGroup
	)
	for customer := range 4 {
		group.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-closing:
					return
				case <-time.After(10 * time.Millisecond): // the pace of the customers
				}
				id := fmt.Sprintf("%d-%d", customer, n)
				err := s.order(id)
				mu.Lock()
				if err == nil {
					placed = append(placed, id)
				} else {
					failed = append(failed, id)
				}
				mu.Unlock()
			}
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	_, err := s.platform.Wait(ctx, 100)
	require.NoError(t, err)
	failOver(s)
	before := s.platform.Count()
	_, err = s.platform.Wait(ctx, before+100)
	require.NoError(t, err)
	close(closing)
	group.Wait()

	orders := s.orders(t)
	for _, id := range placed {
		require.True(t, orders[id], "the confirmed order %s is lost", id)
	}
	s.isMoved(t)
	s.hasAccepted(t, len(orders))
	for _, id := range failed {
		if !orders[id] { // otherwise only the confirmation was lost
			require.NoError(t, s.order(id))
		}
	}
	for id := range s.orders(t) {
		write(t, s.table, crash.Conversion(id))
	}
	s.isMoved(t)
	s.hasAccepted(t, len(placed)+len(failed))
	t.Logf("%d orders placed, %d failed and repeated", len(placed), len(failed))
}

// TestTable_asynchronousFailover promotes a replica that lacks the latest
// transactions: orders are lost with their conversions unless the relay has moved
// those, and the table has events again that were moved.
func TestTable_asynchronousFailover(t *testing.T) {
	t.Parallel()
	const each = 100
	servers := mariadb.Start(t, false)
	s := newFailoverShop(t, ofGroup(servers))
	place := func(kind string) {
		t.Helper()
		for n := range each {
			require.NoError(t, s.order(fmt.Sprintf("%s-%d", kind, n)))
		}
	}
	place("replicated")
	servers.AwaitReplica()
	servers.Disconnect()
	require.NoError(t, s.table.Start(context.Background()))
	place("moved")
	s.isMoved(t)
	s.hasAccepted(t, 2*each)
	s.stop()
	place("waiting")

	servers.Primary.Kill()
	servers.Switch.To(servers.Replica)
	servers.Promote()
	require.Len(t, s.orders(t), each)
	s.open(t)
	stats, err := s.table.Stats(context.Background())
	require.NoError(t, err)
	require.Equal(t, each, stats.Queued, "the moved events are in the table again")
	require.NoError(t, s.table.Start(context.Background()))
	s.isMoved(t)
	s.hasAccepted(t, 2*each)
	// The customers repeat the lost orders.
	place("moved")
	place("waiting")
	s.isMoved(t)
	s.hasAccepted(t, 3*each)
}
