package browser

import (
	"context"
	"crypto/tls"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/stretchr/testify/require"
)

// The hosts of every test. Those of the shop are one site, and each of the
// others is a site.
const (
	adsHost  = "ads.test"
	shopHost = "shop.test"
	wwwHost  = "www.shop.test"
	payHost  = "pay.test"
)

const (
	clickID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	landing = "https://shop.test/landing?clkid=" + clickID
)

// withoutMetadata is a parameter whose requests lose the browser's fetch metadata
// on their way, as behind some proxies.
const withoutMetadata = "without-metadata"

// world holds what a test needs: an ad page, a shop with its tracker, a payment
// page, the platform, and a visitor's browser.
type world struct {
	*browser
	tracker  *clickid.Tracker
	client   *capi.Client
	platform *clickidtest.Server

	// ads, shop, www and pay serve the hosts. The tracker wraps shop and www.
	ads, shop, www, pay *http.ServeMux

	mu           sync.Mutex
	requests     []request
	arrived      chan struct{} // closed at the next request
	observations []clickid.Observation
	orders       int
	tokens       map[string]string // of the unpaid orders
}

// request is a request that a host received.
type request struct {
	host, method, path string
	header             http.Header
}

// newWorld starts the hosts and the browser. The edits change the tracker's
// configuration.
func newWorld(t *testing.T, edits ...func(*clickid.Config)) *world {
	t.Helper()
	w := &world{
		platform: clickidtest.NewServer(t),
		ads:      http.NewServeMux(),
		shop:     http.NewServeMux(),
		www:      http.NewServeMux(),
		pay:      http.NewServeMux(),
		tokens:   make(map[string]string),
		arrived:  make(chan struct{}),
	}
	store, err := clickid.NewCookieStore([]byte("0123456789abcdef0123456789abcdef"))
	require.NoError(t, err)
	cfg := clickid.Config{
		Store: store,
		Hook: func(_ context.Context, o clickid.Observation) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.observations = append(w.observations, o)
		},
	}
	for _, edit := range edits {
		edit(&cfg)
	}
	w.tracker, err = clickid.New(cfg)
	require.NoError(t, err)
	w.client, err = capi.New(capi.Config{
		APIKey:   clickidtest.APIKey,
		BaseURL:  w.platform.URL,
		Dialect:  capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
		Resolver: w.tracker,
	})
	require.NoError(t, err)
	w.openShop()

	certificate, spki := newCertificate(t, adsHost, shopHost, wwwHost, payHost)
	w.browser = startBrowser(t, w.serve(t, certificate), spki)
	return w
}

// serve serves all hosts and returns the address.
func (w *world) serve(t *testing.T, certificate tls.Certificate) string {
	t.Helper()
	hosts := map[string]http.Handler{
		adsHost:  w.ads,
		shopHost: w.tracker.Handler(w.shop),
		wwwHost:  w.tracker.Handler(w.www),
		payHost:  w.pay,
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{
		ReadHeaderTimeout: patience,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}},
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			host, ok := hosts[r.Host]
			if !ok || r.URL.Path == "/favicon.ico" {
				http.NotFound(rw, r)
				return
			}
			w.mu.Lock()
			w.requests = append(w.requests, request{r.Host, r.Method, r.URL.RequestURI(), r.Header.Clone()})
			close(w.arrived)
			w.arrived = make(chan struct{})
			w.mu.Unlock()
			if r.URL.Query().Has(withoutMetadata) {
				for _, name := range []string{"Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "Sec-Purpose"} {
					r.Header.Del(name)
				}
			}
			host.ServeHTTP(rw, r)
		}),
	}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}

// htmlPage serves an HTML page whose main element has name as its ID.
func htmlPage(name, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { writePage(w, name, body) }
}

func writePage(w http.ResponseWriter, name, body string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, "<!doctype html><title>%s</title><main id=%q>%s</main>", name, name, body)
}

// advertise makes the ad page link to a URL.
func (w *world) advertise(url string) {
	w.ads.HandleFunc("GET /{$}", htmlPage("ad", `<a id="offer" href="`+template.HTMLEscapeString(url)+`">buy</a>`))
}

const checkoutForm = `<form method="post" action="https://shop.test/checkout"><button id="buy">buy</button></form>`

// openShop adds the shop's pages. The checkout converts the order and shows the
// verdict.
func (w *world) openShop() {
	w.shop.HandleFunc("GET /{$}", htmlPage("home", "welcome"))
	w.shop.HandleFunc("GET /landing", htmlPage("landing", `<a id="product" href="/product">product</a>`))
	w.shop.HandleFunc("GET /product", htmlPage("product", checkoutForm))
	w.shop.HandleFunc("POST /checkout", func(rw http.ResponseWriter, r *http.Request) {
		w.thank(r.Context(), rw, w.newOrder())
	})
}

// newOrder returns an event without a click and without user identities.
func (w *world) newOrder() clickid.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.orders++
	return clickid.Event{
		Type: clickid.Purchase, ID: fmt.Sprintf("order-%d", w.orders), Time: time.Now(),
		Value: clickid.Minor(4990, "EUR"), Source: clickid.SourceWebsite, PageURL: "https://shop.test/checkout",
	}
}

// thank converts the order and serves a page with the verdict.
func (w *world) thank(ctx context.Context, rw http.ResponseWriter, e clickid.Event) {
	result, err := clickid.Convert(ctx, w.client, e)
	verdict := result.Verdict.String()
	if err != nil {
		verdict = err.Error()
	}
	writePage(rw, "thanks", `<p id="verdict">`+template.HTMLEscapeString(verdict)+`</p>`)
}

// buy goes from the landing page to the end of the checkout and returns the
// verdict.
func (w *world) buy() string {
	w.t.Helper()
	w.click("#product", "product")
	w.click("#buy", "thanks")
	return w.text("#verdict")
}

// attributed returns the click IDs of the accepted conversions.
func (w *world) attributed() []string {
	var ids []string
	for _, e := range w.platform.Accepted() {
		ids = append(ids, e.ClickID)
	}
	return ids
}

// sent returns the requests to a host whose path has the prefix.
func (w *world) sent(host, path string) []request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.matching(host, path)
}

// awaitSent waits until a host has received n requests whose path has the
// prefix.
func (w *world) awaitSent(host, path string, n int) []request {
	w.t.Helper()
	for {
		w.mu.Lock()
		found, arrived := w.matching(host, path), w.arrived
		w.mu.Unlock()
		if len(found) >= n {
			return found
		}
		select {
		case <-arrived:
		case <-w.ctx.Done():
			w.t.Fatalf("%d of %d requests to %s%s arrived", len(found), n, host, path)
		}
	}
}

func (w *world) matching(host, path string) []request {
	var found []request
	for _, r := range w.requests {
		if r.host == host && strings.HasPrefix(r.path, path) {
			found = append(found, r)
		}
	}
	return found
}

// observed counts the tracker's observations of a kind.
func (w *world) observed(kind clickid.Kind) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, o := range w.observations {
		if o.Kind == kind {
			n++
		}
	}
	return n
}

// storesNothing asserts that the browser has no trace of the click: no cookie
// of any site, and nothing in the storage of the open page.
func (w *world) storesNothing() {
	w.t.Helper()
	require.Empty(w.t, w.cookies())
	require.Zero(w.t, eval[int](w.browser, "localStorage.length + sessionStorage.length"))
}

// showClick serves a page with the visitor's click ID.
func showClick(rw http.ResponseWriter, r *http.Request) {
	c, _ := clickid.FromContext(r.Context())
	writePage(rw, "order", c.ID)
}

// visitorsClick returns the click that an order of the visitor has.
func (w *world) visitorsClick() string {
	w.t.Helper()
	w.open("https://shop.test/order", "order")
	return w.text("main")
}
