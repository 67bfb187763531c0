package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"log"
	"net/http"
	"os"
	"time"

	// The application imports its driver:
	//	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/clickid/clickid"
	sqlstore "github.com/clickid/clickid/store_sql"
)

// The tracker stores clicks in PostgreSQL. The visitor's cookie holds a random
// token.
func Example() {
	ctx := context.Background()
	db, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	store, err := sqlstore.New(sqlstore.Config{DB: db, Database: sqlstore.DatabasePostgreSQL})
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
	mux := http.NewServeMux()
	log.Fatal(http.ListenAndServe(":8080", tracker.Handler(mux)))
}

// A store in a SQLite file, with modernc.org/sqlite.
func ExampleOpenSQLite() {
	db, err := sqlstore.OpenSQLite("sqlite", "clicks.db")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	store, err := sqlstore.New(sqlstore.Config{DB: db, Database: sqlstore.DatabaseSQLite})
	if err != nil {
		log.Fatal(err)
	}
	if err := store.Migrate(context.Background(), db); err != nil {
		log.Fatal(err)
	}
}

// The visitor's cookie keeps the click, and the database of the orders keeps the
// links. An order and its link are committed together, and a payment webhook
// finds the click by the order number.
func ExampleStore_In() {
	var (
		db     *sql.DB         // with the orders
		links  *sqlstore.Store // in the same database
		cookie []byte          // a key that "clickid keygen" has printed
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
	_ = placeOrder // call it with the context of the checkout's request
}
