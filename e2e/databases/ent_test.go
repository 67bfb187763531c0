package databases_test

import (
	"context"
	"errors"
	"testing"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/clickid/clickid"
	"github.com/clickid/clickid/e2e/databases/ent"
	"github.com/clickid/clickid/outbox"
)

func placeWithEnt(ctx context.Context, client *ent.Client, ob *outbox.TableOutbox, order Order) error {
	tx, err := client.Tx(ctx)
	if err != nil {
		return err
	}
	if err := tx.Order.Create().SetID(order.Number).SetCents(order.Cents).Exec(ctx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	// ExecContext is generated with --feature sql/execquery.
	if _, err := clickid.Convert(ctx, ob.In(tx), order.event()); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func TestTable_ent(t *testing.T) {
	t.Parallel()
	for kind, name := range map[outbox.Database]string{outbox.DatabasePostgreSQL: dialect.Postgres, outbox.DatabaseMySQL: dialect.MySQL} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := newShop(t, kind)
			client := ent.NewClient(ent.Driver(entsql.OpenDB(name, s.db)))
			s.check(kind, func(o Order) error { return placeWithEnt(s.ctx, client, s.ob, o) })
		})
	}
}

// TestTable_entDriver places an order with ent in a transaction of database/sql.
func TestTable_entDriver(t *testing.T) {
	t.Parallel()
	s := newShop(t, outbox.DatabasePostgreSQL)
	s.check(outbox.DatabasePostgreSQL, func(o Order) error {
		tx, err := s.db.BeginTx(s.ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		client := ent.NewClient(ent.Driver(entsql.NewDriver(dialect.Postgres, entsql.Conn{ExecQuerier: tx})))
		if err := client.Order.Create().SetID(o.Number).SetCents(o.Cents).Exec(s.ctx); err != nil {
			return err
		}
		if _, err := clickid.Convert(s.ctx, s.ob.In(tx), o.event()); err != nil {
			return err
		}
		return tx.Commit()
	})
}
