// Command mariadb is a small shop on MariaDB or MySQL, with the outbox table and
// a queue in a SQLite file. Copy it and replace the pages and orders with your
// own.
//
//	MARIADB_DSN='shop:…@tcp(127.0.0.1:3306)/shop' CLICKID_API_KEY=scope3_… CLICKID_EVENT_SOURCE=… CLICKID_COOKIE_KEY=… go run ./mariadb
//
// An order and its conversion commit in one transaction. A relay moves the
// conversion from the table to the queue (OUTBOX_FILE), which sends it. It
// survives a crash, and waits while the platform is unavailable. CLICKID_BASE_URL
// is the address of a local receiver. docs/getting-started/mariadb.md explains
// the program.
package main

import (
	"cmp"
	"context"
	"database/sql"
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
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
	_ "github.com/go-sql-driver/mysql"
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
	db, err := sql.Open("mysql", os.Getenv("MARIADB_DSN"))
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetConnMaxLifetime(3 * time.Minute) // less than the server's wait_timeout
	if _, err := db.ExecContext(ctx, orders); err != nil {
		return err
	}
	table, err := outbox.NewTable(outbox.TableConfig{Database: outbox.DatabaseMySQL, Destination: client})
	if err != nil {
		return err
	}
	queue, err := sqliteoutbox.Open(cmp.Or(os.Getenv("OUTBOX_FILE"), "outbox.db"), sqliteoutbox.Config{
		Delivery: outbox.Config{Destination: client},
	})
	if err != nil {
		return err
	}
	defer queue.Close()
	ob, err := outbox.NewTableOutbox(queue, outbox.RelayConfig{DB: db, Table: table})
	if err != nil {
		return err
	}
	if err := errors.Join(queue.Migrate(ctx), ob.Migrate(ctx)); err != nil {
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
	id        bigint AUTO_INCREMENT PRIMARY KEY,
	cents     bigint NOT NULL,
	placed_at datetime(6) NOT NULL
) AUTO_INCREMENT = 1001`

// place stores an order and its conversion in one transaction.
func place(ctx context.Context, db *sql.DB, ob *outbox.TableOutbox, cents int64) (number string, result clickid.Result, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return "", result, err
	}
	defer func() { _ = tx.Rollback() }() // nothing to do after Commit
	placedAt := time.Now()
	inserted, err := tx.ExecContext(ctx, "INSERT INTO orders (cents, placed_at) VALUES (?, ?)", cents, placedAt)
	if err != nil {
		return "", result, err
	}
	id, err := inserted.LastInsertId()
	if err != nil {
		return "", result, err
	}
	number = fmt.Sprint("order-", id)
	result, err = clickid.Convert(ctx, ob.In(tx), clickid.Event{
		Type:    clickid.Purchase,
		ID:      number,
		Time:    placedAt,
		Value:   clickid.Minor(cents, "USD"),
		Source:  clickid.SourceWebsite,
		PageURL: "https://shop.example/checkout",
	})
	if err != nil {
		return "", result, err // nothing was stored: roll the order back
	}
	if err := tx.Commit(); err != nil {
		return "", result, err
	}
	ob.Notify() // otherwise the relay moves the conversion within 100 ms
	return number, result, nil
}

// stopDelivery ends the delivery of conversions. The remaining ones wait in the
// table and the file.
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
