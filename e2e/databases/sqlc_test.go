package databases_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/e2e/databases/sqlc"
	"github.com/clickid/clickid/outbox"
)

func placeWithSqlc(ctx context.Context, db *sql.DB, ob *outbox.TableOutbox, order Order) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := sqlc.New(tx).CreateOrder(ctx, sqlc.CreateOrderParams{Number: order.Number, Cents: order.Cents}); err != nil {
		return err
	}
	if _, err := clickid.Convert(ctx, ob.In(tx), order.event()); err != nil {
		return err
	}
	return tx.Commit()
}

func TestTable_sqlc(t *testing.T) {
	t.Parallel()
	s := newShop(t, outbox.DatabasePostgreSQL)
	s.check(outbox.DatabasePostgreSQL, func(o Order) error { return placeWithSqlc(s.ctx, s.db, s.ob, o) })
}
