package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/clickid/clickid/internal/nilcheck"
)

// RelayConfig configures a [Relay]. DB, Table and Queue are required. The zero
// values of the other fields are their defaults.
type RelayConfig struct {
	// DB is the database of the table. The relay uses one connection while it
	// moves a batch; a queue in the same pool needs another. Required.
	DB *sql.DB
	// Table is the source of the events. Required.
	Table *Table
	// Queue receives the events. Required.
	Queue Enqueuer
	// Batch is the number of events that are moved at once, up to 1,000.
	// Defaults to 500.
	Batch int
	// Interval is the interval in which the relay looks for events of other
	// processes. Defaults to 100 milliseconds.
	Interval time.Duration
	// Timeout limits the moving of a batch. Defaults to 10 seconds.
	Timeout time.Duration
	// ConfirmAfter is the time after which the relay asks a [Volatile] queue for
	// the outcomes of moved events, and the interval of that. Defaults to a
	// minute.
	ConfirmAfter time.Duration
	// Logger and Hook are as in [Config]. They default to those of the queue's
	// [Delivery], if it has one.
	Logger *slog.Logger
	Hook   func(context.Context, Observation)
}

const (
	defaultBatch    = 500
	maxBatch        = 1000
	defaultInterval = 100 * time.Millisecond
	defaultTimeout  = 10 * time.Second
	defaultConfirm  = time.Minute
	maxRelayBackoff = 30 * time.Second
	countTimeout    = 2 * time.Second // of counting the remaining events
)

// Relay moves events from an outbox table to a queue. It locks a batch,
// enqueues it, deletes it and commits. After an interruption the batch is
// enqueued again, and the queue ignores the duplicates.
//
// If the queue is [Volatile], the events are kept in a second table until they
// have their outcome, and enqueued again if the queue forgets them. Other queues
// have stored an event durably when Enqueue returns.
//
// Several relays can work on one table, in one or several processes. Each skips
// rows that another has locked. SQLite has no row locks: there, relays do not
// lock while they enqueue, so that orders can be stored, and two relays would
// do the same work twice.
type Relay struct {
	cfg RelayConfig
	observer

	mu     sync.Mutex
	run    *relayRun
	failed failure
}

// relayRun is the time from Start to Stop.
type relayRun struct {
	stop      chan struct{}
	stopOnce  sync.Once
	interrupt context.CancelFunc
	done      chan struct{}
}

// failure is a series of failures.
type failure struct {
	count    int  // in a row
	failing  bool // reported, and not over
	reported time.Time
}

// NewRelay returns a relay. Its error joins all problems of cfg. NewRelay
// starts nothing.
func NewRelay(cfg RelayConfig) (*Relay, error) {
	var problems []error
	if cfg.DB == nil || cfg.Table == nil || nilcheck.IsNil(cfg.Queue) {
		problems = append(problems, errors.New("outbox: RelayConfig.DB, RelayConfig.Table and RelayConfig.Queue are required"))
	}
	if cfg.Batch < 0 || cfg.Batch > maxBatch {
		problems = append(problems, fmt.Errorf("outbox: RelayConfig.Batch must be from 1 to %d", maxBatch))
	}
	if cfg.Interval < 0 || cfg.Timeout < 0 || cfg.ConfirmAfter < 0 {
		problems = append(problems, errors.New("outbox: RelayConfig.Interval, RelayConfig.Timeout and RelayConfig.ConfirmAfter must not be negative"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if cfg.Batch == 0 {
		cfg.Batch = defaultBatch
	}
	if cfg.Interval == 0 {
		cfg.Interval = defaultInterval
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.ConfirmAfter == 0 {
		cfg.ConfirmAfter = defaultConfirm
	}
	if q, ok := cfg.Queue.(interface{ Delivery() *Delivery }); ok {
		if cfg.Logger == nil {
			cfg.Logger = q.Delivery().cfg.Logger
		}
		if cfg.Hook == nil {
			cfg.Hook = q.Delivery().cfg.Hook
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Relay{cfg: cfg, observer: observer{hook: cfg.Hook, logger: cfg.Logger}}, nil
}

// Start moves events in the background. Cancelling ctx ends it like Stop
// without a deadline. A second Start is an error.
func (r *Relay) Start(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("outbox: starting the relay: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.run != nil {
		return errors.New("outbox: the relay has been started already")
	}
	working, interrupt := context.WithCancel(context.WithoutCancel(ctx))
	run := &relayRun{stop: make(chan struct{}), interrupt: interrupt, done: make(chan struct{})}
	r.run = run
	unwatch := context.AfterFunc(ctx, run.end)
	go func() {
		defer close(run.done)
		defer interrupt()
		defer unwatch()
		r.work(working, run.stop)
	}()
	return nil
}

// end makes the run move the events in the table and then stop.
func (run *relayRun) end() { run.stopOnce.Do(func() { close(run.stop) }) }

// Run moves events until ctx ends, and returns ctx's error. The events of an
// interrupted batch stay in the table.
func (r *Relay) Run(ctx context.Context) error {
	r.work(ctx, nil)
	return ctx.Err()
}

// drain moves the events in the table to the queue, and confirms those that it
// has moved earlier. It passes an event that the
// queue refuses, and gives up when more than a few batches in a row fail.
func (r *Relay) drain(ctx context.Context) error {
	r.mu.Lock()
	running := r.run != nil
	r.mu.Unlock()
	if running {
		return ErrStarted
	}
	const most = 12 // enough to divide the largest batch
	c := &cursor{size: r.cfg.Batch}
	for failures := 0; ; {
		moved, err := r.move(ctx, c)
		if ctx.Err() != nil {
			return fmt.Errorf("outbox: draining: the relay was interrupted: %w", ctx.Err())
		}
		whole := err == nil && moved == 0
		_ = r.report(ctx, err, whole && failures == 0)
		switch {
		case whole:
			if queue, ok := r.cfg.Queue.(Volatile); ok {
				return r.confirmAll(ctx, queue)
			}
			return nil
		case err == nil:
			failures = 0
		default:
			if failures++; failures > most {
				return err
			}
		}
	}
}

// work moves and confirms events.
func (r *Relay) work(ctx context.Context, stop <-chan struct{}) {
	var group sync.WaitGroup
	group.Add(1)
	go func() {
		defer group.Done()
		r.confirmLoop(ctx, stop)
	}()
	r.loop(ctx, stop)
	group.Wait()
}

// Stop moves the events in the table and ends the relay. It ends at the first
// failure or when ctx ends; the remaining events stay in the table. It returns
// their number, and an error if ctx ended first or the number cannot be read.
// Stop without Start is not an error.
func (r *Relay) Stop(ctx context.Context) (remaining int, err error) {
	r.mu.Lock()
	run := r.run
	r.mu.Unlock()
	if run != nil {
		run.end()
		select {
		case <-run.done:
		case <-ctx.Done():
			err = fmt.Errorf("outbox: stopping the relay: %w", ctx.Err())
			run.interrupt()
			<-run.done
		}
	}
	// ctx has ended, but the events can still be counted.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), countTimeout)
	defer cancel()
	stats, failed := r.cfg.Table.Stats(ctx, r.cfg.DB)
	return stats.Queued, errors.Join(err, failed)
}

// loop moves batches until ctx ends, or until the table is empty after stop is
// closed.
func (r *Relay) loop(ctx context.Context, stop <-chan struct{}) {
	c := &cursor{size: r.cfg.Batch}
	failed := false // since the table was read from its beginning
	for ctx.Err() == nil {
		// Events that were committed before Stop must be found by a query that
		// begins after it.
		stopping := isClosed(stop)
		moved, err := r.move(ctx, c)
		if ctx.Err() != nil {
			return
		}
		failed = failed || err != nil
		// The queue has recovered when the whole table has been moved, not after
		// one success.
		whole := err == nil && moved == 0
		pause := r.report(ctx, err, whole && !failed)
		failed = failed && !whole
		switch {
		case stopping && (err != nil || moved == 0 && c.after == 0):
			return
		case err == nil && (moved > 0 || stopping):
			continue
		}
		timer := time.NewTimer(pause)
		wake := r.cfg.Table.wake
		if err != nil {
			wake = nil // a notification does not shorten the wait after a failure
		}
		select {
		case <-timer.C:
		case <-wake:
		case <-stop:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// report reports failures when they begin, now and then while they last, and when
// the whole table was moved without one. It returns the wait until the next look.
func (r *Relay) report(ctx context.Context, err error, recovered bool) time.Duration {
	r.mu.Lock()
	f := &r.failed
	var o Observation
	switch {
	case recovered && f.failing:
		// The time of the report stays: a relay that fails now and then is not
		// reported each time.
		o.Kind, f.failing = KindRelayRecovered, false
	case err != nil && time.Since(f.reported) >= alertInterval:
		f.reported, f.failing = time.Now(), true
		o.Kind, o.Err = KindRelayFailing, err
	}
	if err != nil {
		f.count++
	} else {
		f.count = 0
	}
	count := f.count
	r.mu.Unlock()
	if o.Kind != "" {
		r.observe(ctx, o)
	}
	if count == 0 {
		return r.cfg.Interval
	}
	return grow(r.cfg.Interval, max(r.cfg.Interval, maxRelayBackoff), count)
}

// cursor is the start and the size of the next batch. If the queue refuses a
// batch, its size is halved until it is one event. That event is then skipped
// until the others have been moved, so that it does not block them.
type cursor struct {
	after int64
	size  int
}

// move moves a batch and returns the number of its events.
func (r *Relay) move(ctx context.Context, c *cursor) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	moved := 0
	err := r.inTransaction(ctx, func(db database) (err error) {
		moved, err = r.transfer(ctx, db, c)
		return err
	})
	if err != nil {
		return 0, err
	}
	return moved, nil
}

// inTransaction calls act in a transaction. On SQLite, where it would lock out
// the orders, each statement is a transaction.
func (r *Relay) inTransaction(ctx context.Context, act func(db database) error) error {
	if !r.cfg.Table.database.locks() {
		r.cfg.Table.moving.RLock()
		defer r.cfg.Table.moving.RUnlock()
		return act(r.cfg.DB)
	}
	// Under READ COMMITTED, MySQL only locks rows and not the gaps between
	// them, into which orders insert.
	tx, err := r.cfg.Table.database.begin(ctx, r.cfg.DB, sql.LevelReadCommitted)
	if err != nil {
		return fmt.Errorf("outbox: relay: beginning a transaction: %w", err)
	}
	defer tx.rollback(ctx)
	if err := act(tx); err != nil {
		return err
	}
	if err := tx.commit(ctx); err != nil {
		return fmt.Errorf("outbox: relay: committing: %w", err)
	}
	return nil
}

// database is a database or a transaction.
type database interface {
	Execer
	querier
}

func (r *Relay) transfer(ctx context.Context, db database, c *cursor) (int, error) {
	table := r.cfg.Table
	batch, err := table.batch(ctx, db, c.after, c.size)
	if err != nil {
		return 0, fmt.Errorf("outbox: relay: reading the outbox table: %w", err)
	}
	if len(batch) == 0 {
		c.after = 0
		return 0, nil
	}
	records := distinct(batch)
	known, err := r.cfg.Queue.Enqueue(ctx, records)
	if err != nil {
		if c.size = len(batch) / 2; c.size == 0 {
			c.size, c.after = 1, batch[0].id
		}
		return 0, fmt.Errorf("outbox: relay: enqueueing: %w", err)
	}
	keys := make([]rowKey, len(batch))
	for i, r := range batch {
		keys[i].id = r.id
	}
	stored := idsOfStored(batch, known)
	if _, ok := r.cfg.Queue.(Volatile); ok && len(stored) > 0 {
		if _, err := db.ExecContext(ctx, table.database.keep(table.name, table.moved, stored, time.Now())); err != nil {
			return 0, fmt.Errorf("outbox: relay: keeping what was moved (has Migrate run?): %w", err)
		}
	}
	if _, err := table.remove(ctx, db, table.name, keys); err != nil {
		return 0, fmt.Errorf("outbox: relay: deleting from the outbox table: %w", err)
	}
	c.size = min(2*c.size, r.cfg.Batch)
	r.warnOfChanges(ctx, records, known)
	return len(batch), nil
}

// idsOfStored returns the rows of a batch without those that the queue has not stored,
// since it knew their identity with other contents.
func idsOfStored(batch []row, known map[string]string) []int64 {
	stored := maps.Clone(known)
	if stored == nil {
		stored = make(map[string]string)
	}
	var ids []int64
	for _, r := range batch {
		fingerprint, ok := stored[r.record.Identity]
		if !ok {
			fingerprint = r.record.Fingerprint
			stored[r.record.Identity] = fingerprint
		}
		if len(differences(fingerprint, r.record.Fingerprint)) == 0 {
			ids = append(ids, r.id)
		}
	}
	return ids
}

// warnOfChanges reports events whose identity the queue knew with other contents:
// the order that wrote them to the table could not be told.
func (r *Relay) warnOfChanges(ctx context.Context, records []Record, known map[string]string) {
	for _, record := range records {
		stored, ok := known[record.Identity]
		if !ok {
			continue
		}
		different := differences(stored, record.Fingerprint)
		if len(different) == 0 {
			continue
		}
		e, _ := record.Event()
		r.observe(ctx, Observation{Kind: KindWarning, Type: e.Type, EventID: VisibleID(e.ID), Warnings: []string{knownDifferently(different)}})
	}
}

// distinct returns the records of a batch, each identity once.
func distinct(batch []row) []Record {
	records := make([]Record, 0, len(batch))
	known := make(map[string]bool, len(batch))
	for _, r := range batch {
		if !known[r.record.Identity] {
			known[r.record.Identity] = true
			records = append(records, r.record)
		}
	}
	return records
}
