package riveroutbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/clickid/clickid/internal/sqldb"
	"github.com/clickid/clickid/outbox"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivermigrate"
)

// Migrate creates or updates the schema and River's tables. Several instances
// may call it at the same time, on every start. On PostgreSQL it needs two
// connections, and the permission to create a schema if it does not exist.
func (o *Outbox[TTx]) Migrate(ctx context.Context) error {
	migrator, err := rivermigrate.New(o.driver, &rivermigrate.Config{
		Logger: o.cfg.river(o.queue, nil).Logger,
		Schema: o.cfg.Schema,
	})
	if err != nil {
		return wrap("migrating the outbox", err)
	}
	migrate := func() error {
		_, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
		return err
	}
	if o.driver.DatabaseName() == riverdriver.DatabaseNameSQLite {
		// SQLite has no advisory lock. If another process migrates at the same
		// time, the next attempt continues after it.
		err := migrate()
		for range migrator.AllVersions() {
			if err == nil {
				break
			}
			err = migrate()
		}
		return wrap("migrating the outbox", err)
	}
	return wrap("migrating the outbox", o.withLock(ctx, func() error {
		// CREATE SCHEMA IF NOT EXISTS requires the permission even if the
		// schema exists.
		exists, err := o.schemaExists(ctx)
		if err != nil {
			return err
		}
		if !exists {
			if err := o.driver.GetExecutor().Exec(ctx, `CREATE SCHEMA "`+o.cfg.Schema+`"`); err != nil {
				return err
			}
		}
		return migrate()
	}))
}

func (o *Outbox[TTx]) schemaExists(ctx context.Context) (exists bool, err error) {
	err = o.driver.GetExecutor().QueryRow(ctx,
		"SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1)", o.cfg.Schema).Scan(&exists)
	return exists, err
}

// withLock makes instances act on the schema one at a time. It holds the lock
// in a separate transaction, because River's migrations run in their own.
func (o *Outbox[TTx]) withLock(ctx context.Context, act func() error) error {
	lock, err := o.driver.GetExecutor().Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := lock.PGAdvisoryXactLock(ctx, sqldb.MigrationLock(o.cfg.Schema)); err != nil {
		return err
	}
	return act()
}

// inTransaction commits the changes of act, or rolls them back if act fails.
func (o *Outbox[TTx]) inTransaction(ctx context.Context, act func(tx TTx) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil) // after the transaction: database/sql rolls it back with its context
	tx, err := o.begin(ctx, cancel)
	if err != nil {
		return fmt.Errorf("riveroutbox: beginning a transaction: %w", err)
	}
	if err := act(o.driver.UnwrapTx(tx)); err != nil {
		_ = tx.Rollback(context.WithoutCancel(ctx))
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("riveroutbox: committing: %w", err)
	}
	return nil
}

// connectionLimit is the longest wait for a connection of the pool.
const connectionLimit = 10 * time.Second

// errNoConnection replaces the end of a wait for a connection. The drivers do not
// show the size of their pool.
var errNoConnection = errors.New("no connection of the pool was free in time; in the order's transaction use In(tx), " +
	"since a pool of one connection would wait for itself")

// begin begins a transaction. It waits for a connection for half of the time that
// ctx leaves, so that the caller can still use the order's transaction.
func (o *Outbox[TTx]) begin(ctx context.Context, cancel context.CancelCauseFunc) (riverdriver.ExecutorTx, error) {
	limit := connectionLimit
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/2)
	}
	timer := time.AfterFunc(limit, func() { cancel(errNoConnection) })
	tx, err := o.driver.GetExecutor().Begin(ctx)
	if timer.Stop() {
		return tx, err
	}
	if err == nil {
		_ = tx.Rollback(context.WithoutCancel(ctx))
	}
	return nil, context.Cause(ctx)
}

// ErrForeignJobs means that the application runs River itself in the schema or
// file of the outbox.
var ErrForeignJobs = errors.New("riveroutbox: the outbox's tables hold jobs of another application of River, " +
	"which would delete our events: give the outbox a Schema, or on SQLite a file, of its own")

// refuseForeignJobs returns an error if there are jobs of other kinds, or if
// the tables do not exist.
func (o *Outbox[TTx]) refuseForeignJobs(ctx context.Context) error {
	kinds, err := o.driver.GetExecutor().JobKindList(ctx, &riverdriver.JobKindListParams{
		Exclude: []string{JobKind},
		Max:     1,
		Schema:  o.cfg.Schema,
	})
	if err != nil {
		return fmt.Errorf("riveroutbox: reading the tables (has Migrate run?): %w", err)
	}
	if len(kinds) > 0 {
		return ErrForeignJobs
	}
	return nil
}

// counts is what Stats reads from the table.
type counts struct {
	Queued, Delivered, Skipped, DeadLetters int
	Age                                     float64 // of the oldest waiting event, in seconds
}

// Stats measures the queue. See [outbox.Outbox].
func (o *Outbox[TTx]) Stats(ctx context.Context) (outbox.Stats, error) {
	count := o.count
	if !o.table.postgres {
		count = o.countInParts
	}
	c, err := count(ctx)
	if err != nil {
		return outbox.Stats{}, wrap("measuring the outbox", err)
	}
	return outbox.Stats{
		Queued: c.Queued, Delivered: c.Delivered, Skipped: c.Skipped, DeadLetters: c.DeadLetters,
		Oldest:   max(0, time.Duration(c.Age*float64(time.Second))),
		Platform: o.delivery.PlatformStats(),
	}, nil
}

const (
	isWaiting = "state IN ('available', 'pending', 'retryable', 'running', 'scheduled')"
	isDead    = "state IN ('cancelled', 'discarded')"
)

// count counts on PostgreSQL, where a long query keeps no other one waiting.
func (o *Outbox[TTx]) count(ctx context.Context) (counts, error) {
	return o.scanCounts(ctx, `SELECT json_build_object(
			'queued', count(*) FILTER (WHERE `+isWaiting+`),
			'delivered', count(*) FILTER (WHERE state = 'completed' AND unique_key IS NOT NULL),
			'skipped', count(*) FILTER (WHERE state = 'completed' AND unique_key IS NULL AND metadata -> '`+skipKey+`' IS NOT NULL),
			'deadLetters', count(*) FILTER (WHERE `+isDead+`),
			'age', coalesce(extract(epoch FROM now() - min(created_at) FILTER (WHERE `+isWaiting+`)), 0))::text
		FROM `+o.table.name()+` WHERE queue = $1`, o.queue)
}

func (o *Outbox[TTx]) scanCounts(ctx context.Context, query string, args ...any) (c counts, err error) {
	var data string
	if err := o.table.executor.QueryRow(ctx, query, args...).Scan(&data); err != nil {
		return c, err
	}
	return c, json.Unmarshal([]byte(data), &c)
}

// partSize is how many jobs one statement looks at on SQLite: it has one writer,
// or even one connection, and orders wait for it.
const partSize = 5000

// countInParts counts on SQLite.
func (o *Outbox[TTx]) countInParts(ctx context.Context) (total counts, err error) {
	return total, o.inParts(ctx, func(after, until int64) error {
		c, err := o.scanCounts(ctx, `SELECT json_object(
				'queued', coalesce(sum(`+isWaiting+`), 0),
				'delivered', coalesce(sum(state = 'completed' AND unique_key IS NOT NULL), 0),
				'skipped', coalesce(sum(state = 'completed' AND unique_key IS NULL AND metadata ->> '$.`+skipKey+`' IS NOT NULL), 0),
				'deadLetters', coalesce(sum(`+isDead+`), 0),
				'age', coalesce((julianday('now') - julianday(min(CASE WHEN `+isWaiting+` THEN created_at END))) * 86400.0, 0))
			FROM river_job WHERE id > $1 AND id <= $2 AND queue = $3`, after, until, o.queue)
		total.Queued += c.Queued
		total.Delivered += c.Delivered
		total.Skipped += c.Skipped
		total.DeadLetters += c.DeadLetters
		total.Age = max(total.Age, c.Age)
		return err
	})
}

// inParts calls act for ranges of job numbers that cover the table.
func (o *Outbox[TTx]) inParts(ctx context.Context, act func(after, until int64) error) error {
	var first, last int64
	err := o.table.executor.QueryRow(ctx, "SELECT coalesce(min(id), 1) FROM "+o.table.name()).Scan(&first)
	if err != nil {
		return err
	}
	if err := o.table.executor.QueryRow(ctx, "SELECT coalesce(max(id), 0) FROM "+o.table.name()).Scan(&last); err != nil {
		return err
	}
	for after := first - 1; after < last; after += partSize {
		if err := act(after, min(after+partSize, last)); err != nil {
			return err
		}
	}
	return nil
}

// warnOfOthers reports events that wait for another destination: after a change
// of the event source, for example, nothing may deliver them any more.
func (o *Outbox[TTx]) warnOfOthers(ctx context.Context) {
	var others bool
	err := o.table.executor.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+o.table.name()+" WHERE queue <> $1 AND "+isWaiting+")", o.queue).Scan(&others)
	if err == nil && others {
		o.delivery.Logger().WarnContext(ctx, "riveroutbox: events wait for another destination; start an outbox with that destination to deliver them",
			"schema", o.cfg.Schema, "destination", o.delivery.Destination().Name())
	}
}

// paused reports whether an operator has paused the queue in River.
func (o *Outbox[TTx]) paused(ctx context.Context) bool {
	queue, err := o.client.QueueGet(ctx, o.queue)
	return err == nil && queue.PausedAt != nil // River creates the queue at the first start
}
