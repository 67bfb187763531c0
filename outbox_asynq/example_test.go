package asynqoutbox_test

import (
	"context"
	"database/sql"
	"log"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
	asynqoutbox "github.com/clickid/clickid/outbox_asynq"
	"github.com/redis/go-redis/v9"
)

// The events are in Redis only. A crash between the order's commit and Send
// loses the conversion.
func Example() {
	var ctx context.Context       // of the program or the request
	var client outbox.Destination // of capi.New

	ob, err := asynqoutbox.New(asynqoutbox.Config{
		Delivery: outbox.Config{Destination: client},
		Redis:    redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true}),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := ob.Start(ctx); err != nil {
		log.Fatal(err)
	}
	result, err := clickid.Convert(ctx, ob, clickid.Event{
		Type: clickid.Purchase, ID: "order-1001", Time: time.Now(), Value: clickid.Minor(14999, "USD"),
	})
	log.Print(result.Verdict, err)
}

// The order's transaction writes the event to an outbox table, and the table's
// relay feeds asynq. No crash loses the conversion.
func Example_table() {
	var ctx context.Context       // of the program or the request
	var client outbox.Destination // of capi.New
	var db *sql.DB                // the database of the orders

	queue, err := asynqoutbox.New(asynqoutbox.Config{
		Delivery: outbox.Config{Destination: client},
		Redis:    redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true}),
	})
	if err != nil {
		log.Fatal(err)
	}
	table, err := outbox.NewTable(outbox.TableConfig{Database: outbox.DatabaseMySQL, Destination: client})
	if err != nil {
		log.Fatal(err)
	}
	ob, err := outbox.NewTableOutbox(queue, outbox.RelayConfig{DB: db, Table: table})
	if err != nil {
		log.Fatal(err)
	}
	if err := ob.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	if err := ob.Start(ctx); err != nil {
		log.Fatal(err)
	}

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
	ob.Notify() // spares the event the relay's interval
}
