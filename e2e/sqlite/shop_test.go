// Package sqlite tests the outbox in a shop's own SQLite database.
package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/outbox"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
)

func TestMain(m *testing.M) { crash.Main(m, sharedFile) }

// sharedFile stores orders and the outbox in one file, and the conversion in
// the transaction of its order.
var sharedFile = crash.Setup{
	Name:   "sqlite",
	Open:   openShop,
	Orders: committedOrders,
}

type shop struct {
	db     *sql.DB
	outbox *sqliteoutbox.Outbox
}

// openDatabase opens the shop's database with a single connection. The tills
// write without a pause; with several connections SQLite could let one of them
// wait forever.
func openDatabase(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE IF NOT EXISTS orders (id text PRIMARY KEY)"); err != nil {
		return nil, err
	}
	return db, nil
}

func openShop(ctx context.Context, path string, client *capi.Client) (crash.Shop, error) {
	db, err := openDatabase(path)
	if err != nil {
		return nil, err
	}
	ob, err := sqliteoutbox.New(db, sqliteoutbox.Config{
		Delivery: outbox.Config{Destination: client, MinSnooze: 50 * time.Millisecond, MaxSnooze: 2 * time.Second},
	})
	if err != nil {
		return nil, err
	}
	if err := ob.Migrate(ctx); err != nil {
		return nil, err
	}
	if err := ob.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	return &shop{db, ob}, nil
}

func (s *shop) Order(ctx context.Context, conversion clickid.Event, commit bool) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES (?)", conversion.ID); err != nil {
		return err
	}
	if result, err := clickid.Convert(ctx, s.outbox.In(tx), conversion); err != nil || result.Verdict != clickid.VerdictQueued {
		return fmt.Errorf("storing the conversion: %v, %w", result.Verdict, err)
	}
	if !commit {
		return nil
	}
	return tx.Commit()
}

func committedOrders(ctx context.Context, path string) ([]string, error) {
	db, err := openDatabase(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(ctx, "SELECT id FROM orders")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

func TestKill_anyMoment(t *testing.T) {
	t.Parallel()
	sharedFile.AnyMoment(t, filepath.Join(t.TempDir(), "shop.db"), 20)
}

func TestKill_duringDelivery(t *testing.T) {
	t.Parallel()
	sharedFile.DuringDelivery(t, filepath.Join(t.TempDir(), "shop.db"), 2000, 300, 800, 1500)
}
