package riveroutbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clickid/clickid/internal/sqldb"
	"github.com/clickid/clickid/outbox"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
)

// Migrate creates the schema and River's tables in it, or brings them up to
// date. It may run in several instances at once, on every start. On PostgreSQL
// it needs two connections, and on a new database the right to create a schema.
func (o *Outbox[TTx]) Migrate(ctx context.Context) error {
	migrator, err := rivermigrate.New(o.driver, &rivermigrate.Config{
		Logger: o.cfg.river(nil).Logger,
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
		// There is no lock to take. Where another process was ahead with a
		// migration, the next attempt goes on from there.
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
		// Not IF NOT EXISTS alone: it asks for the right to create in any case.
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

// withLock lets one instance at a time act on the schema. The lock is that of
// another transaction, because River's migrations want transactions of their
// own.
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

// inTransaction commits what act does, or rolls it back when act fails.
func (o *Outbox[TTx]) inTransaction(ctx context.Context, act func(tx TTx) error) error {
	tx, err := o.driver.GetExecutor().Begin(ctx)
	if err != nil {
		return fmt.Errorf("riveroutbox: no transaction for the outbox: %w", err)
	}
	if err := act(o.driver.UnwrapTx(tx)); err != nil {
		_ = tx.Rollback(context.WithoutCancel(ctx))
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("riveroutbox: committing to the outbox: %w", err)
	}
	return nil
}

// table is River's table of jobs with its schema.
func (o *Outbox[TTx]) table() string {
	if o.cfg.Schema == "" {
		return "river_job"
	}
	return `"` + o.cfg.Schema + `".river_job`
}

// ErrForeignJobs means that the application runs River itself in the schema or
// file of the outbox.
var ErrForeignJobs = errors.New("riveroutbox: the outbox's tables hold jobs of another application of River, " +
	"which would delete our events: give the outbox a Schema, or on SQLite a file, of its own")

// refuseForeignJobs reports jobs that are not ours, or that there are no tables.
func (o *Outbox[TTx]) refuseForeignJobs(ctx context.Context) error {
	kinds, err := o.driver.GetExecutor().JobKindList(ctx, &riverdriver.JobKindListParams{
		Exclude: []string{JobKind},
		Max:     1,
		Schema:  o.cfg.Schema,
	})
	if err != nil {
		return fmt.Errorf("riveroutbox: the outbox's tables cannot be read (has Migrate run?): %w", err)
	}
	if len(kinds) > 0 {
		return ErrForeignJobs
	}
	return nil
}

// Stats measures the queue. See [outbox.Outbox].
func (o *Outbox[TTx]) Stats(ctx context.Context) (outbox.Stats, error) {
	executor := o.driver.GetExecutor()
	counts, err := executor.JobCountByAllStates(ctx, &riverdriver.JobCountByAllStatesParams{Schema: o.cfg.Schema})
	if err != nil {
		return outbox.Stats{}, wrap("measuring the outbox", err)
	}
	stats := outbox.Stats{
		Queued:    counts[rivertype.JobStateRunning],
		Delivered: counts[rivertype.JobStateCompleted],
	}
	for _, state := range waiting() {
		stats.Queued += counts[state]
	}
	for _, state := range dead() {
		stats.DeadLetters += counts[state]
	}
	if stats.Queued == 0 {
		return stats, nil
	}
	age := "extract(epoch FROM now() - min(created_at))::float8"
	if o.driver.DatabaseName() == riverdriver.DatabaseNameSQLite {
		age = "(julianday('now') - julianday(min(created_at))) * 86400.0"
	}
	var seconds float64
	err = executor.QueryRow(ctx, "SELECT coalesce("+age+", 0) FROM "+o.table()+
		" WHERE state IN ('available', 'pending', 'retryable', 'running', 'scheduled')").Scan(&seconds)
	if err != nil {
		return outbox.Stats{}, wrap("measuring the outbox", err)
	}
	stats.Oldest = max(0, time.Duration(seconds*float64(time.Second)))
	return stats, nil
}
