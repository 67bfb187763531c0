// Package mariadb provides a primary of MariaDB with a replica to the tests of
// failovers.
package mariadb

import (
	"context"
	"database/sql"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/clickid/clickid/internal/testserver"
)

// Group is a primary and a replica, which is read-only and follows it with global
// transaction IDs.
type Group struct {
	Primary, Replica *testserver.Server
	// Switch is the application's address. It leads to the primary at first.
	Switch *testserver.Switch
	// DSN leads to the database test at that address, as a user whom read_only
	// restricts.
	DSN string

	tb               testing.TB
	primary, replica *sql.DB // as root
}

var groups atomic.Int32

// Start starts a group. With semiSync the primary confirms a commit when the
// replica has it.
func Start(tb testing.TB, semiSync bool) *Group {
	tb.Helper()
	g := &Group{tb: tb, Primary: testserver.StartMariaDB(tb), Replica: testserver.StartMariaDB(tb)}
	// Both begin with the same data, so that the binary log is a complete copy.
	g.Primary.Restart("--server-id=1", "--log-bin=binlog")
	g.Replica.Restart("--server-id=2", "--log-bin=binlog", "--read-only", "--rpl-semi-sync-slave-enabled")
	g.Switch = testserver.NewSwitch(g.Primary)
	g.primary, g.replica = open(tb, g.Primary.DSN()), open(tb, g.Replica.DSN())

	host, port, err := net.SplitHostPort(g.Primary.Addr())
	if err != nil {
		tb.Fatal(err)
	}
	g.execute(g.replica, "CHANGE MASTER TO MASTER_HOST='"+host+"', MASTER_PORT="+port+", MASTER_USER='root', MASTER_USE_GTID=slave_pos", "START SLAVE")
	if semiSync {
		g.execute(g.primary, "SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC", "SET GLOBAL rpl_semi_sync_master_timeout = 600000", "SET GLOBAL rpl_semi_sync_master_enabled = ON")
		g.await("a semi-synchronous replica", func() bool {
			var name, clients string
			return g.primary.QueryRow("SHOW STATUS LIKE 'Rpl_semi_sync_master_clients'").Scan(&name, &clients) == nil && clients == "1"
		})
	}
	g.execute(g.primary, "CREATE USER shop@'127.0.0.1'", "GRANT ALL ON test.* TO shop@'127.0.0.1'")
	g.AwaitReplica()

	network := "switch" + string('a'+groups.Add(1))
	mysql.RegisterDialContext(network, func(ctx context.Context, address string) (net.Conn, error) { return g.Switch.Dial(ctx, "tcp", address) })
	tb.Cleanup(func() { mysql.DeregisterDialContext(network) })
	g.DSN = "shop@" + network + "(shop)/test"
	return g
}

func open(tb testing.TB, dsn string) *sql.DB {
	tb.Helper()
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// AwaitReplica waits until the replica has everything that the primary has
// committed.
func (g *Group) AwaitReplica() {
	g.tb.Helper()
	var position string
	if err := g.primary.QueryRow("SELECT @@GLOBAL.gtid_binlog_pos").Scan(&position); err != nil {
		g.tb.Fatal(err)
	}
	var late int
	if err := g.replica.QueryRow("SELECT MASTER_GTID_WAIT(?, 60)", position).Scan(&late); err != nil || late != 0 {
		g.tb.Fatalf("the replica does not follow: %d, %v", late, err)
	}
}

// Disconnect makes the replica stop following, as in a partition of the network.
func (g *Group) Disconnect() {
	g.tb.Helper()
	g.execute(g.replica, "STOP SLAVE")
}

// Promote makes the replica a primary. It executes what the replica has received.
func (g *Group) Promote() {
	g.tb.Helper()
	g.execute(g.replica, "STOP SLAVE IO_THREAD")
	received := g.status("Gtid_IO_Pos")
	g.await("the replica has executed what it has received", func() bool {
		var executed string
		err := g.replica.QueryRow("SELECT @@GLOBAL.gtid_slave_pos").Scan(&executed)
		return err == nil && executed == received
	})
	g.execute(g.replica, "STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = OFF")
}

// Demote makes the primary read-only.
func (g *Group) Demote() {
	g.tb.Helper()
	g.execute(g.primary, "SET GLOBAL read_only = ON")
}

// status returns a column of the replica's status.
func (g *Group) status(column string) string {
	g.tb.Helper()
	rows, err := g.replica.Query("SHOW SLAVE STATUS")
	if err != nil {
		g.tb.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil || !rows.Next() {
		g.tb.Fatalf("the server is not a replica: %v", err)
	}
	values, dest := make([]sql.NullString, len(columns)), make([]any, len(columns))
	for i := range values {
		dest[i] = &values[i]
	}
	if err := rows.Scan(dest...); err != nil {
		g.tb.Fatal(err)
	}
	return values[slices.Index(columns, column)].String
}

func (g *Group) execute(db *sql.DB, statements ...string) {
	g.tb.Helper()
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			g.tb.Fatalf("executing %q: %v", statement, err)
		}
	}
}

func (g *Group) await(what string, condition func() bool) {
	g.tb.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			g.tb.Fatal("not in time: " + what)
		}
	}
}
