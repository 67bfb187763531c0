package riveroutbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
		if err == nil {
			err = o.driver.GetExecutor().Exec(ctx, eventIndex)
		}
		if err == nil {
			err = o.prepareSQLite(ctx)
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

// eventOf is what Find looks for on SQLite, which has no index of all metadata: the
// first key of a record, which is that of its event's ID, or the ID of a skipped
// event.
const eventOf = "coalesce(metadata ->> '$." + recordKey + ".keys[0]', metadata ->> '$." + skipKey + ".id')"

// eventIndex creates the index. River's migrations drop it with an old table.
const eventIndex = "CREATE INDEX IF NOT EXISTS river_job_clickid_event ON river_job (" + eventOf + ") WHERE " + eventOf + " IS NOT NULL"

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

// begin begins a transaction. It waits for a connection for half of the time that
// ctx leaves, so that the caller can still use the order's transaction. The drivers
// do not show the size of their pool.
func (o *Outbox[TTx]) begin(ctx context.Context, cancel context.CancelCauseFunc) (riverdriver.ExecutorTx, error) {
	limit := connectionLimit
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/2)
	}
	timer := time.AfterFunc(limit, func() { cancel(sqldb.ErrNoConnection) })
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
	queued, delivered, skipped, deadLetters int
	age                                     float64 // of the oldest waiting event, in seconds
	estimated                               bool
}

// Stats measures the queue. See [outbox.Outbox]. It counts up to 2,000 ended jobs
// exactly, among them the duplicates that were removed at their delivery.
func (o *Outbox[TTx]) Stats(ctx context.Context) (outbox.Stats, error) {
	c, err := o.table.count(ctx, o.queue)
	if err != nil {
		return outbox.Stats{}, wrap("measuring the outbox", err)
	}
	return outbox.Stats{
		Queued: c.queued, Delivered: c.delivered, Skipped: c.skipped, DeadLetters: c.deadLetters,
		Oldest:    max(0, time.Duration(c.age*float64(time.Second))),
		Estimated: c.estimated,
		Platform:  o.delivery.PlatformStats(),
	}, nil
}

const (
	isWaiting = "state IN ('available', 'pending', 'retryable', 'running', 'scheduled')"
	isDead    = "state IN ('cancelled', 'discarded')"
	isEnded   = "state = 'completed'"
)

// count counts the jobs of a queue, in the index of states and up to a limit. It
// estimates a larger number from a sample, since a count that reads all jobs takes
// a second for a million of them, and on SQLite orders wait for it.
func (t jobTable) count(ctx context.Context, queue string) (c counts, err error) {
	executor := t.executor
	scan := func(query string, dest ...any) {
		if err == nil {
			err = executor.QueryRow(ctx, query, queue).Scan(dest...)
		}
	}
	if t.postgres {
		tx, err := t.executor.Begin(ctx)
		if err != nil {
			return c, err
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
		// A bitmap of the index is made as a whole before the limit counts.
		err = tx.Exec(ctx, "SELECT set_config('enable_bitmapscan', 'off', true), set_config('enable_seqscan', 'off', true)")
		if err != nil {
			return c, err
		}
		executor = tx
	}
	first := func(columns, of, states string, limit int) string {
		return fmt.Sprintf("(SELECT %s FROM (SELECT %s FROM %s WHERE queue = $1 AND %s LIMIT %d) AS first)", columns, of, t.name(), states, limit)
	}
	var ended int
	scan("SELECT "+first("count(*)", "1", isWaiting, sqldb.CountLimit+1)+", "+
		first(t.oldest("1 = 1"), "created_at", isWaiting, ageLimit)+", "+
		first("count(*)", "1", isDead, sqldb.CountLimit+1)+", ended, delivered, skipped FROM "+
		first("count(*) AS ended, "+t.delivered()+" AS delivered, "+t.skipped()+" AS skipped", "state, unique_key, metadata", isEnded, sqldb.CountLimit+1)+" AS of_ended",
		&c.queued, &c.age, &c.deadLetters, &ended, &c.delivered, &c.skipped)
	if err != nil || c.queued <= ageLimit && max(c.deadLetters, ended) <= sqldb.CountLimit {
		return c, err
	}
	var low, high int64
	scan(t.bounds()+" WHERE $1 <> ''", &low, &high)
	if err != nil {
		return c, err
	}
	where, factor := sqldb.Sample(low, high)
	var sample counts
	scan("SELECT count(CASE WHEN "+isWaiting+" THEN 1 END), count(CASE WHEN "+isDead+" THEN 1 END), "+t.delivered()+", "+t.skipped()+", "+t.oldest(isWaiting)+
		" FROM "+t.name()+" WHERE queue || '' = $1 AND "+where, &sample.queued, &sample.deadLetters, &sample.delivered, &sample.skipped, &sample.age)
	estimate := func(exact *int, sampled int) {
		*exact = max(*exact, int(float64(sampled)*factor))
		c.estimated = true
	}
	c.age = max(c.age, sample.age)
	if c.queued > sqldb.CountLimit {
		estimate(&c.queued, sample.queued)
	}
	if c.deadLetters > sqldb.CountLimit {
		estimate(&c.deadLetters, sample.deadLetters)
	}
	if ended > sqldb.CountLimit {
		estimate(&c.delivered, sample.delivered)
		estimate(&c.skipped, sample.skipped)
	}
	return c, err
}

// ageLimit is the number of waiting events whose age is read, beside those in a
// sample.
const ageLimit = 1000

// delivered, skipped and oldest are expressions over jobs.
func (t jobTable) delivered() string {
	return "count(CASE WHEN " + isEnded + " THEN unique_key END)"
}

func (t jobTable) skipped() string {
	skip := "metadata ->> '$." + skipKey + "'"
	if t.postgres {
		skip = "metadata ->> '" + skipKey + "'"
	}
	return "count(CASE WHEN " + isEnded + " AND unique_key IS NULL THEN " + skip + " END)"
}

func (t jobTable) oldest(which string) string {
	first := "min(CASE WHEN " + which + " THEN created_at END)"
	if t.postgres {
		return "coalesce(extract(epoch FROM now() - " + first + "), 0)::float8"
	}
	return "coalesce((julianday('now') - julianday(" + first + ")) * 86400.0, 0.0)"
}

// any reports whether a queue has jobs that meet a condition.
func (t jobTable) any(ctx context.Context, queue, which string) (found bool, err error) {
	err = t.executor.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+t.name()+" WHERE queue = $1 AND "+which+")", queue).Scan(&found)
	return found, err
}

// ids returns the jobs of the queue $1 that meet a condition. PostgreSQL does not
// read the queue's index for it: without statistics it takes that for a short one.
func (t jobTable) ids(ctx context.Context, where string, args ...any) ([]int64, error) {
	list := "group_concat(id)"
	if t.postgres {
		list = "string_agg(id::text, ',' ORDER BY id)"
	}
	var found string
	err := t.executor.QueryRow(ctx, "SELECT coalesce("+list+", '') FROM "+t.name()+" WHERE queue || '' = $1 AND ("+where+")", args...).Scan(&found)
	if err != nil || found == "" {
		return nil, err
	}
	return jobIDs(strings.Split(found, ",")), nil
}

// partSize is how many jobs one statement looks at on SQLite: where the pool has
// one connection, orders wait for it.
const partSize = 5000

// inParts calls act for ranges of job numbers that cover the table, and then for the
// jobs that have come since, among them those of replayed dead letters.
func (t jobTable) inParts(ctx context.Context, act func(after, until int64) error) error {
	var first, last int64
	err := t.executor.QueryRow(ctx, t.bounds()).Scan(&first, &last)
	after := first - 1
	for range 2 {
		for ; after < last && err == nil; after += partSize {
			err = act(after, min(after+partSize, last))
		}
		if err != nil {
			return err
		}
		after = last
		err = t.executor.QueryRow(ctx, t.bounds()).Scan(&first, &last)
	}
	return err
}

// bounds selects the least and the greatest job number.
func (t jobTable) bounds() string {
	return "SELECT coalesce((SELECT min(id) FROM " + t.name() + "), 1), coalesce((SELECT max(id) FROM " + t.name() + "), 0)"
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
