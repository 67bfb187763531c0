package outbox

import (
	"context"
	"database/sql"
	"errors"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/nilcheck"
)

// Queue is an outbox that can be fed through an outbox table. Those of this
// project are.
type Queue interface {
	Outbox
	Enqueuer
	// Delivery returns what delivers the events.
	Delivery() *Delivery
}

// TableOutbox is a queue together with the outbox table and relay that feed it,
// as one [Outbox]: for a queue that shares no database with the orders.
type TableOutbox struct {
	queue Queue
	table *Table
	relay *Relay
	db    *sql.DB
}

var _ Outbox = (*TableOutbox)(nil)

// NewTableOutbox checks the whole configuration and returns an outbox, or every
// problem at once. cfg.Queue is left empty: it is queue.
func NewTableOutbox(queue Queue, cfg RelayConfig) (*TableOutbox, error) {
	if cfg.Queue != nil {
		return nil, errors.New("outbox: RelayConfig.Queue must be empty: NewTableOutbox sets it to its first argument")
	}
	if nilcheck.IsNil(queue) {
		return nil, errors.New("outbox: NewTableOutbox needs a queue")
	}
	cfg.Queue = queue
	relay, err := NewRelay(cfg)
	if err != nil {
		return nil, err
	}
	return &TableOutbox{queue: queue, table: cfg.Table, relay: relay, db: cfg.DB}, nil
}

// Migrate creates the outbox table unless it exists; see [Table.Migrate]. The
// queue has a call of its own, where it needs one.
func (o *TableOutbox) Migrate(ctx context.Context) error { return o.table.Migrate(ctx, o.db) }

// In returns a sender that writes into the table through tx; see [Table.In].
func (o *TableOutbox) In(tx Execer) clickid.Sender { return o.table.In(tx) }

// Notify tells the relay that a transaction was committed, and spares its
// events the relay's interval.
func (o *TableOutbox) Notify() { o.table.Notify() }

// Send implements [clickid.Sender]: it writes the events into the table, in a
// transaction of its own.
func (o *TableOutbox) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	return o.table.In(o.db).Send(ctx, events...)
}

// ResolvesTokens reports whether the clicks of tokens are looked up at
// delivery; see [clickid.Sender].
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

// Stop implements [Outbox]. It moves what is in the table to the queue first,
// and counts what remains in both.
func (o *TableOutbox) Stop(ctx context.Context) (remaining int, err error) {
	inTable, err := o.relay.Stop(ctx)
	inQueue, stopErr := o.queue.Stop(ctx)
	return inTable + inQueue, errors.Join(err, stopErr)
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

// Erase implements [Outbox]. The table comes first, since its events move to
// the queue.
func (o *TableOutbox) Erase(ctx context.Context, k clickid.Key) (int, error) {
	inTable, err := o.table.Erase(ctx, o.db, k)
	if err != nil {
		return 0, err
	}
	inQueue, err := o.queue.Erase(ctx, k)
	return inTable + inQueue, err
}

// Stats implements [Outbox], over table and queue.
func (o *TableOutbox) Stats(ctx context.Context) (Stats, error) {
	stats, err := o.queue.Stats(ctx)
	if err != nil {
		return Stats{}, err
	}
	waiting, err := o.table.Stats(ctx, o.db)
	if err != nil {
		return Stats{}, err
	}
	stats.Queued += waiting.Queued
	stats.Oldest = max(stats.Oldest, waiting.Oldest)
	return stats, nil
}
