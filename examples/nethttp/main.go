// Command nethttp is a small shop on net/http. Copy it and replace the pages and
// orders with your own.
//
//	CLICKID_API_KEY=scope3_… CLICKID_EVENT_SOURCE=… go run ./nethttp
//
// CLICKID_COOKIE_KEY is the key that signs clicks; the command "clickid keygen"
// creates one. Without it, a restart of the shop invalidates all clicks.
// CLICKID_BASE_URL is the address of a local receiver.
// docs/getting-started/cookie.md explains the program.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
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

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `<!doctype html><title>Shop</title><a href="/checkout">A lamp, $149.99</a>`)
	})
	mux.HandleFunc("GET /checkout", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `<!doctype html><title>Checkout</title><form method="post" action="/orders"><button>Buy the lamp</button></form>`)
	})
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		result, err := clickid.Convert(r.Context(), client, clickid.Event{
			Type:    clickid.Purchase,
			ID:      rand.Text(), // use the order number of your shop
			Time:    time.Now(),
			Value:   clickid.Decimal("149.99", "USD"),
			Source:  clickid.SourceWebsite,
			PageURL: "https://shop.example/checkout",
		})
		if err != nil {
			log.Print(err) // the order is still valid
		}
		fmt.Fprintln(w, "Thank you! Conversion:", result.Verdict)
	})
	return serve(ctx, tracker.Handler(mux))
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
