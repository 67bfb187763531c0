package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite"

	"github.com/clickid/clickid"
	sqlstore "github.com/clickid/clickid/store_sql"
)

// Clicks and links in one database.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	folder, err := os.MkdirTemp("", "clickid-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	db, err := sqlstore.OpenSQLite("sqlite", filepath.Join(folder, "clicks.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	store, err := sqlstore.New(sqlstore.Config{DB: db, Database: sqlstore.DatabaseSQLite})
	if err != nil {
		log.Fatal(err)
	}
	if err := store.Migrate(ctx, db); err != nil {
		log.Fatal(err)
	}
	go store.PurgeEvery(ctx, time.Hour, nil)

	tracker, err := clickid.New(clickid.Config{Store: store})
	if err != nil {
		log.Fatal(err)
	}
	// tracker.Handler wraps the shop's router, and saves what lands. By hand:
	now := time.Now()
	token, err := store.Save(ctx, clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid", At: now, Expires: now.Add(clickid.DefaultTTL)})
	if err != nil {
		log.Fatal(err)
	}
	click, err := tracker.Resolve(ctx, token)
	fmt.Println(click.ID, err)
	// Output: 01ARZ3NDEKTSV4RRFFQ69G5FAV <nil>
}

// placeOrder links the order to its click in the order's own transaction, so
// that a payment webhook finds the click by the order's number.
func placeOrder(ctx context.Context, db *sql.DB, store *sqlstore.Store, tracker *clickid.Tracker, orderID string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES ($1)", orderID); err != nil {
		return err
	}
	err = tracker.LinkIn(ctx, store.In(tx), clickid.OrderKey(orderID))
	if err != nil && !errors.Is(err, clickid.ErrNotFound) { // most orders have no click
		return err
	}
	return tx.Commit()
}

// An order and its link, committed together.
func ExampleStore_In() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "clickid-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	db, err := sqlstore.OpenSQLite("sqlite", filepath.Join(folder, "shop.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "CREATE TABLE orders (id TEXT NOT NULL PRIMARY KEY)"); err != nil {
		log.Fatal(err)
	}
	store, err := sqlstore.New(sqlstore.Config{DB: db, Database: sqlstore.DatabaseSQLite})
	if err != nil {
		log.Fatal(err)
	}
	if err := store.Migrate(ctx, db); err != nil {
		log.Fatal(err)
	}
	cookies, err := clickid.NewCookieStore([]byte("32 random bytes, see clickid keygen"))
	if err != nil {
		log.Fatal(err)
	}
	tracker, err := clickid.New(clickid.Config{Store: cookies, Linker: store})
	if err != nil {
		log.Fatal(err)
	}

	// In a handler, this is the request's context.
	now := time.Now()
	visit := clickid.WithClick(ctx, clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid", At: now, Expires: now.Add(clickid.DefaultTTL)})
	if err := placeOrder(visit, db, store, tracker, "1042"); err != nil {
		log.Fatal(err)
	}

	// In the webhook:
	click, err := tracker.Linked(ctx, clickid.OrderKey("1042"))
	fmt.Println(click.ID, err)
	// Output: 01ARZ3NDEKTSV4RRFFQ69G5FAV <nil>
}
