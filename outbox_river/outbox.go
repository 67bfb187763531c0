// Package riveroutbox implements an outbox on River and PostgreSQL.
//
// An event is a River job that is inserted in the order's transaction. It
// commits or rolls back with the order:
//
//	ob, err := riveroutbox.New(riverpgxv5.New(pool), riveroutbox.Config{
//		Delivery: outbox.Config{Destination: client},
//	})
//	err = ob.Migrate(ctx)
//	err = ob.Start(ctx)
//	…
//	_, err = clickid.Convert(ctx, ob.In(tx), event)
//
// In never waits for a lock of another transaction, and the order of steps in the
// transaction does not matter: an event that another open transaction may be
// storing is stored a second time, and the duplicate is removed at its delivery.
//
// The jobs are in their own PostgreSQL schema, separate from River jobs of the
// application. The transaction type depends on River's driver: pgx.Tx with
// riverpgxv5, *sql.Tx with riverdatabasesql.
package riveroutbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"
)

// Outbox is an [outbox.Queue] on River. It is safe for concurrent use. Several
// instances may share a database.
type Outbox[TTx any] struct {
	cfg      Config
	driver   riverdriver.Driver[TTx]
	delivery *outbox.Delivery
	client   *river.Client[TTx]
	workers  *river.Workers
	queue    string // in River, of the destination
	table    jobTable
	notified atomic.Int64 // when an insertion has woken the others, in Unix nanoseconds

	mu      sync.Mutex
	started bool
	unwatch func() bool // stops watching Start's context
}

// New returns an outbox. Its error joins all problems of cfg. New makes no
// connection and starts nothing. After Migrate, Send works before Start and
// after Stop as well.
func New[TTx any](driver riverdriver.Driver[TTx], cfg Config) (*Outbox[TTx], error) {
	if driver == nil {
		return nil, errNoDriver
	}
	problems := cfg.problems(driver.DatabaseName())
	delivery, err := outbox.NewDelivery(cfg.Delivery)
	if err != nil {
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	cfg.fillIn(driver.DatabaseName())
	cfg.Hooks = slices.Clone(cfg.Hooks)
	if len(cfg.Hooks)+len(cfg.Middleware) > 0 {
		cfg.Middleware = append([]rivertype.Middleware{&guard{delivery: delivery}}, cfg.Middleware...)
	}
	queue := queueOf(delivery.Destination().Name())
	table := jobTable{driver.GetExecutor(), driver.DatabaseName() == riverdriver.DatabaseNamePostgres, cfg.Schema}
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &worker{delivery: delivery, table: table}); err != nil {
		return nil, fmt.Errorf("riveroutbox: %w", err)
	}
	client, err := river.NewClient(adapt(driver, table), cfg.river(queue, workers))
	if err != nil {
		return nil, fmt.Errorf("riveroutbox: River refuses the configuration: %w", err)
	}
	return &Outbox[TTx]{cfg: cfg, driver: driver, delivery: delivery, client: client, workers: workers, queue: queue, table: table}, nil
}

// queueOf returns the name of a destination's queue in River, so that outboxes
// of several destinations can share a schema.
func queueOf(destination string) string {
	sum := sha256.Sum256([]byte(destination))
	return "clickid_" + hex.EncodeToString(sum[:6])
}

// Send stores the events in a new transaction. See [outbox.Outbox].
func (o *Outbox[TTx]) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	return o.delivery.Sender(o).Send(ctx, events...)
}

// In returns a sender that stores events in tx. They are sent after tx commits,
// and not sent if it rolls back. If Send returns an error, PostgreSQL has
// aborted the transaction, and the application must roll it back.
func (o *Outbox[TTx]) In(tx TTx) clickid.Sender {
	return o.delivery.Sender(outbox.EnqueueFunc(func(ctx context.Context, records []outbox.Record) (map[string]string, error) {
		return o.insert(ctx, tx, records)
	}))
}

// ResolvesTokens reports whether the clicks of tokens are resolved at delivery;
// see [clickid.Sender].
func (o *Outbox[TTx]) ResolvesTokens() bool { return o.delivery.ResolvesTokens() }

// Delivery implements [outbox.Queue].
func (o *Outbox[TTx]) Delivery() *outbox.Delivery { return o.delivery }

// Enqueue stores the records in a transaction of its own, all or an error. A
// record whose identity is known is not stored again; this is not an error.
func (o *Outbox[TTx]) Enqueue(ctx context.Context, records []outbox.Record) (known map[string]string, err error) {
	err = o.inTransaction(ctx, func(tx TTx) error {
		known, err = o.insert(ctx, tx, records)
		return err
	})
	return known, err
}

var errStarted = errors.New("riveroutbox: the outbox has been started before; create a new one")

// Start starts the delivery in the background. See [outbox.Outbox].
func (o *Outbox[TTx]) Start(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.started {
		return errStarted
	}
	if err := o.delivery.CheckStart(); err != nil {
		return err
	}
	if err := o.prepare(ctx); err != nil {
		return err
	}
	if o.paused(ctx) {
		o.delivery.Logger().WarnContext(ctx, "riveroutbox: the queue is paused in River; its events wait until it is resumed",
			"schema", o.cfg.Schema, "queue", o.queue)
	}
	// River takes the end of this context for an order to interrupt.
	if err := o.client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("riveroutbox: starting River: %w", err)
	}
	o.started = true
	o.unwatch = context.AfterFunc(ctx, func() {
		o.delivery.Interrupt()
		_ = o.client.Stop(context.WithoutCancel(ctx))
	})
	return nil
}

// prepare checks the tables before a delivery.
func (o *Outbox[TTx]) prepare(ctx context.Context) error {
	if err := o.refuseForeignJobs(ctx); err != nil {
		return err
	}
	delivered, err := o.table.any(ctx, o.queue, isEnded+" AND unique_key IS NOT NULL")
	if err != nil {
		return wrap("reading the outbox", err)
	}
	if delivered {
		o.delivery.Remember()
	}
	queued, err := o.table.any(ctx, o.queue, isWaiting)
	if err != nil {
		return wrap("reading the outbox", err)
	}
	if !queued {
		o.warnOfOthers(ctx)
	}
	if err := o.noteDestination(ctx); err != nil {
		return wrap("storing the name of the destination", err)
	}
	if !o.table.postgres {
		return wrap("preparing statements", o.prepareSQLite(ctx))
	}
	return nil
}

const (
	// interruption is the time after Stop's deadline in which interrupted
	// deliveries are put back and the remaining events are counted.
	interruption = 5 * time.Second
	// counting is the part of it that is left for counting. A slow database can take
	// longer to put deliveries back.
	counting = time.Second
)

// endsAfter returns a context that ends when d has passed since the end of ctx.
func endsAfter(ctx context.Context, d time.Duration) (late context.Context, cancel context.CancelFunc) {
	late, end := context.WithCancel(context.WithoutCancel(ctx))
	unwatch := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			end()
		case <-late.Done():
		}
	})
	return late, func() { unwatch(); end() }
}

// Stop ends the delivery. See [outbox.Outbox].
//
// If ctx ends first, Stop takes up to 5 seconds more to put interrupted
// deliveries back.
func (o *Outbox[TTx]) Stop(ctx context.Context) (remaining int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	late, end := endsAfter(ctx, interruption)
	defer end()
	if o.started {
		o.unwatch()
		err = o.stop(ctx)
	}
	remaining, counting := o.remaining(late)
	return remaining, errors.Join(err, counting)
}

// remaining returns the number of events in the queue, in time for Stop.
func (o *Outbox[TTx]) remaining(late context.Context) (int, error) {
	late, cancel := context.WithTimeout(late, interruption)
	defer cancel()
	stats, err := o.Stats(late)
	return stats.Queued, err
}

// Close ends the delivery at once: unlike Stop, it interrupts the requests in
// progress. No event is lost, and the next start delivers the rest. Close returns an
// error if a delivery has not ended after 5 seconds, such as one of a destination
// that ignores its context. Close without Start is not an error, and Send works
// after it.
func (o *Outbox[TTx]) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.started {
		return nil
	}
	o.unwatch()
	o.delivery.Interrupt()
	limit, cancel := context.WithTimeout(context.Background(), interruption)
	defer cancel()
	return errors.Join(wrap("stopping River", o.client.StopAndCancel(limit)), o.delivery.Close(limit))
}

func (o *Outbox[TTx]) stop(ctx context.Context) error {
	// Events that wait during an outage have no request in progress.
	o.delivery.Interrupt()
	late, end := endsAfter(ctx, interruption-counting)
	defer end()
	stopping := stopClient(ctx, late, o.client)
	late, cancel := context.WithTimeout(late, interruption)
	defer cancel()
	return errors.Join(stopping, o.delivery.Close(late))
}

// stopClient waits for the deliveries in progress until ctx ends, and then
// interrupts them and waits until late ends.
func stopClient[TTx any](ctx, late context.Context, client *river.Client[TTx]) error {
	stopping := client.Stop(ctx)
	if stopping == nil {
		return nil
	}
	stopping = fmt.Errorf("riveroutbox: stopping: deliveries were interrupted: %w", stopping)
	if err := client.StopAndCancel(late); err != nil {
		stopping = errors.Join(stopping, fmt.Errorf("riveroutbox: stopping River: %w", err))
	}
	return stopping
}
