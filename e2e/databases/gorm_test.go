package databases_test

import (
	"context"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
	"github.com/stretchr/testify/require"
	"gorm.io/driver/mysql"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

func placeWithGORM(ctx context.Context, db *gorm.DB, ob *outbox.TableOutbox, order Order) error {
	return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(&order).Error; err != nil {
			return err
		}
		_, err := clickid.Convert(ctx, ob.In(tx.Statement.ConnPool), order.event())
		return err
	})
}

func TestTable_gorm(t *testing.T) {
	t.Parallel()
	for _, kind := range []outbox.Database{outbox.DatabasePostgreSQL, outbox.DatabaseMySQL} {
		for _, prepare := range []bool{false, true} {
			name := string(kind)
			if prepare {
				name += " with prepared statements"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := newShop(t, kind)
				dialect := postgres.New(postgres.Config{Conn: s.db})
				if kind == outbox.DatabaseMySQL {
					dialect = mysql.New(mysql.Config{Conn: s.db})
				}
				db, err := gorm.Open(dialect, &gorm.Config{PrepareStmt: prepare, Logger: logger.Discard})
				require.NoError(t, err)
				s.check(kind, func(o Order) error { return placeWithGORM(s.ctx, db, s.ob, o) })
			})
		}
	}
}
