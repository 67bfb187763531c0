// Package outbox tests the outbox table and its relay on the databases of
// shops.
package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
)

// patience limits the waits of these tests.
const patience = 30 * time.Second

// database is an empty database of a test.
type database struct {
	kind   outbox.Database
	driver string
	dsn    string
}

// onEachDatabase runs test on the shared servers and on SQLite.
func onEachDatabase(t *testing.T, test func(t *testing.T, d database)) {
	for _, kind := range []outbox.Database{outbox.DatabasePostgreSQL, outbox.DatabaseMySQL, outbox.DatabaseSQLite} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			test(t, newDatabase(t, kind))
		})
	}
}

func newDatabase(t testing.TB, kind outbox.Database) database {
	t.Helper()
	switch kind {
	case outbox.DatabasePostgreSQL:
		return database{kind, "pgx", testserver.Postgres(t)}
	case outbox.DatabaseMySQL:
		return database{kind, "mysql", testserver.MySQL(t)}
	}
	// As in the documentation: immediate transactions wait for each other
	// instead of failing.
	file := filepath.Join(t.TempDir(), "shop.db")
	return database{kind, "sqlite", "file:" + file + "?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)"}
}

// open returns a pool that is closed when the test ends. It is small because
// other tests use the servers at the same time.
func (d database) open(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open(d.driver, d.dsn)
	require.NoError(t, err)
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// table returns a migrated table.
func (d database) table(t testing.TB, db *sql.DB) *outbox.Table {
	t.Helper()
	return d.tableOf(t, db, newClient(t, "http://127.0.0.1:1"))
}

func (d database) tableOf(t testing.TB, db *sql.DB, destination outbox.Destination) *outbox.Table {
	t.Helper()
	table, err := outbox.NewTable(outbox.TableConfig{Database: d.kind, Destination: destination})
	require.NoError(t, err)
	require.NoError(t, table.Migrate(context.Background(), db))
	return table
}

func newClient(t testing.TB, url string) *capi.Client {
	t.Helper()
	client, err := capi.New(capi.Config{
		APIKey: "scope3_test", BaseURL: url, Dialect: capi.LogEvent{EventSourceID: "shop"},
	})
	require.NoError(t, err)
	return client
}

func newEvent(id string) clickid.Event {
	now := time.Now().UTC().Truncate(time.Second)
	return clickid.Event{
		Type: clickid.Purchase, ID: id, Time: now, Value: clickid.Minor(14999, "USD"),
		Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid", At: now.Add(-time.Hour), Expires: now.Add(time.Hour)},
	}
}

func newEvents(prefix string, n int) []clickid.Event {
	events := make([]clickid.Event, n)
	for i := range events {
		events[i] = newEvent(fmt.Sprint(prefix, "-", i))
	}
	return events
}

// write sends events that must be queued.
func write(t testing.TB, s clickid.Sender, events ...clickid.Event) {
	t.Helper()
	report, err := s.Send(context.Background(), events...)
	require.NoError(t, err)
	require.True(t, report.Accepted())
}

// count returns the number of events in the table.
func count(t testing.TB, table *outbox.Table, db *sql.DB) int {
	t.Helper()
	stats, err := table.Stats(context.Background(), db)
	require.NoError(t, err)
	return stats.Queued
}

// queue records the events that it gets.
type queue struct {
	mu      sync.Mutex
	records map[string]outbox.Record
	times   map[string]int // how often each identity was enqueued
	calls   int
	fail    func(ctx context.Context, records []outbox.Record) error // nil accepts everything
}

func newQueue() *queue {
	return &queue{records: make(map[string]outbox.Record), times: make(map[string]int)}
}

func (q *queue) Enqueue(ctx context.Context, records []outbox.Record) (map[string]string, error) {
	q.mu.Lock()
	q.calls++
	fail := q.fail
	q.mu.Unlock()
	if fail != nil {
		if err := fail(ctx, records); err != nil {
			return nil, err
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range records {
		q.records[r.Identity] = r
		q.times[r.Identity]++
	}
	return nil, ctx.Err()
}

func (q *queue) setFail(fail func(ctx context.Context, records []outbox.Record) error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fail = fail
}

func (q *queue) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.records)
}

// onceEach fails if an event was enqueued more than once.
func (q *queue) onceEach(t testing.TB) {
	t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, n := range q.times {
		require.Equal(t, 1, n, "an event was enqueued twice")
	}
}

var errQueue = errors.New("the queue is unavailable")

func failing(context.Context, []outbox.Record) error { return errQueue }

// hanging waits until the context ends.
func hanging(ctx context.Context, _ []outbox.Record) error {
	<-ctx.Done()
	return ctx.Err()
}

// recorder is a hook that records its observations.
type recorder struct {
	mu   sync.Mutex
	seen []outbox.Observation
}

func (r *recorder) hook(_ context.Context, o outbox.Observation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, o)
}

func (r *recorder) of(k outbox.Kind) []outbox.Observation {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []outbox.Observation
	for _, o := range r.seen {
		if o.Kind == k {
			found = append(found, o)
		}
	}
	return found
}

// startRelay starts a relay that is stopped when the test ends.
func startRelay(t testing.TB, cfg outbox.RelayConfig) *outbox.Relay {
	t.Helper()
	if cfg.Interval == 0 {
		cfg.Interval = 20 * time.Millisecond
	}
	relay, err := outbox.NewRelay(cfg)
	require.NoError(t, err)
	require.NoError(t, relay.Start(context.Background()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, _ = relay.Stop(ctx) // fails if the test has broken the queue
	})
	return relay
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, patience, 10*time.Millisecond, what)
}

// inTransaction runs f in a transaction.
func inTransaction(db *sql.DB, f func(tx *sql.Tx) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}
