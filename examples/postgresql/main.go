// Command postgresql is a small shop on PostgreSQL, with pgx and an outbox on
// River. Copy it and replace the pages and orders with your own.
//
//	DATABASE_URL=postgres://… CLICKID_API_KEY=scope3_… CLICKID_EVENT_SOURCE=… CLICKID_COOKIE_KEY=… go run ./postgresql
//
// An order and its conversion commit in one transaction. The conversion survives
// a crash, and waits while the platform is unavailable. CLICKID_BASE_URL is the
// address of a local receiver. docs/getting-started/postgresql.md explains the
// program.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	tracker, client, err := configure()
	if err != nil {
		return err
	}
	db, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.Exec(ctx, orders); err != nil {
		return err
	}
	ob, err := riveroutbox.New(riverpgxv5.New(db), riveroutbox.Config{
		Delivery: outbox.Config{Destination: client},
	})
	if err != nil {
		return err
	}
	if err := ob.Migrate(ctx); err != nil {
		return err
	}
	if err := ob.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	defer stopDelivery(ob)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `<!doctype html><title>Shop</title><form method="post" action="/orders"><button>Buy a lamp, $149.99</button></form>`)
	})
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		number, result, err := place(r.Context(), db, ob, 14999)
		if err != nil {
			log.Print(err)
			http.Error(w, "the order could not be stored", http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "Thank you! Your order: %s. Conversion: %v\n", number, result.Verdict)
	})
	return serve(ctx, tracker.Handler(mux))
}

const orders = `CREATE TABLE IF NOT EXISTS orders (
	id        bigint GENERATED ALWAYS AS IDENTITY (START WITH 1001) PRIMARY KEY,
	cents     bigint NOT NULL,
	placed_at timestamptz NOT NULL DEFAULT now()
)`

// place stores an order and its conversion in one transaction.
func place(ctx context.Context, db *pgxpool.Pool, ob *riveroutbox.Outbox[pgx.Tx], cents int64) (number string, result clickid.Result, err error) {
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		var placedAt time.Time
		insert := "INSERT INTO orders (cents) VALUES ($1) RETURNING 'order-' || id, placed_at"
		if err := tx.QueryRow(ctx, insert, cents).Scan(&number, &placedAt); err != nil {
			return err
		}
		result, err = clickid.Convert(ctx, ob.In(tx), clickid.Event{
			Type:    clickid.Purchase,
			ID:      number,
			Time:    placedAt,
			Value:   clickid.Minor(cents, "USD"),
			Source:  clickid.SourceWebsite,
			PageURL: "https://shop.example/checkout",
		})
		return err // nothing was stored: roll the order back
	})
	return number, result, err
}

// stopDelivery ends the delivery of conversions. The remaining ones wait in the
// database.
func stopDelivery(ob outbox.Outbox) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	remaining, err := ob.Stop(ctx)
	if err != nil {
		log.Print(err)
	}
	log.Print("conversions that wait for the next start: ", remaining)
}

// configure reads the environment.
func configure() (*clickid.Tracker, *capi.Client, error) {
	key, err := clickid.ParseCookieKey(os.Getenv("CLICKID_COOKIE_KEY"))
	if err != nil {
		return nil, nil, err
	}
	store, err := clickid.NewCookieStore(key)
	if err != nil {
		return nil, nil, err
	}
	tracker, err := clickid.New(clickid.Config{Store: store})
	if err != nil {
		return nil, nil, err
	}
	client, err := capi.New(capi.Config{
		APIKey:   os.Getenv("CLICKID_API_KEY"),
		Dialect:  capi.LogEvent{EventSourceID: cmp.Or(os.Getenv("CLICKID_EVENT_SOURCE"), "shop")},
		BaseURL:  os.Getenv("CLICKID_BASE_URL"),
		Resolver: tracker,
	})
	return tracker, client, err
}

// serve serves requests until ctx ends, and then waits for those in progress.
func serve(ctx context.Context, h http.Handler) error {
	server := &http.Server{Addr: ":" + cmp.Or(os.Getenv("PORT"), "8080"), Handler: h, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		stopped <- server.Shutdown(ctx)
	}()
	log.Print("listening on ", server.Addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}
