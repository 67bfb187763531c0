package river_test

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	sqlstore "github.com/clickid/clickid/store_sql"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
)

// network is an ad network with its tracker, platform and outbox.
type network struct {
	click    string
	tracker  *clickid.Tracker
	platform *clickidtest.Server
	outbox   *riveroutbox.Outbox[*sql.Tx]
}

// newNetwork returns a network with an event source, so that the platforms are
// different destinations on the same host.
func newNetwork(t *testing.T, db *sql.DB, store clickid.Store, source, click string, params ...string) network {
	t.Helper()
	n := network{click: click, platform: clickidtest.NewServer(t)}
	n.platform.Register(clickidtest.AdvertiserID, source)
	cfg := clickid.Config{Store: store, Params: params, StoreTimeout: time.Minute}
	if len(params) > 0 {
		cfg.Cookie.Name = params[0]
	}
	var err error
	if n.tracker, err = clickid.New(cfg); err != nil {
		t.Fatal(err)
	}
	client, err := capi.New(capi.Config{
		APIKey:   clickidtest.APIKey,
		BaseURL:  n.platform.URL,
		Dialect:  capi.LogEvent{EventSourceID: source},
		Resolver: n.tracker,
	})
	if err != nil {
		t.Fatal(err)
	}
	n.outbox, err = riveroutbox.New(riverdatabasesql.New(db), riveroutbox.Config{
		Delivery:     outbox.Config{Destination: client, MinSnooze: 50 * time.Millisecond, MaxSnooze: time.Second},
		PollInterval: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.outbox.Migrate(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestOutbox_networks pays an order of a visitor with the clicks of two ad
// networks. A webhook finds both by the order's number, in a store that the
// trackers share, and stores both conversions in one transaction.
func TestOutbox_networks(t *testing.T) {
	t.Parallel()
	ctx := within(t, 3*time.Minute)
	db, err := sql.Open("pgx", testserver.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	store, err := sqlstore.New(sqlstore.Config{DB: db, Database: sqlstore.DatabasePostgreSQL})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Migrate(ctx, db); err != nil {
		t.Fatal(err)
	}
	networks := []network{
		newNetwork(t, db, store, "shop", "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
		newNetwork(t, db, store, "other-shop", "other-network-click", "gclid"),
	}

	// The trackers capture both clicks, and checkout links them to the order.
	number := clickid.OrderKey("1001")
	shop := http.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			return
		}
		err := inSQLTransaction(r.Context(), db, func(tx *sql.Tx) error {
			var errs []error
			for _, n := range networks {
				errs = append(errs, n.tracker.LinkIn(r.Context(), store.In(tx), number))
			}
			return errors.Join(errs...)
		})
		if err != nil {
			t.Error(err)
		}
	}))
	for _, n := range networks {
		shop = n.tracker.Handler(shop)
	}
	landing := httptest.NewRecorder()
	shop.ServeHTTP(landing, httptest.NewRequest(http.MethodGet, "/?clkid="+networks[0].click+"&gclid="+networks[1].click, nil))
	checkout := httptest.NewRequest(http.MethodPost, "/checkout", nil)
	for _, c := range landing.Result().Cookies() {
		checkout.AddCookie(c)
	}
	shop.ServeHTTP(httptest.NewRecorder(), checkout)

	pay := func(after error) error {
		return inSQLTransaction(ctx, db, func(tx *sql.Tx) error {
			var senders []clickid.Sender
			for _, n := range networks {
				senders = append(senders, n.tracker.Bind(n.outbox.In(tx)))
			}
			result, err := networks[0].tracker.ConvertFor(ctx, number, clickid.Senders(senders...), clickid.Event{
				Type: clickid.Purchase, ID: "1001", Time: time.Now(), Value: clickid.Minor(14999, "USD"),
			})
			if err != nil || result.Verdict != clickid.VerdictQueued {
				t.Errorf("the conversions are %v: %v", result.Verdict, err)
			}
			return errors.Join(err, after)
		})
	}
	cancelled := errors.New("the payment is cancelled")
	if err := pay(cancelled); !errors.Is(err, cancelled) {
		t.Fatal(err)
	}
	lift := networks[1].platform.Always(clickidtest.Fault{Status: http.StatusServiceUnavailable})
	if err := pay(nil); err != nil {
		t.Fatal(err)
	}
	for _, n := range networks {
		start(t, n.outbox)
	}
	await(t, networks[0].platform, 1)
	if _, err := networks[1].platform.WaitRequests(ctx, 1); err != nil {
		t.Fatal(err)
	}
	lift()
	await(t, networks[1].platform, 1)
	for _, n := range networks {
		e := n.platform.Accepted()[0]
		if e.ID != "1001" || e.ClickID != n.click {
			t.Errorf("order %s was sent with the click %q, want %q", e.ID, e.ClickID, n.click)
		}
		if stats, err := n.outbox.Stats(ctx); err != nil || stats.DeadLetters != 0 {
			t.Errorf("there are %d dead letters: %v", stats.DeadLetters, err)
		}
	}
}

// inSQLTransaction calls f in a transaction that commits if f returns nil.
func inSQLTransaction(ctx context.Context, db *sql.DB, f func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}
