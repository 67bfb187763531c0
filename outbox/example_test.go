package outbox_test

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
)

// A shop's conversion is queued at once and delivered in the background. An
// outbox in memory is for examples: the durable ones only differ in
// their constructor.
func Example() {
	ctx := context.Background()
	platform, err := clickidtest.Start("127.0.0.1:0", clickidtest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer platform.Close()
	client, err := capi.New(capi.Config{
		APIKey:  clickidtest.APIKey,
		BaseURL: platform.URL,
		Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
	})
	if err != nil {
		log.Fatal(err)
	}
	ob, err := outbox.NewMemory(outbox.MemoryConfig{
		Delivery:   outbox.Config{Destination: client},
		AcceptLoss: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := ob.Start(ctx); err != nil {
		log.Fatal(err)
	}

	result, err := clickid.Convert(ctx, ob, clickid.Event{
		Type: clickid.Purchase, ID: "order-1001", Time: time.Now(), Value: clickid.Minor(14999, "USD"),
		Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Verdict)

	if _, err := platform.Wait(ctx, 1); err != nil {
		log.Fatal(err)
	}
	remaining, err := ob.Stop(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(platform.Accepted()[0].ID, "accepted,", remaining, "remaining")
	// Output:
	// queued
	// order-1001 accepted, 0 remaining
}

// Metadata carries the ID of the request to the delivery, with or without
// OpenTelemetry.
func ExampleMetadataFromContext() {
	type requestID struct{}
	ctx := context.WithValue(context.Background(), requestID{}, "request-7")

	platform, err := clickidtest.Start("127.0.0.1:0", clickidtest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer platform.Close()
	client, err := capi.New(capi.Config{
		APIKey:  clickidtest.APIKey,
		BaseURL: platform.URL,
		Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
	})
	if err != nil {
		log.Fatal(err)
	}
	ob, err := outbox.NewMemory(outbox.MemoryConfig{AcceptLoss: true, Delivery: outbox.Config{
		Destination: client,
		Metadata: func(ctx context.Context) map[string]string {
			id, _ := ctx.Value(requestID{}).(string)
			return map[string]string{"request_id": id}
		},
		Hook: func(ctx context.Context, o outbox.Observation) {
			if o.Kind == outbox.KindDelivered {
				fmt.Println(o.EventID, o.Kind, "of", outbox.MetadataFromContext(ctx)["request_id"])
			}
		},
	}})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := clickid.Convert(ctx, ob, clickid.Event{
		Type: clickid.Purchase, ID: "order-1001", Time: time.Now(), Value: clickid.Minor(14999, "USD"),
		Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid"},
	}); err != nil {
		log.Fatal(err)
	}
	if _, err := ob.Drain(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: order-1001 delivered of request-7
}

// The conversion commits or rolls back with its order in MySQL, and a relay
// moves it to the queue.
func ExampleTableOutbox() {
	placeOrder := func(ctx context.Context, db *sql.DB, ob *outbox.TableOutbox, event clickid.Event) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // no effect after Commit
		if _, err := tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES (?)", event.ID); err != nil {
			return err
		}
		if _, err := clickid.Convert(ctx, ob.In(tx), event); err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		ob.Notify()
		return nil
	}

	open := func(ctx context.Context, db *sql.DB, client *capi.Client, queue outbox.Queue) (*outbox.TableOutbox, error) {
		table, err := outbox.NewTable(outbox.TableConfig{Database: outbox.DatabaseMySQL, Destination: client})
		if err != nil {
			return nil, err
		}
		ob, err := outbox.NewTableOutbox(queue, outbox.RelayConfig{DB: db, Table: table})
		if err != nil {
			return nil, err
		}
		if err := ob.Migrate(ctx); err != nil {
			return nil, err
		}
		return ob, ob.Start(ctx)
	}
	_, _ = placeOrder, open
}

// A function that a scheduler calls every minute delivers what is due. It is the
// only code that delivers: nothing runs between two calls.
func ExampleDrainHandler() {
	platform, err := clickidtest.Start("127.0.0.1:0", clickidtest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer platform.Close()
	client, err := capi.New(capi.Config{
		APIKey:  clickidtest.APIKey,
		BaseURL: platform.URL,
		Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
	})
	if err != nil {
		log.Fatal(err)
	}
	ob, err := outbox.NewMemory(outbox.MemoryConfig{ // riveroutbox.New in a shop
		Delivery:   outbox.Config{Destination: client},
		AcceptLoss: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	secret := "the scheduler's secret"
	drain := outbox.DrainHandler(ob, 20*time.Second)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /tasks/conversions", func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if subtle.ConstantTimeCompare([]byte(token), []byte(secret)) != 1 {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		drain.ServeHTTP(w, r)
	})

	// An order, in a request of its own.
	_, err = clickid.Convert(context.Background(), ob, clickid.Event{
		Type: clickid.Purchase, ID: "order-1001", Time: time.Now(), Value: clickid.Minor(14999, "USD"),
		Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid"},
	})
	if err != nil {
		log.Fatal(err)
	}

	r := httptest.NewRequest(http.MethodPost, "/tasks/conversions", nil)
	r.Header.Set("Authorization", "Bearer "+secret)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Printf("%s%d accepted\n", w.Body, platform.Count())
	// Output:
	// {"settled":1,"remaining":0}
	// 1 accepted
}
