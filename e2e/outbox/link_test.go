package outbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
)

// linkedShop is a shop that reaches its database through a link. An order that is
// placed again is not stored again.
type linkedShop struct {
	*failoverShop
	link   *testserver.Link
	direct *sql.DB // without the link
	commit string  // as the driver sends it
}

func onEachLink(t *testing.T, test func(t *testing.T, s linkedShop)) {
	for kind, row := range map[outbox.Database]struct{ insert, commit string }{
		outbox.DatabasePostgreSQL: {"INSERT INTO orders (id) VALUES ($1) ON CONFLICT DO NOTHING", "commit\x00"},
		outbox.DatabaseMySQL:      {"INSERT IGNORE INTO orders (id) VALUES (?)", "\x03commit"},
	} {
		t.Run(string(kind), func(t *testing.T) {
			d := newDatabase(t, kind)
			s := linkedShop{link: testserver.NewLink(t, d.dsn), direct: d.open(t), commit: row.commit}
			d.dsn = s.link.DSN()
			s.failoverShop = newFailoverShop(t, d)
			s.insert = row.insert
			test(t, s)
		})
	}
}

// sends sends a conversion in a transaction of its own.
func (s linkedShop) sends(id string) error {
	_, err := s.table.Send(context.Background(), crash.Conversion(id))
	return err
}

// waiting returns the number of rows in the table.
func (s linkedShop) waiting(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, s.direct.QueryRow("SELECT COUNT(*) FROM clickid_outbox").Scan(&n))
	return n
}

// TestTable_cutCommit cuts the connection to the database before and after the
// commit of an order, of a Send, and of a relay's batch. The shop gets the error and
// repeats the order, and each event is sent once.
func TestTable_cutCommit(t *testing.T) {
	t.Parallel()
	onEachLink(t, func(t *testing.T, s linkedShop) {
		link := s.link
		events := 0
		for name, place := range map[string]func(id string) error{"order": s.order, "send": s.sends} {
			for _, cut := range []struct {
				name string
				at   func(text string) func()
				rows int // with those of the repeated order
			}{{"before", link.CutBefore, 1}, {"after", link.CutAfter, 2}} {
				id, before := name+"-"+cut.name, s.waiting(t)
				awaitCut := cut.at(s.commit)
				require.Error(t, place(id), id)
				awaitCut()
				require.NoError(t, place(id), id)
				require.Equal(t, before+cut.rows, s.waiting(t), id)
				events++
			}
		}
		for name, cut := range map[string]func(string) func(){"before": link.CutBefore, "after": link.CutAfter} {
			for n := range 10 {
				write(t, s.table.In(s.direct), crash.Conversion(fmt.Sprintf("relay-%s-%d", name, n)))
			}
			awaitCut := cut(s.commit)
			require.NoError(t, s.table.Start(context.Background()))
			awaitCut()
			s.isMoved(t)
			events += 10
			s.hasAccepted(t, events)
			s.stop()
			s.open(t)
		}
	})
}

// TestTable_Send_closedConnections cuts the connections that wait in the pool: the next
// Send uses a new one.
func TestTable_Send_closedConnections(t *testing.T) {
	t.Parallel()
	onEachLink(t, func(t *testing.T, s linkedShop) {
		if s.kind == outbox.DatabasePostgreSQL {
			return // pgx looks at connections that have waited for a second
		}
		var idle []*sql.Conn
		for range 8 {
			conn, err := s.db.Conn(context.Background())
			require.NoError(t, err)
			idle = append(idle, conn)
		}
		for _, conn := range idle {
			require.NoError(t, conn.Close())
		}
		require.Equal(t, 8, s.db.Stats().Idle)
		s.link.Cut()
		require.NoError(t, s.sends("order"))
	})
}
