// Command clockstore is a shop of the tests with wrong clocks, with a store of
// clicks. It is built as clockshop is.
//
// It prints its time and its URL, and serves pages until its standard input is
// closed. The page / writes the ID of the visitor's click, /link links the click to
// the order in the query, /linked writes the ID of the order's click, and /purge the
// number of purged rows. A missing click has status 404.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
	_ "modernc.org/sqlite"

	"github.com/clickid/clickid"
	redisstore "github.com/clickid/clickid/store_redis"
	sqlstore "github.com/clickid/clickid/store_sql"
)

var (
	kind = flag.String("store", "", "redis, postgresql, mysql or sqlite")
	dsn  = flag.String("dsn", "", "the DSN of the server")
	ttl  = flag.Duration("ttl", clickid.DefaultTTL, "the lifetime of a click")
)

func main() {
	flag.Parse()
	if err := serve(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(ctx context.Context) error {
	store, purge, err := open(ctx)
	if err != nil {
		return err
	}
	tracker, err := clickid.New(clickid.Config{Store: store, TTL: *ttl, StoreTimeout: time.Minute})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	order := func(r *http.Request) clickid.Key { return clickid.OrderKey(r.URL.Query().Get("order")) }
	for path, page := range map[string]func(r *http.Request) (any, error){
		"/":       func(r *http.Request) (any, error) { c, err := clickid.Lookup(r.Context()); return c.ID, err },
		"/link":   func(r *http.Request) (any, error) { return "", tracker.Link(r.Context(), order(r)) },
		"/linked": func(r *http.Request) (any, error) { c, err := tracker.Linked(ctx, order(r)); return c.ID, err },
		"/purge":  func(*http.Request) (any, error) { return purge(ctx, 1000) },
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			switch text, err := page(r); {
			case errors.Is(err, clickid.ErrNotFound):
				http.Error(w, "", http.StatusNotFound)
			case err != nil:
				http.Error(w, err.Error(), http.StatusInternalServerError)
			default:
				_, _ = fmt.Fprint(w, text)
			}
		})
	}
	fmt.Printf("%d\nhttp://%s\n", time.Now().Unix(), listener.Addr())
	go func() { _ = http.Serve(listener, tracker.Handler(mux)) }()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// open returns the store and the method that purges it.
func open(ctx context.Context) (clickid.Store, func(context.Context, int) (int, error), error) {
	if *kind == "redis" {
		options, err := redis.ParseURL(*dsn)
		if err != nil {
			return nil, nil, err
		}
		options.ContextTimeoutEnabled = true
		store, err := redisstore.New(redisstore.Config{Client: redis.NewClient(options)})
		return store, func(context.Context, int) (int, error) { return 0, nil }, err
	}
	database := sqlstore.Database(*kind)
	driver := map[sqlstore.Database]string{sqlstore.DatabasePostgreSQL: "pgx", sqlstore.DatabaseMySQL: "mysql", sqlstore.DatabaseSQLite: "sqlite"}[database]
	connect := sql.Open
	if database == sqlstore.DatabaseSQLite {
		connect = sqlstore.OpenSQLite
	}
	db, err := connect(driver, *dsn)
	if err != nil {
		return nil, nil, err
	}
	store, err := sqlstore.New(sqlstore.Config{DB: db, Database: database})
	if err == nil {
		err = store.Migrate(ctx, db)
	}
	return store, store.Purge, err
}
