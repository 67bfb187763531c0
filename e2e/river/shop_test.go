// Package river tests the outbox on River with PostgreSQL servers.
package river_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // for testserver
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

func TestMain(m *testing.M) { crash.Main(m, inTransaction, onMachines) }

// inTransaction stores the conversion in the transaction of its order.
var inTransaction = crash.Setup{
	Name:   "river",
	Open:   openShop,
	Orders: committedOrders,
}

// shop stores its orders and the outbox in one PostgreSQL database.
type shop struct {
	pool   *pgxpool.Pool
	outbox *riveroutbox.Outbox[pgx.Tx]
}

func openShop(ctx context.Context, database string, client *capi.Client) (crash.Shop, error) {
	pool, err := pgxpool.New(ctx, database)
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, "CREATE TABLE IF NOT EXISTS orders (id text PRIMARY KEY)"); err != nil {
		return nil, err
	}
	ob, err := riveroutbox.New(riverpgxv5.New(pool), riveroutbox.Config{
		Delivery:    outbox.Config{Destination: client, MinSnooze: 50 * time.Millisecond},
		JobTimeout:  3 * time.Second,
		RescueAfter: 4 * time.Second,
	})
	if err != nil {
		return nil, err
	}
	if err := ob.Migrate(ctx); err != nil {
		return nil, err
	}
	return &shop{pool, ob}, ob.Start(ctx)
}

var errConversion = errors.New("storing the conversion")

func (s *shop) Order(ctx context.Context, conversion clickid.Event, commit bool) error {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if _, err := tx.Exec(ctx, "INSERT INTO orders (id) VALUES ($1)", conversion.ID); err != nil {
		return err
	}
	if result, err := clickid.Convert(ctx, s.outbox.In(tx), conversion); err != nil || result.Verdict != clickid.VerdictQueued {
		return fmt.Errorf("%w: %v, %w", errConversion, result.Verdict, err)
	}
	if !commit {
		return nil
	}
	return tx.Commit(ctx)
}

func committedOrders(ctx context.Context, database string) ([]string, error) {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, "SELECT id FROM orders")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
