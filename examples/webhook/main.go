// Command webhook is a small shop whose payment provider completes the orders
// with a webhook: later, and in a request without a cookie. Copy it and replace
// the orders and the provider's notices with your own.
//
//	CLICKID_API_KEY=scope3_… CLICKID_EVENT_SOURCE=… CLICKID_COOKIE_KEY=… PAYMENT_SECRET=… go run ./webhook
//
// Orders and outbox are in the same SQLite file (SHOP_DB). The conversion
// commits with the payment of its order, survives a crash, and waits while the
// platform is unavailable. CLICKID_BASE_URL is the address of a local receiver.
package main

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/outbox"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	secret := []byte(os.Getenv("PAYMENT_SECRET"))
	if len(secret) == 0 {
		return errors.New("PAYMENT_SECRET is required: without it, anyone could complete orders")
	}
	tracker, client, err := configure()
	if err != nil {
		return err
	}
	db, err := openDatabase(ctx, cmp.Or(os.Getenv("SHOP_DB"), "shop.db"))
	if err != nil {
		return err
	}
	defer db.Close()
	ob, err := sqliteoutbox.New(db, sqliteoutbox.Config{Delivery: outbox.Config{Destination: client}})
	if err != nil {
		return err
	}
	defer ob.Close()
	if err := ob.Migrate(ctx); err != nil {
		return err
	}
	if err := ob.Start(ctx); err != nil {
		return err
	}

	return serve(ctx, tracker.Handler(routes(db, ob, secret)))
}

// routes are the pages of the shop, and the webhook of its payment provider.
func routes(db *sql.DB, ob *sqliteoutbox.Outbox, secret []byte) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `<!doctype html><title>Shop</title><a href="/checkout">A lamp, $149.99</a>`)
	})
	mux.HandleFunc("GET /checkout", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `<!doctype html><title>Checkout</title><form method="post" action="/orders"><button>Pay</button></form>`)
	})
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		// The token finds the click when the visitor is not there. It is "" for
		// a visitor without a click.
		token, _ := clickid.Token(r.Context())
		order := rand.Text()
		if _, err := db.ExecContext(r.Context(), "INSERT INTO orders (number, cents, click) VALUES (?, ?, ?)", order, 14999, token); err != nil {
			log.Print(err)
			http.Error(w, "the order could not be stored", http.StatusInternalServerError)
			return
		}
		// Create the payment with your provider's API, which returns its page.
		page := cmp.Or(os.Getenv("PAYMENT_PAGE"), "https://pay.example/") + "?order=" + url.QueryEscape(order)
		http.Redirect(w, r, page, http.StatusSeeOther)
	})
	mux.HandleFunc("POST /webhooks/payment", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		if err != nil || !signed(body, r.Header.Get("Payment-Signature"), secret) {
			http.Error(w, "the signature is wrong", http.StatusUnauthorized)
			return
		}
		var n notice
		if err := json.Unmarshal(body, &n); err != nil {
			http.Error(w, "the notice is not valid JSON", http.StatusBadRequest)
			return
		}
		// Notices may come twice and out of order. Only the first one of this
		// type completes the order.
		if n.Type != "payment.paid" {
			return
		}
		if err := complete(r.Context(), db, ob, n); err != nil {
			log.Print(err)
			http.Error(w, "try again later", http.StatusServiceUnavailable)
		}
	})
	return mux
}

// notice is the body of the payment provider's webhook.
type notice struct {
	Type   string    `json:"type"`
	Order  string    `json:"order"`
	PaidAt time.Time `json:"paid_at"`
}

// signed reports whether the signature is the HMAC-SHA256 of the raw body.
func signed(body []byte, signature string, secret []byte) bool {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	got, err := hex.DecodeString(signature)
	return err == nil && hmac.Equal(got, mac.Sum(nil))
}

// complete marks the order as paid and stores its conversion in one transaction.
func complete(ctx context.Context, db *sql.DB, ob *sqliteoutbox.Outbox, n notice) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing to do after Commit
	var (
		cents int64
		token string
	)
	err = tx.QueryRowContext(ctx, "UPDATE orders SET paid_at = ? WHERE number = ? AND paid_at IS NULL RETURNING cents, click", n.PaidAt.UTC(), n.Order).Scan(&cents, &token)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // already paid, or not one of our orders
	}
	if err != nil {
		return err
	}
	result, err := clickid.Convert(ctx, ob.In(tx), clickid.Event{
		Type:       clickid.Purchase,
		ID:         n.Order,
		Time:       n.PaidAt, // not when the notice arrived
		Value:      clickid.Minor(cents, "USD"),
		Source:     clickid.SourceWebsite,
		PageURL:    "https://shop.example/checkout",
		ClickToken: token,
	})
	if err != nil {
		return err // nothing was stored
	}
	if result.Verdict == clickid.VerdictDeadLettered {
		// A repetition of the notice would not help, and the order is paid.
		log.Printf("the conversion of order %s is refused: %s", n.Order, result.Reason)
	}
	return tx.Commit()
}

// openDatabase opens the orders. Several writers of a SQLite file need immediate
// transactions and a busy timeout.
func openDatabase(ctx context.Context, path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)")
	if err != nil {
		return nil, err
	}
	_, err = db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS orders (number TEXT PRIMARY KEY, cents INTEGER NOT NULL, click TEXT NOT NULL, paid_at TEXT)")
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
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
