// Command networks is a small shop with two ad networks and two conversion
// platforms on PostgreSQL: clicks of Scope3 (clkid) go to Scope3, and those of
// the imaginary Acme Ads (acmeclid) to Acme. Copy it and replace Acme with a
// platform of your own; package acme is a complete destination.
//
//	DATABASE_URL=postgres://… CLICKID_API_KEY=scope3_… CLICKID_EVENT_SOURCE=… CLICKID_COOKIE_KEY=… \
//	ACME_API_KEY=… ACME_ACCOUNT=… ADMIN_TOKEN=… go run ./networks
//
// An order and its conversions for both platforms commit in one transaction. If
// a platform is unavailable, its conversions wait, and the other platform gets
// its own. CLICKID_BASE_URL and ACME_BASE_URL are the addresses of local
// receivers.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
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
	"github.com/clickid/clickid/examples/networks/acme"
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
	adminToken := os.Getenv("ADMIN_TOKEN")
	if adminToken == "" {
		return errors.New("ADMIN_TOKEN is required: without it, anyone could erase orders")
	}
	db, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.Exec(ctx, "CREATE TABLE IF NOT EXISTS orders (number text PRIMARY KEY, cents bigint NOT NULL)"); err != nil {
		return err
	}
	s := &shop{db: db}
	if s.networks, err = configure(db); err != nil {
		return err
	}
	for _, n := range s.networks {
		if err := n.outbox.Migrate(ctx); err != nil {
			return err
		}
		if err := n.outbox.Start(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		defer n.stop()
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `<!doctype html><title>Shop</title><form method="post" action="/orders"><button>Buy a lamp, $149.99</button></form>`)
	})
	mux.HandleFunc("POST /orders", s.order)
	mux.HandleFunc("GET /admin/outboxes", admin(adminToken, s.outboxes))
	mux.HandleFunc("POST /admin/replay", admin(adminToken, s.replay))
	mux.HandleFunc("DELETE /admin/orders/{number}", admin(adminToken, s.erase))

	// Each tracker captures the clicks of its network.
	var h http.Handler = mux
	for _, n := range s.networks {
		h = n.tracker.Handler(h)
	}
	return serve(ctx, h)
}

// network is an ad network with its tracker and its outbox.
type network struct {
	name    string
	tracker *clickid.Tracker
	outbox  *riveroutbox.Outbox[pgx.Tx]
}

// configure reads the environment. The trackers share a store, and the outboxes
// a schema: each destination has its own queue.
func configure(db *pgxpool.Pool) ([]network, error) {
	key, err := clickid.ParseCookieKey(os.Getenv("CLICKID_COOKIE_KEY"))
	if err != nil {
		return nil, err
	}
	store, err := clickid.NewCookieStore(key)
	if err != nil {
		return nil, err
	}

	scope3, err := clickid.New(clickid.Config{Store: store})
	if err != nil {
		return nil, err
	}
	scope3Client, err := capi.New(capi.Config{
		APIKey:   os.Getenv("CLICKID_API_KEY"),
		Dialect:  capi.LogEvent{EventSourceID: cmp.Or(os.Getenv("CLICKID_EVENT_SOURCE"), "shop")},
		BaseURL:  os.Getenv("CLICKID_BASE_URL"),
		Resolver: scope3,
	})
	if err != nil {
		return nil, err
	}
	acmeAds, err := clickid.New(clickid.Config{
		Store:  store,
		Params: []string{acme.Param},
		Cookie: clickid.Cookie{Name: acme.Param},
		TTL:    7 * 24 * time.Hour, // Acme attributes orders within a week
	})
	if err != nil {
		return nil, err
	}
	acmeClient, err := acme.New(acme.Config{
		APIKey:   os.Getenv("ACME_API_KEY"),
		Account:  os.Getenv("ACME_ACCOUNT"),
		BaseURL:  os.Getenv("ACME_BASE_URL"),
		Resolver: acmeAds,
	})
	if err != nil {
		return nil, err
	}

	networks := []network{{name: "scope3", tracker: scope3}, {name: "acme", tracker: acmeAds}}
	for i, destination := range []outbox.Destination{scope3Client, acmeClient} {
		networks[i].outbox, err = riveroutbox.New(riverpgxv5.New(db), riveroutbox.Config{
			Delivery: outbox.Config{Destination: destination},
		})
		if err != nil {
			return nil, err
		}
	}
	return networks, nil
}

// stop ends the deliveries. Remaining conversions wait in the database.
func (n network) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	remaining, err := n.outbox.Stop(ctx)
	log.Print("conversions that wait for ", n.name, ": ", remaining, " ", err)
}

type shop struct {
	db       *pgxpool.Pool
	networks []network
}

// order stores an order and its conversions in one transaction.
func (s *shop) order(w http.ResponseWriter, r *http.Request) {
	number := rand.Text()
	var result clickid.Result
	err := pgx.BeginFunc(r.Context(), s.db, func(tx pgx.Tx) (err error) {
		if _, err = tx.Exec(r.Context(), "INSERT INTO orders (number, cents) VALUES ($1, $2)", number, 14999); err != nil {
			return err
		}
		// Each network gets the click that its own tracker has captured.
		var senders []clickid.Sender
		for _, n := range s.networks {
			senders = append(senders, n.tracker.Bind(n.outbox.In(tx)))
		}
		result, err = clickid.Convert(r.Context(), clickid.Senders(senders...), clickid.Event{
			Type:   clickid.Purchase,
			ID:     number,
			Time:   time.Now(),
			Value:  clickid.Minor(14999, "USD"),
			Source: clickid.SourceWebsite,
		})
		return err // rolls the order back: nothing was stored
	})
	if err != nil {
		log.Print(err)
		http.Error(w, "the order could not be stored", http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, number)
	for i, part := range result.Parts {
		fmt.Fprintf(w, "%s: %v\n", s.networks[i].name, part.Verdict)
	}
}

// outboxes reports what waits and what was refused.
func (s *shop) outboxes(w http.ResponseWriter, r *http.Request) error {
	type report struct {
		Queued, Delivered int
		DeadLetters       map[string]string // reasons by order
	}
	reports := make(map[string]report)
	for _, n := range s.networks {
		stats, err := n.outbox.Stats(r.Context())
		if err != nil {
			return err
		}
		letters, err := n.outbox.DeadLetters(r.Context(), outbox.Page{})
		if err != nil {
			return err
		}
		dead := make(map[string]string)
		for _, letter := range letters {
			dead[letter.EventID] = letter.Reason
		}
		reports[n.name] = report{stats.Queued, stats.Delivered, dead}
	}
	return json.NewEncoder(w).Encode(reports)
}

// replay sends all dead letters again.
func (s *shop) replay(w http.ResponseWriter, r *http.Request) error {
	for _, n := range s.networks {
		count, err := n.outbox.Replay(r.Context())
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s: %d\n", n.name, count)
	}
	return nil
}

// erase erases an order and its conversions.
func (s *shop) erase(w http.ResponseWriter, r *http.Request) error {
	number := r.PathValue("number")
	for _, n := range s.networks {
		count, err := n.outbox.Erase(r.Context(), clickid.OrderKey(number))
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s: %d\n", n.name, count)
	}
	_, err := s.db.Exec(r.Context(), "DELETE FROM orders WHERE number = $1", number)
	return err
}

// admin returns a handler for requests with the token.
func admin(token string, h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+token)) != 1 {
			http.Error(w, "the token is wrong", http.StatusUnauthorized)
			return
		}
		if err := h(w, r); err != nil {
			log.Print(err)
			http.Error(w, "try again later", http.StatusServiceUnavailable)
		}
	}
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
