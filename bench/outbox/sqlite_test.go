package outbox_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/bench/internal/ratio"
	"github.com/clickid/clickid/outbox"
)

// plainRow is a row of a table without another index.
const plainRow = "INSERT INTO plain (record) VALUES ($1)"

// BenchmarkSQLiteParts shows where the time of an order with its conversion goes.
// Each variant does more than the one before, up to the conversion in the shop's
// file; the last two store it in another file.
func BenchmarkSQLiteParts(b *testing.B) {
	cfg := outbox.Config{Destination: newPlatform(b, 0).client(b)}
	delivery, err := outbox.NewDelivery(cfg)
	if err != nil {
		b.Fatal(err)
	}
	// storing returns a sender that checks and encodes events for an outbox, and
	// stores their records with store.
	storing := func(store func(ctx context.Context, record string) error) clickid.Sender {
		return delivery.Sender(outbox.EnqueueFunc(func(ctx context.Context, records []outbox.Record) (map[string]string, error) {
			data, err := json.Marshal(records[0])
			if err != nil {
				return nil, err
			}
			return nil, store(ctx, string(data))
		}))
	}
	db, insert := openPlain(b)
	inOrder := func(tx *sql.Tx) clickid.Sender {
		return storing(func(ctx context.Context, record string) error {
			_, err := tx.StmtContext(ctx, insert).ExecContext(ctx, record)
			return err
		})
	}
	_, insertApart := openPlain(b)
	after := storing(func(ctx context.Context, record string) error {
		_, err := insertApart.ExecContext(ctx, record)
		return err
	})
	nowhere := storing(func(context.Context, string) error { return nil })
	var number atomic.Int64
	variant := func(name string, s *shop, converts bool) ratio.Variant {
		return ratio.Variant{Name: name, Run: repeat(func() {
			if err := s.order(context.Background(), fmt.Sprint(number.Add(1)), converts); err != nil {
				b.Error(err)
			}
		})}
	}
	shared := openSharedSQLite(b, cfg, 0)
	ratio.Compare(b,
		variant("the order", shared, false),
		variant("and a checked and encoded event", &shop{transact: shared.transact, after: nowhere}, true),
		variant("and a plain row of it", &shop{transact: transactions(db, inOrder)}, true),
		variant("and River's row of it", shared, true),
		variant("a plain row in another file", &shop{transact: transactions(db, nil), after: after}, true),
		variant("River's row in another file", openSQLiteApart(b, cfg, 0), true),
	)
}

// openPlain opens a shop with a plain table, and the statement that inserts into it.
func openPlain(b *testing.B) (*sql.DB, *sql.Stmt) {
	b.Helper()
	db := openShop(b)
	if _, err := db.Exec("CREATE TABLE plain (id integer PRIMARY KEY, record text NOT NULL)"); err != nil {
		b.Fatal(err)
	}
	insert, err := db.Prepare(plainRow)
	if err != nil {
		b.Fatal(err)
	}
	return db, insert
}
