package riveroutbox_test

import (
	"context"
	"database/sql"
	"log"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/riverqueue/river/riverdriver"
)

// The event commits or rolls back with the order. River delivers it in the
// background.
func Example() {
	var ctx context.Context // of the program or the request
	var db *sql.DB
	var driver riverdriver.Driver[*sql.Tx] // riverdatabasesql.New(db), or riverpgxv5.New(pool) for pgx.Tx
	var client outbox.Destination          // of capi.New

	ob, err := riveroutbox.New(driver, riveroutbox.Config{
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

	placeOrder := func(ctx context.Context) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		// Store the order in tx.
		_, err = clickid.Convert(ctx, ob.In(tx), clickid.Event{
			Type: clickid.Purchase, ID: "order-1001", Time: time.Now(), Value: clickid.Minor(14999, "USD"),
		})
		if err != nil {
			return err // nothing is stored
		}
		return tx.Commit()
	}
	if err := placeOrder(ctx); err != nil {
		log.Print(err)
	}

	// At shutdown, wait for the deliveries in progress.
	stopCtx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	remaining, err := ob.Stop(stopCtx)
	log.Print(remaining, " events wait for the next start: ", err)
}

// An operator looks up an order, and replays the dead letters after the cause is
// fixed. The destination with a name needs no API key.
func ExampleOutbox_Find() {
	var ctx context.Context
	var driver riverdriver.Driver[*sql.Tx]

	ob, err := riveroutbox.New(driver, riveroutbox.Config{
		Delivery: outbox.Config{Destination: outbox.Administration("logevent ping.scope3.com my-shop")},
	})
	if err != nil {
		log.Fatal(err)
	}
	entries, err := ob.Find(ctx, "order-1001")
	if err != nil {
		log.Fatal(err)
	}
	for _, entry := range entries {
		log.Print(entry.Type, " ", entry.State, " ", entry.Reason)
		if entry.State == outbox.StateDeadLettered {
			if _, err := ob.Replay(ctx, entry.DeadLetterID); err != nil {
				log.Fatal(err)
			}
		}
	}
}
