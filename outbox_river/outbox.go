// Package riveroutbox delivers conversions durably with River on PostgreSQL.
//
// An event is stored as a River job in the order's own transaction, so that it
// commits or rolls back with the order:
//
//	ob, err := riveroutbox.New(riverpgxv5.New(pool), riveroutbox.Config{
//		Delivery: outbox.Config{Destination: client},
//	})
//	…
//	_, err = clickid.Convert(ctx, ob.In(tx), event)
//
// The jobs live in a PostgreSQL schema of their own, apart from any River of
// the application. The type of transaction is that of River's driver, which
// the application chooses: pgx.Tx with riverpgxv5, *sql.Tx with
// riverdatabasesql.
package riveroutbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
)

// Outbox is an [outbox.Queue] on River. It is safe for
// concurrent use, and several instances may share a database.
type Outbox[TTx any] struct {
	cfg      Config
	driver   riverdriver.Driver[TTx]
	delivery *outbox.Delivery
	client   *river.Client[TTx]

	mu      sync.Mutex
	started bool
	unwatch func() bool // ends the watch of Start's context
}

// New checks the whole configuration and returns an outbox, or every problem
// at once. It makes no connection and starts nothing. Migrate prepares the
// database; from then on Send works, before Start and after Stop as well.
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
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &worker{delivery: delivery}); err != nil {
		return nil, fmt.Errorf("riveroutbox: %w", err)
	}
	client, err := river.NewClient(driver, cfg.river(workers))
	if err != nil {
		return nil, fmt.Errorf("riveroutbox: River refuses the configuration: %w", err)
	}
	return &Outbox[TTx]{cfg: cfg, driver: driver, delivery: delivery, client: client}, nil
}

// Send stores the events in a transaction of its own. See [outbox.Outbox].
func (o *Outbox[TTx]) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	return o.delivery.Sender(o).Send(ctx, events...)
}

// In returns a sender that stores events in tx: they are sent once it commits,
// and never when it rolls back. Where storing fails, PostgreSQL fails the whole
// transaction; the order should be rolled back and placed again.
func (o *Outbox[TTx]) In(tx TTx) clickid.Sender {
	return o.delivery.Sender(outbox.EnqueueFunc(func(ctx context.Context, records []outbox.Record) error {
		return o.insert(ctx, tx, records)
	}))
}

// ResolvesTokens reports whether the clicks of tokens are looked up at
// delivery; see [clickid.Sender].
func (o *Outbox[TTx]) ResolvesTokens() bool { return o.delivery.ResolvesTokens() }

// Delivery implements [outbox.Queue].
func (o *Outbox[TTx]) Delivery() *outbox.Delivery { return o.delivery }

// Enqueue stores the records in a transaction of its own, all or an error. A
// record whose identity is known is not stored again and is no error.
func (o *Outbox[TTx]) Enqueue(ctx context.Context, records []outbox.Record) error {
	return o.inTransaction(ctx, func(tx TTx) error { return o.insert(ctx, tx, records) })
}

func (o *Outbox[TTx]) insert(ctx context.Context, tx TTx, records []outbox.Record) error {
	if len(records) == 0 {
		return nil
	}
	jobs, err := newJobs(records)
	if err != nil {
		return err
	}
	if _, err := o.client.InsertManyTx(ctx, tx, jobs); err != nil {
		return fmt.Errorf("riveroutbox: storing events in the outbox (has Migrate run?): %w", err)
	}
	return nil
}

var errStarted = errors.New("riveroutbox: the outbox has been started before; make a new one")

// Start begins to deliver in the background. See [outbox.Outbox].
func (o *Outbox[TTx]) Start(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.started {
		return errStarted
	}
	if err := o.refuseForeignJobs(ctx); err != nil {
		return err
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

// interruption is how long Stop waits for interrupted deliveries to be put
// back, beyond its own deadline.
const interruption = 5 * time.Second

// Stop ends the delivery. See [outbox.Outbox].
//
// When ctx ends first, it takes up to 5 seconds more to put back what was
// interrupted.
func (o *Outbox[TTx]) Stop(ctx context.Context) (remaining int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var problems []error
	if o.started {
		o.unwatch()
		problems = append(problems, o.stop(ctx))
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), interruption)
	defer cancel()
	stats, err := o.Stats(late)
	problems = append(problems, err)
	return stats.Queued, errors.Join(problems...)
}

func (o *Outbox[TTx]) stop(ctx context.Context) error {
	// What waits for the platform's return has nothing under way.
	o.delivery.Interrupt()
	stopping := o.client.Stop(ctx)
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), interruption)
	defer cancel()
	if stopping != nil {
		stopping = fmt.Errorf("riveroutbox: stopping the outbox: deliveries were under way and have been interrupted: %w", stopping)
		if err := o.client.StopAndCancel(late); err != nil {
			stopping = errors.Join(stopping, fmt.Errorf("riveroutbox: stopping River: %w", err))
		}
	}
	return errors.Join(stopping, o.delivery.Close(late))
}
