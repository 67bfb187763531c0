package databases_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/e2e/databases/ent"
	"github.com/clickid/clickid/outbox"
	sqlstore "github.com/clickid/clickid/store_sql"
	"github.com/jmoiron/sqlx"
	"github.com/uptrace/bun"
	"gorm.io/gorm"
)

func placeWithSQL(ctx context.Context, db *sql.DB, ob *outbox.TableOutbox, order Order, insert string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, insert, order.Number, order.Cents); err != nil {
		return err
	}
	if _, err := clickid.Convert(ctx, ob.In(tx), order.event()); err != nil {
		return err
	}
	return tx.Commit()
}

func placeWithSQLX(ctx context.Context, db *sqlx.DB, ob *outbox.TableOutbox, order Order) error {
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.NamedExecContext(ctx, "INSERT INTO orders (number, cents) VALUES (:number, :cents)", order); err != nil {
		return err
	}
	if _, err := clickid.Convert(ctx, ob.In(tx), order.event()); err != nil {
		return err
	}
	return tx.Commit()
}

// drivers are the names of the drivers by database.
var drivers = map[outbox.Database]string{
	outbox.DatabasePostgreSQL: "pgx", outbox.DatabaseMySQL: "mysql", outbox.DatabaseSQLite: "sqlite",
}

// The store takes the same transactions.
var (
	_ sqlstore.DB = (*sql.Tx)(nil)
	_ sqlstore.DB = (*sqlx.Tx)(nil)
	_ sqlstore.DB = gorm.ConnPool(nil)
	_ sqlstore.DB = bun.Tx{}.Tx
	_ sqlstore.DB = (*ent.Tx)(nil)
)

func TestTable_sql(t *testing.T) {
	t.Parallel()
	for kind := range drivers {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			insert := "INSERT INTO orders (number, cents) VALUES (?, ?)"
			if kind == outbox.DatabasePostgreSQL {
				insert = "INSERT INTO orders (number, cents) VALUES ($1, $2)"
			}
			s := newShop(t, kind)
			s.check(kind, func(o Order) error { return placeWithSQL(s.ctx, s.db, s.ob, o, insert) })
		})
	}
}

func TestTable_sqlx(t *testing.T) {
	t.Parallel()
	for kind, driver := range drivers {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := newShop(t, kind)
			db := sqlx.NewDb(s.db, driver)
			s.check(kind, func(o Order) error { return placeWithSQLX(s.ctx, db, s.ob, o) })
		})
	}
}
