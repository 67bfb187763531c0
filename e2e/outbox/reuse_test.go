package outbox_test

import (
	"context"
	"database/sql"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/interleavetest"
	"github.com/clickid/clickid/outbox"
)

// openBefore opens a database in which act runs once, on another connection, before the
// first statement that begins with a prefix.
func (d database) openBefore(t *testing.T, prefix string, act func(db *sql.DB)) *sql.DB {
	t.Helper()
	other := d.open(t)
	var once sync.Once
	return interleavetest.OpenDB(t, d.driver, d.dsn, nil, func(statement string) bool {
		if strings.HasPrefix(statement, prefix) {
			once.Do(func() { act(other) })
		}
		return false
	})
}

// reuse deletes the row with the id 1 and gives its id to the row with the id 2, as a
// new primary does that lacks the first one.
func reuse(t *testing.T, db *sql.DB, table string) {
	t.Helper()
	for _, statement := range []string{"DELETE FROM " + table + " WHERE id = 1", "UPDATE " + table + " SET id = 1 WHERE id = 2"} {
		result, err := db.Exec(statement)
		require.NoError(t, err)
		n, err := result.RowsAffected()
		require.NoError(t, err)
		require.EqualValues(t, 1, n, statement)
	}
}

// TestRelay_reusedID lets an asynchronous failover happen between the outcomes of the
// moved events and the deletion of those that have one.
func TestRelay_reusedID(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		db, q := d.open(t), newVolatileQueue()
		table := d.table(t, db)
		relay, err := outbox.NewRelay(outbox.RelayConfig{DB: db, Table: table, Queue: q, Interval: time.Millisecond, ConfirmAfter: time.Hour})
		require.NoError(t, err)
		require.NoError(t, relay.Start(context.Background()))
		for n, id := range []string{"delivered", "queued"} {
			write(t, table.In(db), newEvent(id))
			eventually(t, "the event is moved", func() bool { return count(t, table, db) == 0 && moved(t, db) == n+1 })
		}
		_, err = relay.Stop(context.Background())
		require.NoError(t, err)
		q.deliver("delivered")
		failedOver := make(chan struct{})
		failing := d.openBefore(t, "DELETE", func(db *sql.DB) {
			reuse(t, db, "clickid_outbox_moved")
			q.forget()
			close(failedOver)
		})
		startRelay(t, outbox.RelayConfig{DB: failing, Table: table, Queue: q, ConfirmAfter: time.Millisecond})
		<-failedOver
		eventually(t, "the forgotten event is enqueued again", func() bool { return q.size() == 1 })
		require.Equal(t, []string{"queued"}, q.ids())
	})
}

// TestTable_Erase_reusedID lets an asynchronous failover happen between the search for
// the events of a key and their deletion.
func TestTable_Erase_reusedID(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		db := d.open(t)
		table := d.table(t, db)
		e := newEvent("erased")
		e.Keys = []clickid.Key{clickid.CustomerKey("7")}
		write(t, table.In(db), e)
		write(t, table.In(db), newEvent("queued"))
		failing := d.openBefore(t, "DELETE", func(db *sql.DB) { reuse(t, db, "clickid_outbox") })
		n, err := table.Erase(context.Background(), failing, clickid.CustomerKey("7"))
		require.NoError(t, err)
		require.Zero(t, n)
		require.Equal(t, 1, count(t, table, db), "the other event is in the table")
	})
}
