package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid/outbox"
)

// TestRelay_concurrentOrders runs four relays, as in four processes, while
// orders are placed, some of them twice.
func TestRelay_concurrentOrders(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		const shops, each = 4, 150
		q, r := newQueue(), &recorder{}
		shop := d.open(t)
		table := d.table(t, shop)
		var relays []*outbox.Relay
		for range 4 {
			db := d.open(t)
			relays = append(relays, startRelay(t, outbox.RelayConfig{
				DB: db, Table: d.table(t, db), Queue: q, Batch: 20, Interval: time.Millisecond, Hook: r.hook,
			}))
		}
		var group sync.WaitGroup
		for i := range shops {
			group.Add(1)
			go func() {
				defer group.Done()
				for j := range each {
					// Webhooks are redelivered: every other shop repeats an
					// order.
					name := fmt.Sprint("order-", i/2, "-", j)
					err := inTransaction(shop, func(tx *sql.Tx) error {
						_, err := table.In(tx).Send(context.Background(), newEvent(name), newEvent(name+"-lead"))
						return err
					})
					if err != nil {
						t.Errorf("an order failed: %v", err)
						return
					}
				}
			}()
		}
		group.Wait()
		eventually(t, "everything is moved", func() bool { return count(t, table, shop) == 0 })
		require.Equal(t, 2*each*shops/2, q.size())
		require.Empty(t, r.of(outbox.KindRelayFailing), "a relay failed, such as by a deadlock")
		for _, relay := range relays {
			remaining, err := relay.Stop(context.Background())
			require.NoError(t, err)
			require.Zero(t, remaining)
		}
	})
}

// TestRelay_backlog lets four relays move a backlog, each event once.
func TestRelay_backlog(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		if d.kind == outbox.DatabaseSQLite {
			return // has no row locks that divide the work
		}
		const backlog = 2000
		db, q, r := d.open(t), newQueue(), &recorder{}
		table := d.table(t, db)
		write(t, table.In(db), newEvents("backlog", backlog)...)
		for range 4 {
			own := d.open(t)
			startRelay(t, outbox.RelayConfig{DB: own, Table: d.table(t, own), Queue: q, Batch: 50, Hook: r.hook})
		}
		eventually(t, "everything is moved", func() bool { return count(t, table, db) == 0 })
		require.Equal(t, backlog, q.size())
		q.onceEach(t)
		require.Empty(t, r.of(outbox.KindRelayFailing))
	})
}

// TestRelay_hangingQueue lets the queue of one relay hang in a batch, which is a part
// of the table or the whole of it.
func TestRelay_hangingQueue(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		t.Run("a part", func(t *testing.T) { testHangingQueue(t, d, 10) })
		t.Run("the whole table", func(t *testing.T) { testHangingQueue(t, newDatabase(t, d.kind), 200) })
	})
}

func testHangingQueue(t *testing.T, d database, batch int) {
	const backlog = 100
	db, stuck, q := d.open(t), newQueue(), newQueue()
	table := d.table(t, db)
	write(t, table.In(db), newEvents("backlog", backlog)...)
	entered := make(chan struct{})
	var once sync.Once
	stuck.setFail(func(ctx context.Context, records []outbox.Record) error {
		once.Do(func() { close(entered) })
		return hanging(ctx, records)
	})
	own := d.open(t)
	hanging := startRelay(t, outbox.RelayConfig{DB: own, Table: d.table(t, own), Queue: stuck, Batch: batch, Timeout: time.Hour})
	<-entered
	// Orders commit without waiting.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := table.In(db).Send(ctx, newEvents("new", 10)...)
	require.NoError(t, err)
	// Another relay moves the other events. On SQLite, without
	// row locks, it moves all.
	startRelay(t, outbox.RelayConfig{DB: db, Table: table, Queue: q, Batch: 7})
	left := min(batch, backlog)
	if d.kind == outbox.DatabaseSQLite {
		left = 0
	}
	eventually(t, "the others are moved", func() bool { return q.size() == backlog+10-left && count(t, table, db) == left })
	// The events of the hanging relay are moved after its end.
	stopCtx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = hanging.Stop(stopCtx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	eventually(t, "everything is moved", func() bool { return q.size() == backlog+10 })
}

// TestRelay_repeatedOrder places an order again while the relay moves its first
// event.
func TestRelay_repeatedOrder(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		db, q := d.open(t), newQueue()
		table := d.table(t, db)
		write(t, table.In(db), newEvent("order"))
		entered, proceed := make(chan struct{}), make(chan struct{})
		var once sync.Once
		q.setFail(func(context.Context, []outbox.Record) error {
			once.Do(func() { close(entered) })
			<-proceed
			return nil
		})
		own := d.open(t)
		startRelay(t, outbox.RelayConfig{DB: own, Table: d.table(t, own), Queue: q})
		<-entered
		again := make(chan error)
		go func() {
			again <- inTransaction(db, func(tx *sql.Tx) error {
				_, err := table.In(tx).Send(context.Background(), newEvent("order"), newEvent("another"))
				return err
			})
		}()
		close(proceed)
		require.NoError(t, <-again)
		eventually(t, "everything is moved", func() bool { return count(t, table, db) == 0 && q.size() == 2 })
	})
}

func TestRelay_Notify(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		db, q := d.open(t), newQueue()
		table := d.table(t, db)
		startRelay(t, outbox.RelayConfig{DB: db, Table: table, Queue: q, Batch: 10, Interval: time.Hour})
		// Without a caller's transaction, Send notifies the relay. After a full
		// batch the next one follows at once.
		write(t, table.In(db), newEvents("sent", 35)...)
		eventually(t, "the sent events are moved", func() bool { return q.size() == 35 })
		require.NoError(t, inTransaction(db, func(tx *sql.Tx) error {
			write(t, table.In(tx), newEvent("committed"))
			return nil
		}))
		table.Notify()
		eventually(t, "the committed event is moved", func() bool { return q.size() == 36 })
		q.onceEach(t)
	})
}

// TestRelay_failingQueue lets the queue fail and recover. The failure is
// reported once.
func TestRelay_failingQueue(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		db, q, r := d.open(t), newQueue(), &recorder{}
		table := d.table(t, db)
		q.setFail(failing)
		write(t, table.In(db), newEvents("waiting", 30)...)
		startRelay(t, outbox.RelayConfig{DB: db, Table: table, Queue: q, Interval: time.Millisecond, Hook: r.hook})
		eventually(t, "the relay tries again", func() bool {
			q.mu.Lock()
			defer q.mu.Unlock()
			return q.calls >= 5
		})
		reported := r.of(outbox.KindRelayFailing)
		require.Len(t, reported, 1)
		require.ErrorIs(t, reported[0].Err, errQueue)
		require.Equal(t, 30, count(t, table, db))
		q.setFail(nil)
		eventually(t, "everything is moved", func() bool { return q.size() == 30 })
		eventually(t, "the recovery is reported", func() bool { return len(r.of(outbox.KindRelayRecovered)) == 1 })
	})
}

// TestRelay_refusedEvent has an event that fails every batch with it.
func TestRelay_refusedEvent(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		const backlog = 200
		db, q := d.open(t), newQueue()
		table := d.table(t, db)
		poison := ""
		q.setFail(func(_ context.Context, records []outbox.Record) error {
			if poison == "" {
				poison = records[len(records)/3].Identity
			}
			if slices.ContainsFunc(records, func(r outbox.Record) bool { return r.Identity == poison }) {
				return errors.New("too large for the queue")
			}
			return nil
		})
		write(t, table.In(db), newEvents("order", backlog)...)
		startRelay(t, outbox.RelayConfig{DB: db, Table: table, Queue: q, Interval: time.Millisecond})
		eventually(t, "all the others are moved", func() bool { return count(t, table, db) == 1 })
		write(t, table.In(db), newEvents("later", 20)...)
		eventually(t, "later ones are moved too", func() bool { return q.size() == backlog-1+20 })
		require.NotContains(t, q.records, poison)
	})
}

// TestRelay_interruptedMove ends the relay when the queue has the events and
// the table has not deleted them.
func TestRelay_interruptedMove(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		db, q := d.open(t), newQueue()
		table := d.table(t, db)
		write(t, table.In(db), newEvents("order", 10)...)
		ctx, interrupt := context.WithCancel(context.Background())
		q.setFail(func(context.Context, []outbox.Record) error {
			interrupt()
			return nil
		})
		relay, err := outbox.NewRelay(outbox.RelayConfig{DB: db, Table: table, Queue: q})
		require.NoError(t, err)
		require.ErrorIs(t, relay.Run(ctx), context.Canceled)
		require.Equal(t, 10, q.size(), "the queue has the events")
		require.Equal(t, 10, count(t, table, db), "the table has the events")
		q.setFail(nil)
		startRelay(t, outbox.RelayConfig{DB: db, Table: table, Queue: q})
		eventually(t, "they are deleted", func() bool { return count(t, table, db) == 0 })
		require.Equal(t, 10, q.size())
	})
}

func TestRelay_Stop(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		for _, test := range []struct {
			name      string
			fail      func(context.Context, []outbox.Record) error
			remaining int
			err       error
		}{
			{"moves the backlog", nil, 0, nil},
			{"ends at a failure", failing, 50, nil},
			{"ends at its deadline", hanging, 50, context.DeadlineExceeded},
		} {
			t.Run(test.name, func(t *testing.T) {
				db, q := d.open(t), newQueue()
				table, err := outbox.NewTable(outbox.TableConfig{Database: d.kind, Destination: newClient(t, "http://127.0.0.1:1"), Prefix: fmt.Sprintf("t%d_", test.remaining+len(test.name))})
				require.NoError(t, err)
				require.NoError(t, table.Migrate(context.Background(), db))
				relay := startRelay(t, outbox.RelayConfig{DB: db, Table: table, Queue: q, Batch: 20, Interval: time.Hour})
				require.Error(t, relay.Start(context.Background()), "a second Start")
				q.setFail(test.fail)
				require.NoError(t, inTransaction(db, func(tx *sql.Tx) error {
					write(t, table.In(tx), newEvents("order", 50)...)
					return nil
				}))
				ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
				defer cancel()
				if test.err == nil {
					ctx = context.Background()
				}
				remaining, err := relay.Stop(ctx)
				require.ErrorIs(t, err, test.err)
				require.Equal(t, test.remaining, remaining)
				require.Equal(t, test.remaining, count(t, table, db))
			})
		}
	})
}
