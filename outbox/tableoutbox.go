package outbox

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/nilcheck"
)

// Queue is an outbox that a relay can feed. All queues of this project
// implement it.
type Queue interface {
	Outbox
	Enqueuer
	// Delivery returns the delivery of the queue.
	Delivery() *Delivery
}

// TableOutbox is an [Outbox] that consists of a queue and the outbox table and
// relay that feed it. It is for queues that do not share a database with the
// orders.
type TableOutbox struct {
	queue Queue
	table *Table
	relay *Relay
	db    *sql.DB
}

var _ Drainer = (*TableOutbox)(nil)

// NewTableOutbox returns an outbox. Its error joins all problems of cfg. It
// sets cfg.Queue and refuses one that is already set.
func NewTableOutbox(queue Queue, cfg RelayConfig) (*TableOutbox, error) {
	if cfg.Queue != nil {
		return nil, errors.New("outbox: RelayConfig.Queue must be empty: NewTableOutbox sets it to its first argument")
	}
	if nilcheck.IsNil(queue) {
		return nil, errors.New("outbox: NewTableOutbox requires a queue")
	}
	cfg.Queue = queue
	relay, err := NewRelay(cfg)
	if err != nil {
		return nil, err
	}
	return &TableOutbox{queue: queue, table: cfg.Table, relay: relay, db: cfg.DB}, nil
}

// Migrate creates the outbox table unless it exists; see [Table.Migrate]. It
// does not migrate the queue, and logs to [RelayConfig].Logger.
func (o *TableOutbox) Migrate(ctx context.Context) error {
	return o.table.migrate(ctx, o.db, o.relay.cfg.Logger)
}

// In returns a sender that writes into the table through tx; see [Table.In].
func (o *TableOutbox) In(tx Execer) clickid.Sender {
	cfg := o.queue.Delivery().cfg
	if o.table.metadata != nil {
		cfg.Metadata = o.table.metadata
	}
	return o.table.sender(tx, cfg)
}

// Notify wakes the relay after a commit; see [Table.Notify].
func (o *TableOutbox) Notify() { o.table.Notify() }

// Send implements [clickid.Sender]. It stores the events in the table in a new
// transaction.
func (o *TableOutbox) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	return o.In(o.db).Send(ctx, events...)
}

// ResolvesTokens reports whether the clicks of tokens are resolved at delivery;
// see [clickid.Sender].
func (o *TableOutbox) ResolvesTokens() bool { return resolverOf(o.table.destination) != nil }

// Start implements [Outbox].
func (o *TableOutbox) Start(ctx context.Context) error {
	if err := o.queue.Start(ctx); err != nil {
		return err
	}
	if err := o.relay.Start(ctx); err != nil {
		_, _ = o.queue.Stop(ctx)
		return err
	}
	return nil
}

// Stop implements [Outbox]. It first moves the events of the table to the
// queue, and counts the remaining events in both.
func (o *TableOutbox) Stop(ctx context.Context) (remaining int, err error) {
	inTable, err := o.relay.Stop(ctx)
	inQueue, stopErr := o.queue.Stop(ctx)
	return inTable + inQueue, errors.Join(err, stopErr)
}

// Drain implements [Drainer]. It first moves the events of the table to the
// queue, which must be a [Drainer]. If that fails, it drains what the queue has.
func (o *TableOutbox) Drain(ctx context.Context) (Drained, error) {
	moving := o.relay.drain(ctx)
	if errors.Is(moving, ErrStarted) {
		return Drained{}, moving
	}
	drained, err := Drain(ctx, o.queue)
	countCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), countTimeout)
	defer cancel()
	waiting, countErr := o.table.Stats(countCtx, o.db)
	drained.Remaining += waiting.Queued
	return drained, errors.Join(moving, err, countErr)
}

// DeadLetters implements [Outbox].
func (o *TableOutbox) DeadLetters(ctx context.Context, page Page) ([]DeadLetter, error) {
	return o.queue.DeadLetters(ctx, page)
}

// Replay implements [Outbox].
func (o *TableOutbox) Replay(ctx context.Context, ids ...string) (int, error) {
	return o.queue.Replay(ctx, ids...)
}

// Discard implements [Outbox].
func (o *TableOutbox) Discard(ctx context.Context, ids ...string) (int, error) {
	return o.queue.Discard(ctx, ids...)
}

// Find implements [Outbox]. It looks for the event in table and queue.
func (o *TableOutbox) Find(ctx context.Context, eventID string, types ...clickid.EventType) ([]Entry, error) {
	search := o.queue.Delivery().Search(eventID, types...)
	entries, err := o.table.find(ctx, o.db, o.table.name, search)
	if err != nil {
		return nil, err
	}
	moved, err := o.table.find(ctx, o.db, o.table.moved, search)
	if err != nil {
		return nil, err
	}
	inQueue, err := o.queue.Find(ctx, eventID, types...)
	if err != nil {
		return nil, err
	}
	if len(inQueue) == 0 {
		inQueue = moved // the queue has forgotten it
	}
	return append(entries, inQueue...), nil
}

// DeliveredByHour implements [HourCounter] if the queue does.
func (o *TableOutbox) DeliveredByHour(ctx context.Context, from, to time.Time) ([]HourCount, error) {
	counter, ok := o.queue.(HourCounter)
	if !ok {
		return nil, errors.New("outbox: the queue does not count its deliveries by hour")
	}
	return counter.DeliveredByHour(ctx, from, to)
}

// Erase implements [Outbox]. It erases from the table first, since its events
// move to the queue.
func (o *TableOutbox) Erase(ctx context.Context, k clickid.Key) (int, error) {
	inTable, err := o.table.Erase(ctx, o.db, k)
	if err != nil {
		return 0, err
	}
	inQueue, err := o.queue.Erase(ctx, k)
	return inTable + inQueue, err
}

// Stats implements [Outbox]. It counts the events in table and queue.
func (o *TableOutbox) Stats(ctx context.Context) (Stats, error) {
	// The table comes first: an event that moves meanwhile is counted twice, but
	// never missed.
	waiting, err := o.table.Stats(ctx, o.db)
	if err != nil {
		return Stats{}, err
	}
	stats, err := o.queue.Stats(ctx)
	if err != nil {
		return Stats{}, err
	}
	stats.Queued += waiting.Queued
	stats.Oldest = max(stats.Oldest, waiting.Oldest)
	stats.Estimated = stats.Estimated || waiting.Estimated
	return stats, nil
}
