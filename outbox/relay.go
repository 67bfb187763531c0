package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/clickid/clickid/internal/nilcheck"
)

// RelayConfig configures a [Relay]. DB, Table and Queue are required; the zero
// value of every other field is its default.
type RelayConfig struct {
	// DB is the database that has the table. While a batch is moved, one of
	// its connections is in use; a queue in the same pool needs another.
	// Required.
	DB *sql.DB
	// Table is where the events come from. Required.
	Table *Table
	// Queue is where they go. Required.
	Queue Enqueuer
	// Batch is how many events are moved at once, up to 1,000. Defaults to 500.
	Batch int
	// Interval is how often the relay looks without having been notified, such
	// as for what other processes commit. Defaults to 500 milliseconds.
	Interval time.Duration
	// Timeout bounds the moving of one batch. Defaults to 10 seconds.
	Timeout time.Duration
	// Logger and Hook are as in [Config]. They default to those of the Queue's
	// [Delivery], where it has one.
	Logger *slog.Logger
	Hook   func(context.Context, Observation)
}

const (
	defaultBatch    = 500
	maxBatch        = 1000
	defaultInterval = 500 * time.Millisecond
	defaultTimeout  = 10 * time.Second
	maxRelayBackoff = 30 * time.Second
	countTimeout    = 2 * time.Second // of counting what remains after Stop
)

// Relay moves events from an outbox table to a queue. It locks a batch, enqueues
// it, deletes it and commits. When it is interrupted
// in between, the batch is enqueued again, and the queue's uniqueness absorbs
// the repetition.
//
// Several relays can work on one table, in one process or many; each passes
// over what another has locked. On SQLite, which locks nothing smaller than
// the file, they take no lock at all while they enqueue, so that the shop can
// write meanwhile; two of them would do the same work twice.
type Relay struct {
	cfg RelayConfig
	observer

	mu     sync.Mutex
	run    *relayRun
	failed failure
}

// relayRun is one run, from Start to Stop.
type relayRun struct {
	stop      chan struct{}
	stopOnce  sync.Once
	interrupt context.CancelFunc
	done      chan struct{}
}

// failure is a series of failures.
type failure struct {
	count    int
	reported time.Time
}

// NewRelay checks the whole configuration and returns a relay, or every problem
// at once. It starts nothing.
func NewRelay(cfg RelayConfig) (*Relay, error) {
	var problems []error
	if cfg.DB == nil || cfg.Table == nil || nilcheck.IsNil(cfg.Queue) {
		problems = append(problems, errors.New("outbox: RelayConfig needs DB, Table and Queue"))
	}
	if cfg.Batch < 0 || cfg.Batch > maxBatch {
		problems = append(problems, fmt.Errorf("outbox: RelayConfig.Batch must be from 1 to %d", maxBatch))
	}
	if cfg.Interval < 0 || cfg.Timeout < 0 {
		problems = append(problems, errors.New("outbox: RelayConfig.Interval and RelayConfig.Timeout must not be negative"))
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

// Start begins to move events in the background. Cancelling ctx ends it as Stop
// without a deadline would. Starting twice is an error.
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
		r.loop(working, run.stop)
	}()
	return nil
}

// end makes the run move what is there, and no more.
func (run *relayRun) end() { run.stopOnce.Do(func() { close(run.stop) }) }

// Run moves events until ctx ends, whose error it returns. What was under way
// is rolled back and stays in the table.
func (r *Relay) Run(ctx context.Context) error {
	r.loop(ctx, nil)
	return ctx.Err()
}

// Stop moves what is in the table and ends the relay. It ends at the first
// failure, or when ctx ends; what was not moved stays in the table. It returns
// how many these are, and an error when ctx ended first or the number cannot be
// read. Stopping what was not started is no error.
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
	// The deadline for the work has passed, not the wish to know.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), countTimeout)
	defer cancel()
	stats, failed := r.cfg.Table.Stats(ctx, r.cfg.DB)
	return stats.Queued, errors.Join(err, failed)
}

// loop moves batches until ctx ends, or until the table is empty once stop is
// closed.
func (r *Relay) loop(ctx context.Context, stop <-chan struct{}) {
	c := &cursor{size: r.cfg.Batch}
	for ctx.Err() == nil {
		// What was committed before Stop must be seen by a look that begins
		// after it.
		stopping := isClosed(stop)
		moved, err := r.move(ctx, c)
		if ctx.Err() != nil {
			return
		}
		pause := r.report(ctx, err)
		switch {
		case stopping && (err != nil || moved == 0 && c.after == 0):
			return
		case err == nil && (moved > 0 || stopping):
			continue
		}
		timer := time.NewTimer(pause)
		wake := r.cfg.Table.wake
		if err != nil {
			wake = nil // a failing queue is not asked more often for being needed
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

// report tells about failures when they begin, now and then while they last,
// and when they end. It returns how long to wait until the next look.
func (r *Relay) report(ctx context.Context, err error) time.Duration {
	r.mu.Lock()
	f := &r.failed
	var o Observation
	switch {
	case err == nil && f.count > 0:
		o.Kind, *f = KindRelayRecovered, failure{}
	case err != nil:
		f.count++
		if time.Since(f.reported) >= alertInterval {
			f.reported = time.Now()
			o.Kind, o.Err = KindRelayFailing, err
		}
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

// cursor is where the next batch begins and how large it is. A batch that the
// queue does not take is halved, down to one event, which is then passed over
// until the others have been moved: one event that the queue never takes must
// not keep the others in the table.
type cursor struct {
	after int64
	size  int
}

// move moves one batch and returns how many events it had.
func (r *Relay) move(ctx context.Context, c *cursor) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	if !r.cfg.Table.database.locks() {
		r.cfg.Table.moving.RLock()
		defer r.cfg.Table.moving.RUnlock()
		return r.transfer(ctx, r.cfg.DB, c)
	}
	// Under READ COMMITTED, MySQL locks the rows alone and not the gaps
	// between them, into which orders insert.
	tx, err := r.cfg.DB.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return 0, fmt.Errorf("outbox: the relay cannot reach the outbox table: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // without effect after the commit
	moved, err := r.transfer(ctx, tx, c)
	if err != nil || moved == 0 {
		return 0, err
	}
	if err := tx.Commit(); err != nil {
		return 0, fmt.Errorf("outbox: the relay cannot commit: %w", err)
	}
	return moved, nil
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
		return 0, fmt.Errorf("outbox: the relay cannot read the outbox table: %w", err)
	}
	if len(batch) == 0 {
		c.after = 0
		return 0, nil
	}
	if _, err := r.cfg.Queue.Enqueue(ctx, distinct(batch)); err != nil {
		if c.size = len(batch) / 2; c.size == 0 {
			c.size, c.after = 1, batch[0].id
		}
		return 0, fmt.Errorf("outbox: the relay cannot enqueue: %w", err)
	}
	ids := make([]int64, len(batch))
	for i, r := range batch {
		ids[i] = r.id
	}
	if _, err := table.remove(ctx, db, ids); err != nil {
		return 0, fmt.Errorf("outbox: the relay cannot delete from the outbox table: %w", err)
	}
	c.size = min(2*c.size, r.cfg.Batch)
	return len(batch), nil
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
