package sqliteoutbox

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
	"modernc.org/sqlite"
)

// recorder records the statements of a database.
type recorder struct {
	driver.Connector

	mu         sync.Mutex
	statements []recorded
}

type recorded struct {
	query string
	args  []any
}

func (r *recorder) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := r.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return recordedConn{conn.(sqliteConn), r}, nil
}

func (r *recorder) add(query string, args []driver.NamedValue) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := recorded{query: query}
	for _, arg := range args {
		s.args = append(s.args, arg.Value)
	}
	r.statements = append(r.statements, s)
}

// take returns the statements since the last call.
func (r *recorder) take() []recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.statements
	r.statements = nil
	return taken
}

type recordedConn struct {
	sqliteConn
	recorder *recorder
}

func (c recordedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.recorder.add(query, args)
	return c.sqliteConn.ExecContext(ctx, query, args)
}

func (c recordedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.recorder.add(query, args)
	return c.sqliteConn.QueryContext(ctx, query, args)
}

func (c recordedConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	c.recorder.add(preparing+query, nil)
	s, err := c.sqliteConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return recordedStmt{s.(compiled), query, c.recorder}, nil
}

func (c recordedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	c.recorder.add("BEGIN", nil)
	return c.sqliteConn.BeginTx(ctx, opts)
}

// preparing begins the record of a statement that is prepared for later.
const preparing = "PREPARE "

type recordedStmt struct {
	compiled
	query    string
	recorder *recorder
}

func (s recordedStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.recorder.add(s.query, args)
	return s.compiled.ExecContext(ctx, args)
}

// accepting is a destination that accepts every event.
type accepting struct{}

func (accepting) Name() string { return "accepting" }

func (accepting) Check(e clickid.Event) clickid.Result {
	return clickid.Result{Type: e.Type, ID: e.ID, Destination: "accepting", Verdict: clickid.VerdictReady}
}

func (accepting) Deliver(_ context.Context, items []outbox.Item) (clickid.Report, error) {
	report := clickid.Report{Results: make([]clickid.Result, len(items))}
	for i, item := range items {
		report.Results[i] = clickid.Result{Type: item.Event.Type, ID: item.Event.ID, Destination: "accepting", Verdict: clickid.VerdictAccepted}
	}
	return report, nil
}

// known is the reason of an event that is stored already.
const known = "already known"

func purchase(id string) clickid.Event {
	return clickid.Event{
		Type: clickid.Purchase, ID: id, Time: time.Now(), Value: clickid.Minor(14999, "USD"),
		Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid"}, Source: clickid.SourceApp,
	}
}

// openRecorded opens an outbox and records its statements.
func openRecorded(t *testing.T) (*Outbox, *sql.DB, *recorder) {
	t.Helper()
	source := "file:" + filepath.Join(t.TempDir(), "outbox.db") + "?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)"
	opens, err := sqlite.NewConnector(source)
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{Connector: opens}
	db := sql.OpenDB(r)
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	ob, err := New(db, Config{Delivery: outbox.Config{Destination: accepting{}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ob.Close() })
	if err := ob.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.take()
	return ob, db, r
}

// TestOutbox_statements counts the statements that an event costs the order and
// its delivery.
func TestOutbox_statements(t *testing.T) {
	t.Parallel()
	ob, db, r := openRecorded(t)
	send := func(sender clickid.Sender, prefix string, n int) {
		var events []clickid.Event
		for i := range n {
			events = append(events, purchase(fmt.Sprint(prefix, i)))
		}
		if report, err := sender.Send(t.Context(), events...); err != nil || !report.Accepted() {
			t.Fatalf("%+v, %v", report, err)
		}
	}
	send(ob, "first", 1) // notifies
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.take()
	send(ob.In(tx), "second", 1)
	taken := r.take()
	if n := len(taken); n > 2 {
		t.Errorf("an event costs its order %d statements: want an insertion, and a notification in ten milliseconds", n)
	}
	for _, s := range taken {
		if strings.HasPrefix(s.query, preparing) {
			t.Errorf("the order prepares %q", s.query)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	const events = 1000
	r.take()
	send(ob, "more", events)
	if n := len(r.take()); n > events+4 {
		t.Errorf("%d events cost %d statements: want one transaction with a savepoint and an insertion for each", events, n)
	}
	drained, err := ob.Drain(t.Context())
	if err != nil || drained.Remaining != 0 {
		t.Fatalf("%+v, %v", drained, err)
	}
	updates := 0
	for _, s := range r.take() {
		if strings.Contains(s.query, "UPDATE river_job SET metadata = jsonb_set") {
			updates++
		}
	}
	if updates == 0 || updates > events/10 {
		t.Errorf("%d deliveries are completed with %d statements", events, updates)
	}
}

// fillTable copies the first job until the table has a number of jobs.
func fillTable(t *testing.T, db *sql.DB, jobs int) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), `WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO river_job (args, kind, max_attempts, metadata, queue, unique_key, unique_states)
		SELECT args, kind, max_attempts, jsonb_set(metadata, '$.clickid.keys', json_array(hex(randomblob(32)))), queue, randomblob(32), unique_states
		FROM river_job, n WHERE id = (SELECT min(id) FROM river_job)`, jobs)
	if err != nil {
		t.Fatal(err)
	}
}

// TestOutbox_Stats_estimated has more events than are counted.
func TestOutbox_Stats_estimated(t *testing.T) {
	t.Parallel()
	ob, db, _ := openRecorded(t)
	if _, err := ob.Send(t.Context(), purchase("1")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		jobs      int
		estimated bool
	}{{2000, false}, {30_000, true}} {
		stats, err := ob.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		fillTable(t, db, c.jobs-stats.Queued+1)
		stats, err = ob.Stats(t.Context())
		if err != nil || stats.Estimated != c.estimated {
			t.Errorf("%d jobs: %+v, %v", c.jobs, stats, err)
		}
		if off := max(stats.Queued-c.jobs, c.jobs-stats.Queued); off > c.jobs/10 || !c.estimated && off > 0 {
			t.Errorf("%d jobs are counted as %d", c.jobs, stats.Queued)
		}
	}
}

// TestOutbox_plans looks at the plans of what runs while many events wait, in a
// table without statistics.
func TestOutbox_plans(t *testing.T) {
	t.Parallel()
	ob, db, r := openRecorded(t)
	ctx := t.Context()
	if _, err := ob.Send(ctx, purchase("1")); err != nil {
		t.Fatal(err)
	}
	fillTable(t, db, 5000)
	for name, do := range map[string]func() error{
		"Stats": func() error {
			_, err := ob.Stats(ctx)
			return err
		},
		"Find": func() error {
			entries, err := ob.Find(ctx, "1")
			if err == nil && len(entries) != 1 {
				err = fmt.Errorf("%d entries", len(entries))
			}
			return err
		},
		"Send of a known event": func() error {
			report, err := ob.Send(ctx, purchase("1"))
			if err == nil && report.Results[0].Reason != known {
				err = fmt.Errorf("%+v", report)
			}
			return err
		},
	} {
		r.take()
		if err := do(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, s := range r.take() {
			if plan := plan(t, db, s); strings.Contains(plan, "SCAN river_job") {
				t.Errorf("%s reads the whole table with\n%s\n%s", name, s.query, plan)
			}
		}
	}
}

// plan returns the plan of a statement.
func plan(t *testing.T, db *sql.DB, s recorded) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+s.query, s.args...)
	if err != nil {
		t.Fatalf("%s: %v", s.query, err)
	}
	defer func() { _ = rows.Close() }()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(step + "\n")
	}
	return plan.String()
}

// TestOutbox_enqueueGroup stores the records of three calls in one transaction.
func TestOutbox_enqueueGroup(t *testing.T) {
	t.Parallel()
	ob, _, _ := openRecorded(t)
	record := func(identity, fingerprint string) outbox.Record {
		return outbox.Record{Identity: identity, Fingerprint: fingerprint, Payload: []byte(`{"v":1,"event":{}}`), QueuedAt: time.Now()}
	}
	if _, err := ob.Enqueue(t.Context(), []outbox.Record{record("stored", "earlier")}); err != nil {
		t.Fatal(err)
	}
	group := []*enqueueing{
		{ctx: t.Context(), records: []outbox.Record{record("a", "1"), record("stored", "1")}},
		{records: []outbox.Record{record("a", "2"), record("b", "2"), record("b", "2")}},
		{records: []outbox.Record{record("b", "3"), record("c", "3")}},
	}
	ob.enqueueGroup(t.Context(), group)
	for i, known := range []map[string]string{{"stored": "earlier"}, {"a": "1"}, {"b": "2"}} {
		if group[i].err != nil || !maps.Equal(group[i].known, known) {
			t.Errorf("call %d knows %v, %v: want %v", i, group[i].known, group[i].err, known)
		}
	}
	if stats, err := ob.Stats(t.Context()); err != nil || stats.Queued != 4 {
		t.Errorf("%+v, %v", stats, err)
	}
}

// TestOutbox_Send_together sends one event many times at once.
func TestOutbox_Send_together(t *testing.T) {
	t.Parallel()
	ob, db, _ := openRecorded(t)
	// The writers wait for this transaction, all but one of them in a group.
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var sending sync.WaitGroup
	reasons := make(chan string, 20)
	for range cap(reasons) {
		sending.Go(func() {
			report, err := ob.Send(t.Context(), purchase("1"))
			if err != nil {
				t.Error(err)
				return
			}
			reasons <- report.Results[0].Reason
		})
	}
	impatient, cancel := context.WithCancel(t.Context())
	sending.Go(func() {
		if report, err := ob.Send(impatient, purchase("2")); err == nil {
			t.Errorf("a canceled Send reports %+v", report)
		}
	})
	cancel()
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	sending.Wait()
	close(reasons)
	count := make(map[string]int)
	for reason := range reasons {
		count[reason]++
	}
	if count[""] != 1 || count[known] != cap(reasons)-1 {
		t.Errorf("the reasons are %v: want one stored event", count)
	}
}
