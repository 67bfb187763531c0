package sqliteoutbox_test

import (
	"context"
	"database/sql"
	"log"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
)

// The outbox has a file of its own, for a shop whose orders are in another
// database or in none.
func ExampleOpenAndStart() {
	var ctx context.Context       // of the program or the request
	var client outbox.Destination // of capi.New

	ob, err := sqliteoutbox.OpenAndStart(ctx, "outbox.db", sqliteoutbox.Config{
		Delivery: outbox.Config{Destination: client},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer ob.Close()
	result, err := clickid.Convert(ctx, ob, clickid.Event{
		Type: clickid.Purchase, ID: "order-1001", Time: time.Now(), Value: clickid.Minor(14999, "USD"),
	})
	log.Print(result.Verdict, err)
}

// The orders are in SQLite, and the event commits or rolls back with the order.
func ExampleNew() {
	var ctx context.Context       // of the program or the request
	var client outbox.Destination // of capi.New

	db, err := sql.Open("sqlite", "file:shop.db?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	ob, err := sqliteoutbox.New(db, sqliteoutbox.Config{
		Delivery: outbox.Config{Destination: client},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := ob.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	if err := ob.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer ob.Close()

	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer tx.Rollback()
	// Store the order in tx.
	_, err = clickid.Convert(ctx, ob.In(tx), clickid.Event{
		Type: clickid.Purchase, ID: "order-1001", Time: time.Now(), Value: clickid.Minor(14999, "USD"),
	})
	if err != nil {
		log.Fatal(err) // nothing is stored
	}
	if err := tx.Commit(); err != nil {
		log.Fatal(err)
	}
}
