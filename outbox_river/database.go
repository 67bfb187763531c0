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

// Migrate creates or updates the schema and River's tables. Several instances
// may call it at the same time, on every start. On PostgreSQL it needs two
// connections, and the permission to create a schema if it does not exist.
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
	tx, err := o.driver.GetExecutor().Begin(ctx)
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

// table returns the name of River's table of jobs with its schema.
func (o *Outbox[TTx]) table() string {
	if o.cfg.Schema == "" {
		return "river_job"
	}
	return `"` + o.cfg.Schema + `".river_job`
}

// ErrForeignJobs means that the application uses River in the schema or file of
// the outbox.
var ErrForeignJobs = errors.New("riveroutbox: the outbox's tables contain River jobs of the application, " +
	"whose River client would delete the events: give the outbox its own Schema, or on SQLite its own file")

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

// Stats counts the events. See [outbox.Outbox].
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
