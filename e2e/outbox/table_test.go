package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
)

// TestRelay_records compares the records that the queue gets with those that it
// would get without the table.
func TestRelay_records(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		e := newEvent("exact-ü-😀")
		e.Value = clickid.Decimal("123456789012345.123456789", "KWD")
		e.OrderID = "order"
		e.Keys = []clickid.Key{clickid.CustomerKey("customer"), clickid.SessionKey("session")}
		e.Properties = map[string]any{"quotes": `'"\`, "nul": "a\x00b", "large": strings.Repeat("x", 60_000)}
		client := newClient(t, "http://127.0.0.1:1")
		delivery, err := outbox.NewDelivery(outbox.Config{Destination: client})
		require.NoError(t, err)
		before := time.Now().Truncate(time.Millisecond)
		_, direct := delivery.Admit(context.Background(), e)
		require.Len(t, direct, 1)

		db := d.open(t)
		table, q := d.tableOf(t, db, client), newQueue()
		write(t, table.In(db), e)
		startRelay(t, outbox.RelayConfig{DB: db, Table: table, Queue: q})
		eventually(t, "the record is moved", func() bool { return q.size() == 1 })
		moved := q.records[direct[0].Identity]
		require.Equal(t, string(direct[0].Payload), string(moved.Payload))
		require.Equal(t, direct[0].Keys, moved.Keys)
		require.Len(t, moved.Keys, 4)
		require.Equal(t, direct[0].Fingerprint, moved.Fingerprint)
		require.False(t, moved.QueuedAt.Before(before))
		require.Equal(t, time.UTC, moved.QueuedAt.Location())
		require.WithinDuration(t, direct[0].QueuedAt, moved.QueuedAt, patience)
	})
}

// TestTable_In stores events in transactions of the order.
func TestTable_In(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		db := d.open(t)
		table := d.table(t, db)
		failed := errors.New("the order fails")
		err := inTransaction(db, func(tx *sql.Tx) error {
			write(t, table.In(tx), newEvents("rolled-back", 3)...)
			return failed
		})
		require.ErrorIs(t, err, failed)
		require.Zero(t, count(t, table, db))
		require.NoError(t, inTransaction(db, func(tx *sql.Tx) error {
			// More rows than one INSERT may have, twice in one transaction.
			write(t, table.In(tx), newEvents("committed", 900)...)
			write(t, table.In(tx), newEvents("committed", 901)...)
			return nil
		}))
		require.Equal(t, 901, count(t, table, db))
	})
}

// TestTable_Send_databaseError breaks the table. The error must not pass for a
// known identity.
func TestTable_Send_databaseError(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		db := d.open(t)
		table := d.table(t, db)
		_, err := db.Exec("ALTER TABLE clickid_outbox ADD COLUMN needed integer NOT NULL DEFAULT 1 CHECK (needed <> 1)")
		require.NoError(t, err)
		report, err := table.In(db).Send(context.Background(), newEvent("refused"))
		require.ErrorContains(t, err, "outbox table")
		require.Equal(t, clickid.VerdictFailed, report.Results[0].Verdict)
		require.Zero(t, count(t, table, db))
	})
}

func TestTable_missing(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		db, ctx := d.open(t), context.Background()
		table, err := outbox.NewTable(outbox.TableConfig{Database: d.kind, Destination: newClient(t, "http://127.0.0.1:1")})
		require.NoError(t, err)
		_, err = table.In(db).Send(ctx, newEvent("lost"))
		require.Error(t, err)
		_, err = table.Stats(ctx, db)
		require.Error(t, err)
		_, err = table.Erase(ctx, db, clickid.OrderKey("order"))
		require.Error(t, err)
		r := &recorder{}
		relay := startRelay(t, outbox.RelayConfig{DB: db, Table: table, Queue: newQueue(), Hook: r.hook})
		eventually(t, "the failure is reported", func() bool { return len(r.of(outbox.KindRelayFailing)) == 1 })
		_, err = relay.Stop(ctx)
		require.Error(t, err)
	})
}

func TestTable_Erase(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		db, ctx := d.open(t), context.Background()
		table := d.table(t, db)
		for i := range 5 {
			e := newEvent(fmt.Sprint("order-", i))
			e.Keys = []clickid.Key{clickid.SessionKey("everybody"), clickid.CustomerKey(fmt.Sprint(i % 2))}
			write(t, table.In(db), e)
		}
		_, err := table.Erase(ctx, db, clickid.Key{})
		require.ErrorIs(t, err, clickid.ErrInvalid)
		for _, step := range []struct {
			key    clickid.Key
			erased int
		}{{clickid.CustomerKey("2"), 0}, {clickid.CustomerKey("1"), 2}, {clickid.CustomerKey("1"), 0}, {clickid.SessionKey("everybody"), 3}} {
			n, err := table.Erase(ctx, db, step.key)
			require.NoError(t, err)
			require.Equal(t, step.erased, n)
		}
	})
}

// sqliteShop returns a shop with its orders and the table in one SQLite file.
func sqliteShop(t *testing.T) (database, *sql.DB, *outbox.Table) {
	t.Helper()
	d := newDatabase(t, outbox.DatabaseSQLite)
	db := d.open(t)
	table := d.table(t, db)
	_, err := db.Exec("CREATE TABLE orders (id text PRIMARY KEY, note blob)")
	require.NoError(t, err)
	return d, db, table
}

func orders(t testing.TB, db *sql.DB) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRow("SELECT COUNT(*) FROM orders").Scan(&n))
	return n
}

// placeOrder stores an order and its conversion. It returns an error if the
// conversion cannot be stored.
func placeOrder(db *sql.DB, table *outbox.Table, id string) error {
	return inTransaction(db, func(tx *sql.Tx) error {
		if _, err := tx.Exec("INSERT INTO orders (id, note) VALUES (?, zeroblob(1000))", id); err != nil {
			return err
		}
		_, err := clickid.Convert(context.Background(), table.In(tx), newEvent(id))
		return err
	})
}

// TestTable_fullDisk limits the size of the file, like a full disk.
func TestTable_fullDisk(t *testing.T) {
	t.Parallel()
	_, db, table := sqliteShop(t)
	db.SetMaxOpenConns(1) // the limit is that of a connection
	_, err := db.Exec("PRAGMA max_page_count = 40")
	require.NoError(t, err)
	placed := 0
	for ; err == nil && placed < 1000; placed++ {
		err = placeOrder(db, table, fmt.Sprint("order-", placed))
	}
	require.ErrorContains(t, err, "full")
	require.Greater(t, placed, 1)
	require.Equal(t, placed-1, orders(t, db))
	require.Equal(t, placed-1, count(t, table, db), "orders and conversions differ")
	_, err = db.Exec("PRAGMA max_page_count = 100000")
	require.NoError(t, err)
	require.NoError(t, placeOrder(db, table, "afterwards"))
}

// TestTable_readOnlyFile opens the file without write permission.
func TestTable_readOnlyFile(t *testing.T) {
	t.Parallel()
	d, db, table := sqliteShop(t)
	require.NoError(t, placeOrder(db, table, "before"))
	d.dsn = strings.Replace(d.dsn, "?", "?mode=ro&", 1)
	d.dsn = strings.Replace(d.dsn, "&_pragma=journal_mode(WAL)", "", 1)
	d.dsn = strings.Replace(d.dsn, "_txlock=immediate&", "", 1)
	readOnly := d.open(t)
	require.ErrorContains(t, placeOrder(readOnly, table, "refused"), "readonly")
	// A shop without an order in the transaction gets the error from Send.
	_, err := table.In(readOnly).Send(context.Background(), newEvent("refused"))
	require.ErrorContains(t, err, "readonly")
	require.Equal(t, 1, orders(t, db))
	require.Equal(t, 1, count(t, table, db))
}

// TestRelay_readOnlyFile lets the relay fail to delete events.
func TestRelay_readOnlyFile(t *testing.T) {
	t.Parallel()
	d, db, table := sqliteShop(t)
	require.NoError(t, placeOrder(db, table, "waiting"))
	d.dsn = strings.Replace(d.dsn, "?", "?mode=ro&", 1)
	d.dsn = strings.Replace(d.dsn, "&_pragma=journal_mode(WAL)", "", 1)
	readOnly := d.open(t)
	q, r := newQueue(), &recorder{}
	relay := startRelay(t, outbox.RelayConfig{DB: readOnly, Table: table, Queue: q, Hook: r.hook})
	eventually(t, "the failure is reported", func() bool { return len(r.of(outbox.KindRelayFailing)) == 1 })
	remaining, err := relay.Stop(context.Background())
	require.NoError(t, err)
	require.Equal(t, 1, remaining)
	// The event was enqueued but not deleted. The next relay enqueues it again,
	// and the queue knows its identity.
	startRelay(t, outbox.RelayConfig{DB: db, Table: table, Queue: q})
	eventually(t, "the event is moved", func() bool { return count(t, table, db) == 0 })
	require.Equal(t, 1, q.size())
}

func TestTableConfig_problems(t *testing.T) {
	t.Parallel()
	_, err := outbox.NewTable(outbox.TableConfig{Database: "oracle", Prefix: "Robert'); DROP TABLE orders; --"})
	for _, field := range []string{"Database", "Destination", "Prefix"} {
		require.ErrorContains(t, err, field)
	}
	_, err = outbox.NewRelay(outbox.RelayConfig{Batch: 100_000, Interval: -1})
	for _, field := range []string{"DB", "Batch", "Interval"} {
		require.ErrorContains(t, err, field)
	}
}

// TestTable_numbers deletes the rows of a hanging relay while orders are
// placed. Its own deletion must not delete later events.
func TestTable_numbers(t *testing.T) {
	t.Parallel()
	d, db, table := sqliteShop(t)
	require.NoError(t, placeOrder(db, table, "first"))
	q, entered, proceed := newQueue(), make(chan struct{}), make(chan struct{})
	q.setFail(func(context.Context, []outbox.Record) error {
		close(entered)
		<-proceed
		return nil
	})
	own := d.open(t)
	relay, err := outbox.NewRelay(outbox.RelayConfig{DB: own, Table: d.table(t, own), Queue: q})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- relay.Run(ctx) }()
	<-entered
	_, err = db.Exec("DELETE FROM clickid_outbox")
	require.NoError(t, err)
	require.NoError(t, placeOrder(db, table, "second"))
	q.setFail(nil)
	close(proceed)
	eventually(t, "both are moved", func() bool { return q.size() == 2 })
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

// TestTable_Erase_concurrentOrders erases while a relay has locked an event.
func TestTable_Erase_concurrentOrders(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		db, q := d.open(t), newQueue()
		table := d.table(t, db)
		entered, proceed := make(chan struct{}), make(chan struct{})
		ctx, interrupt := context.WithCancel(context.Background())
		q.setFail(func(context.Context, []outbox.Record) error {
			close(entered)
			<-proceed
			interrupt()
			return nil
		})
		hers := func(id string) clickid.Event {
			e := newEvent(id)
			e.Keys = []clickid.Key{clickid.CustomerKey("her-number")}
			return e
		}
		write(t, table.In(db), hers("on-its-way"))
		relay, err := outbox.NewRelay(outbox.RelayConfig{DB: db, Table: table, Queue: q})
		require.NoError(t, err)
		ended := make(chan error)
		go func() { ended <- relay.Run(ctx) }()
		<-entered
		write(t, table.In(db), hers("waiting"), newEvent("his"))
		erased := make(chan int)
		go func() {
			n, err := table.Erase(context.Background(), db, clickid.CustomerKey("her-number"))
			if err != nil {
				t.Error(err)
			}
			erased <- n
		}()
		// Orders commit while the erasure waits for the relay.
		for i := range 20 {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			_, err := table.In(db).Send(ctx, newEvent(fmt.Sprint("order-", i)))
			cancel()
			require.NoError(t, err)
		}
		close(proceed)
		// The relay was interrupted. Its events may be in the queue as well;
		// the queue's Erase finds them there.
		require.ErrorIs(t, <-ended, context.Canceled)
		require.Equal(t, 2, <-erased)
		require.Equal(t, 21, count(t, table, db))
	})
}

// renamed is a destination of another name.
type renamed struct {
	outbox.Destination
	name string
}

func (r renamed) Name() string { return r.name }

// TestTable_destinations keeps the events of two destinations in one table, and
// each relay moves its own.
func TestTable_destinations(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		db := d.open(t)
		client := newClient(t, "http://127.0.0.1:1")
		first, second := renamed{client, "first"}, renamed{client, "second"}
		one, two := d.tableOf(t, db, first), d.tableOf(t, db, second)
		write(t, one.In(db), newEvents("one", 3)...)
		write(t, two.In(db), newEvents("two", 5)...)
		q := newQueue()
		startRelay(t, outbox.RelayConfig{DB: db, Table: two, Queue: q, Interval: time.Millisecond})
		// The relay deletes the rows after the queue has the events.
		eventually(t, "its own are moved", func() bool { return q.size() == 5 && count(t, two, db) == 0 })
		require.Equal(t, 3, count(t, one, db), "the others stay")
	})
}

// TestTable_In_ownTransaction sends beside the caller's own transaction on a pool
// of one connection. It fails instead of waiting for itself.
func TestTable_In_ownTransaction(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		db := d.open(t)
		table := d.table(t, db)
		db.SetMaxOpenConns(1)
		tx, err := db.Begin()
		require.NoError(t, err)
		_, err = table.In(db).Send(context.Background(), newEvent("order"))
		require.ErrorContains(t, err, "In(tx)")
		require.NoError(t, tx.Rollback())
		write(t, table.In(db), newEvent("order"))
	})
}

// TestTable_Stats_estimated has more events than are counted.
func TestTable_Stats_estimated(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		db := d.open(t)
		table := d.table(t, db)
		stored := 0
		for _, c := range []struct {
			events    int
			estimated bool
		}{{2000, false}, {6000, true}} {
			var events []clickid.Event
			for ; stored < c.events; stored++ {
				events = append(events, newEvent(fmt.Sprint("order-", stored)))
			}
			write(t, table.In(db), events...)
			stats, err := table.Stats(context.Background(), db)
			require.NoError(t, err)
			require.Equal(t, c.estimated, stats.Estimated)
			if c.estimated {
				require.InEpsilon(t, c.events, stats.Queued, 0.1)
			} else {
				require.Equal(t, c.events, stats.Queued)
			}
		}
	})
}
