package outbox_test

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
)

// volatileQueue is a queue that can forget its events, as Redis can.
type volatileQueue struct {
	*queue
	ended map[string]bool
}

func newVolatileQueue() *volatileQueue { return &volatileQueue{newQueue(), make(map[string]bool)} }

func (q *volatileQueue) Enqueue(ctx context.Context, records []outbox.Record) (map[string]string, error) {
	known := make(map[string]string)
	q.mu.Lock()
	records = slices.DeleteFunc(slices.Clone(records), func(r outbox.Record) bool {
		stored, ok := q.records[r.Identity]
		if ok {
			known[r.Identity] = stored.Fingerprint
		}
		return ok
	})
	q.mu.Unlock()
	_, err := q.queue.Enqueue(ctx, records)
	return known, err
}

func (q *volatileQueue) Outcomes(_ context.Context, identities []string) (map[string]bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	outcomes := make(map[string]bool)
	for _, identity := range identities {
		if _, ok := q.records[identity]; ok {
			outcomes[identity] = q.ended[identity]
		}
	}
	return outcomes, nil
}

// deliver ends an event, and forget forgets all events.
func (q *volatileQueue) deliver(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for identity, r := range q.records {
		if e, _ := r.Event(); e.ID == id {
			q.ended[identity] = true
		}
	}
}

func (q *volatileQueue) forget() {
	q.mu.Lock()
	defer q.mu.Unlock()
	clear(q.records)
}

// ids returns the IDs of the queued events.
func (q *volatileQueue) ids() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var ids []string
	for r := range maps.Values(q.records) {
		e, _ := r.Event()
		ids = append(ids, e.ID)
	}
	slices.Sort(ids)
	return ids
}

// moved returns the number of moved events without an outcome.
func moved(t testing.TB, db *sql.DB) int {
	t.Helper()
	var n int
	require.NoError(t, db.QueryRow("SELECT COUNT(*) FROM clickid_outbox_moved").Scan(&n))
	return n
}

// TestRelay_forgetfulQueue checks that moved events stay in the database until
// they have their outcome.
func TestRelay_forgetfulQueue(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		db, q, r := d.open(t), newVolatileQueue(), &recorder{}
		table := d.table(t, db)
		startRelay(t, outbox.RelayConfig{DB: db, Table: table, Queue: q, Batch: 3, ConfirmAfter: 50 * time.Millisecond, Hook: r.hook})
		write(t, table.In(db), newEvents("order", 8)...)
		erased := newEvent("erased")
		erased.Keys = []clickid.Key{clickid.CustomerKey("7")}
		write(t, table.In(db), erased)
		eventually(t, "everything is moved", func() bool { return count(t, table, db) == 0 && q.size() == 9 })
		require.Equal(t, 9, moved(t, db))
		q.deliver("order-3")
		eventually(t, "the outcome is known", func() bool { return moved(t, db) == 8 })
		n, err := table.Erase(context.Background(), db, clickid.CustomerKey("7"))
		require.NoError(t, err)
		require.Zero(t, n, "the queue counts what was moved")
		require.Empty(t, r.of(outbox.KindRequeued))

		q.forget()
		eventually(t, "what was forgotten is enqueued again", func() bool { return q.size() == 7 })
		require.NotContains(t, q.ids(), "order-3", "a delivered event came back")
		require.NotContains(t, q.ids(), "erased", "an erased event came back")
		eventually(t, "the hook is called", func() bool { return len(r.of(outbox.KindRequeued)) > 0 })
		for _, id := range q.ids() {
			q.deliver(id)
		}
		eventually(t, "the table is empty", func() bool { return moved(t, db) == 0 })
		require.Empty(t, r.of(outbox.KindRelayFailing))
	})
}

// values returns the values of the queued events.
func (q *volatileQueue) values() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var values []string
	for r := range maps.Values(q.records) {
		e, _ := r.Event()
		values = append(values, e.Value.Number())
	}
	return values
}

// TestRelay_forgetfulQueue_corrected lets the queue forget an event that was sent after
// a discarded one of the same identity, before the relay has looked for the outcome of
// the first. A third one, which the queue does not store, does not take its place.
func TestRelay_forgetfulQueue_corrected(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		db, q := d.open(t), newVolatileQueue()
		table := d.table(t, db)
		relay, err := outbox.NewRelay(outbox.RelayConfig{DB: db, Table: table, Queue: q, Interval: time.Millisecond, ConfirmAfter: time.Hour})
		require.NoError(t, err)
		require.NoError(t, relay.Start(context.Background()))
		send := func(cents int64, moves int) {
			e := newEvent("order")
			e.Value = clickid.Minor(cents, "USD")
			write(t, table.In(db), e)
			eventually(t, "the event is moved", func() bool { return count(t, table, db) == 0 })
			require.Equal(t, moves, moved(t, db))
		}
		send(1000, 1)
		q.forget() // as after a Discard
		send(2000, 2)
		send(3000, 2)
		_, err = relay.Stop(context.Background())
		require.NoError(t, err)
		q.forget()
		startRelay(t, outbox.RelayConfig{DB: db, Table: table, Queue: q, ConfirmAfter: time.Millisecond})
		eventually(t, "the event is enqueued again", func() bool { return q.size() == 1 })
		require.Equal(t, []string{"20.00"}, q.values())
	})
}

// TestTable_Migrate_older adds the table of moved events to a database of an
// older version.
func TestTable_Migrate_older(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		db := d.open(t)
		table := d.table(t, db)
		write(t, table.In(db), newEvent("old"))
		_, err := db.Exec("DROP TABLE clickid_outbox_moved")
		require.NoError(t, err)
		require.NoError(t, table.Migrate(context.Background(), db))
		require.Zero(t, moved(t, db))
		require.Equal(t, 1, count(t, table, db))
	})
}
