package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"log"
	"time"

	// The application imports its driver, here:
	//	_ "modernc.org/sqlite"

	"github.com/clickid/clickid"
	sqlstore "github.com/clickid/clickid/store_sql"
)

// Clicks and links in one database.
func Example() {
	ctx := context.Background()
	db, err := sqlstore.OpenSQLite("sqlite", "clicks.db")
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
	_ = tracker // its Handler wraps the shop's router
}

// Clicks in the visitor's cookie, and links in the orders' database: an order
// and its link are committed together, and a payment webhook finds the click
// by the order's number.
func ExampleStore_In() {
	var (
		db     *sql.DB         // of the orders
		links  *sqlstore.Store // in the same database
		cookie []byte          // 32 random bytes, see clickid keygen
	)
	cookies, err := clickid.NewCookieStore(cookie)
	if err != nil {
		log.Fatal(err)
	}
	tracker, err := clickid.New(clickid.Config{Store: cookies, Linker: links})
	if err != nil {
		log.Fatal(err)
	}
	placeOrder := func(ctx context.Context, orderID string) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES ($1)", orderID); err != nil {
			return err
		}
		err = tracker.LinkIn(ctx, links.In(tx), clickid.OrderKey(orderID))
		if err != nil && !errors.Is(err, clickid.ErrNotFound) { // most orders have no click
			return err
		}
		return tx.Commit()
	}
	_ = placeOrder // the checkout calls it with its request's context
}
