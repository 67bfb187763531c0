package river_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	"github.com/clickid/clickid/outbox/outboxtest"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
)

// TestOutbox_conformance runs the conformance suite. The tests of this package
// kill instances with their processes.
func TestOutbox_conformance(t *testing.T) {
	t.Parallel()
	t.Run("pgx", func(t *testing.T) { outboxtest.Run(t, pgxBackend) })
	t.Run("database/sql", func(t *testing.T) { outboxtest.Run(t, sqlBackend) })
}

func pgxBackend(t testing.TB) outboxtest.Backend {
	pool := sharedPool(t)
	return outboxtest.Backend{
		Open: func(t testing.TB, cfg outbox.Config) outbox.Outbox {
			return newOutbox(t, pool, riveroutbox.Config{Delivery: cfg, PollInterval: 100 * time.Millisecond})
		},
		Transact: func(ctx context.Context, ob outbox.Outbox, f func(clickid.Sender) error) error {
			return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return f(ob.(*pgxOutbox).In(tx)) })
		},
	}
}

func sqlBackend(t testing.TB) outboxtest.Backend {
	db, err := sql.Open("pgx", testserver.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return outboxtest.Backend{
		Open: func(t testing.TB, cfg outbox.Config) outbox.Outbox {
			ob, err := riveroutbox.New(riverdatabasesql.New(db), riveroutbox.Config{Delivery: cfg, PollInterval: 100 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if err := ob.Migrate(within(t, time.Minute)); err != nil {
				t.Fatal(err)
			}
			return ob
		},
		Transact: func(ctx context.Context, ob outbox.Outbox, f func(clickid.Sender) error) error {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback() }()
			if err := f(ob.(*riveroutbox.Outbox[*sql.Tx]).In(tx)); err != nil {
				return err
			}
			return tx.Commit()
		},
	}
}
