package outbox

import (
	"context"
	"database/sql"
	"errors"

	"github.com/clickid/clickid"
)

// Engine is an outbox that can be fed through an outbox table. All engines of
// this project are.
type Engine interface {
	Outbox
	Queue
}

// TableOutbox is an engine together with the outbox table and relay that feed
// it, as one [Outbox]: for an engine that shares no database with the orders.
type TableOutbox struct {
	engine Engine
	table  *Table
	relay  *Relay
	db     *sql.DB
}

var _ Outbox = (*TableOutbox)(nil)

// NewTableOutbox checks the whole configuration and returns an outbox, or every
// problem at once. cfg.Queue is left empty: it is the engine.
func NewTableOutbox(engine Engine, cfg RelayConfig) (*TableOutbox, error) {
	if cfg.Queue != nil {
		return nil, errors.New("clickid: RelayConfig.Queue must be empty: it is the engine")
	}
	if engine == nil {
		return nil, errors.New("clickid: NewTableOutbox needs an engine")
	}
	cfg.Queue = engine
	relay, err := NewRelay(cfg)
	if err != nil {
		return nil, err
	}
	return &TableOutbox{engine: engine, table: cfg.Table, relay: relay, db: cfg.DB}, nil
}

// Migrate creates the outbox table unless it exists; see [Table.Migrate]. The
// engine has a call of its own, where it needs one.
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

// Start implements [Outbox].
func (o *TableOutbox) Start(ctx context.Context) error {
	if err := o.engine.Start(ctx); err != nil {
		return err
	}
	if err := o.relay.Start(ctx); err != nil {
		_, _ = o.engine.Stop(ctx)
		return err
	}
	return nil
}

// Stop implements [Outbox]. It moves what is in the table to the engine first,
// and counts what remains in both.
func (o *TableOutbox) Stop(ctx context.Context) (remaining int, err error) {
	inTable, err := o.relay.Stop(ctx)
	inQueue, stopErr := o.engine.Stop(ctx)
	return inTable + inQueue, errors.Join(err, stopErr)
}

// Failed implements [Outbox].
func (o *TableOutbox) Failed(ctx context.Context, page Page) ([]DeadLetter, error) {
	return o.engine.Failed(ctx, page)
}

// Replay implements [Outbox].
func (o *TableOutbox) Replay(ctx context.Context, ids ...string) (int, error) {
	return o.engine.Replay(ctx, ids...)
}

// Discard implements [Outbox].
func (o *TableOutbox) Discard(ctx context.Context, ids ...string) (int, error) {
	return o.engine.Discard(ctx, ids...)
}

// Erase implements [Outbox]. The table comes first, since its events move to
// the engine.
func (o *TableOutbox) Erase(ctx context.Context, k clickid.Key) (int, error) {
	inTable, err := o.table.Erase(ctx, o.db, k)
	if err != nil {
		return 0, err
	}
	inQueue, err := o.engine.Erase(ctx, k)
	return inTable + inQueue, err
}

// Stats implements [Outbox], over table and engine.
func (o *TableOutbox) Stats(ctx context.Context) (Stats, error) {
	stats, err := o.engine.Stats(ctx)
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
