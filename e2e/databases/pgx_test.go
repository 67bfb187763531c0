package databases_test

import (
	"context"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"
)

func placeWithPgx(ctx context.Context, pool *pgxpool.Pool, ob *outbox.TableOutbox, order Order) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO orders (number, cents) VALUES ($1, $2)", order.Number, order.Cents); err != nil {
			return err
		}
		_, err := clickid.Convert(ctx, ob.In(execFunc(tx)), order.event())
		return err
	})
}

// execFunc makes a transaction of pgx one for the outbox table.
func execFunc(tx pgx.Tx) outbox.ExecFunc {
	return func(ctx context.Context, query string, args ...any) error {
		_, err := tx.Exec(ctx, query, args...)
		return err
	}
}

func placeWithRiver(ctx context.Context, pool *pgxpool.Pool, ob *riveroutbox.Outbox[pgx.Tx], order Order) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO orders (number, cents) VALUES ($1, $2)", order.Number, order.Cents); err != nil {
			return err
		}
		_, err := clickid.Convert(ctx, ob.In(tx), order.event())
		return err
	})
}

func (s *shop) pool() *pgxpool.Pool {
	pool, err := pgxpool.New(s.ctx, s.dsn)
	require.NoError(s, err)
	s.Cleanup(pool.Close)
	return pool
}

func TestTable_pgx(t *testing.T) {
	t.Parallel()
	s := newShop(t, outbox.DatabasePostgreSQL)
	pool := s.pool()
	s.check(outbox.DatabasePostgreSQL, func(o Order) error { return placeWithPgx(s.ctx, pool, s.ob, o) })
}

func TestRiver_pgx(t *testing.T) {
	t.Parallel()
	s := newShop(t, outbox.DatabasePostgreSQL)
	pool := s.pool()
	ob, err := riveroutbox.New(riverpgxv5.New(pool), riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, s.platform)}})
	require.NoError(t, err)
	require.NoError(t, ob.Migrate(s.ctx))
	require.NoError(t, placeWithRiver(s.ctx, pool, ob, Order{Number: "1001", Cents: 14999}))
	require.ErrorContains(t, placeWithRiver(s.ctx, pool, ob, Order{Number: "1002", Cents: refusedCents}), "refused at commit")
	drained, err := outbox.Drain(s.ctx, ob)
	require.NoError(t, err)
	require.Equal(t, outbox.Drained{Settled: 1}, drained)
	s.delivered([]string{"1001"})
}
