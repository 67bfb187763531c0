package databases_test

import (
	"context"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/mysqldialect"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/schema"
)

func placeWithBun(ctx context.Context, db *bun.DB, ob *outbox.TableOutbox, order Order) error {
	return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(&order).Exec(ctx); err != nil {
			return err
		}
		// tx.Tx is the *sql.Tx. bun.Tx itself formats the statement and passes
		// no arguments.
		_, err := clickid.Convert(ctx, ob.In(tx.Tx), order.event())
		return err
	})
}

func TestTable_bun(t *testing.T) {
	t.Parallel()
	for kind, dialect := range map[outbox.Database]schema.Dialect{
		outbox.DatabasePostgreSQL: pgdialect.New(), outbox.DatabaseMySQL: mysqldialect.New(),
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := newShop(t, kind)
			db := bun.NewDB(s.db, dialect)
			s.check(kind, func(o Order) error { return placeWithBun(s.ctx, db, s.ob, o) })
		})
	}
}

// TestTable_bunTx checks that the error names the fix when bun.Tx itself is
// passed.
func TestTable_bunTx(t *testing.T) {
	t.Parallel()
	s := newShop(t, outbox.DatabasePostgreSQL)
	err := bun.NewDB(s.db, pgdialect.New()).RunInTx(s.ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		_, err := clickid.Convert(ctx, s.ob.In(tx), Order{Number: "1", Cents: 1}.event())
		return err
	})
	require.ErrorContains(t, err, "pass its *sql.Tx, such as tx.Tx with bun")
}
