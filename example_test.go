package clickid_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
)

// cookieKey stands in for 32 secret random bytes from "clickid keygen".
var cookieKey = []byte("0123456789abcdef0123456789abcdef")

// startPlatform starts a receiver for an example.
func startPlatform() *clickidtest.Server {
	platform, err := clickidtest.Start("127.0.0.1:0", clickidtest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	return platform
}

// newExampleTracker returns a tracker with defaults that logs nothing.
func newExampleTracker() *clickid.Tracker {
	store, err := clickid.NewCookieStore(cookieKey)
	if err != nil {
		log.Fatal(err)
	}
	tracker, err := clickid.New(clickid.Config{
		Store:  store,
		Linker: clickid.NewMemoryStore(),
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		log.Fatal(err)
	}
	return tracker
}

// openShop starts a site and returns it with a client that stores cookies.
func openShop(site http.Handler) (*httptest.Server, *http.Client) {
	server := httptest.NewTLSServer(site)
	jar, err := cookiejar.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	browser := server.Client()
	browser.Jar = jar
	return server, browser
}

// get requests a page.
func get(browser *http.Client, url string) {
	resp, err := browser.Get(url)
	if err != nil {
		log.Fatal(err)
	}
	_ = resp.Body.Close()
}

// A shop: the middleware stores the click of a landing, and Convert sends the
// conversion when the order completes.
func Example_shop() {
	platform := startPlatform()
	defer platform.Close()

	store, err := clickid.NewCookieStore(cookieKey)
	if err != nil {
		log.Fatal(err)
	}
	tracker, err := clickid.New(clickid.Config{Store: store})
	if err != nil {
		log.Fatal(err)
	}
	client, err := capi.New(capi.Config{
		APIKey:  clickidtest.APIKey,
		Dialect: capi.ECAPI{DataSetID: clickidtest.DataSetID},
		BaseURL: platform.URL, // omit in production
	})
	if err != nil {
		log.Fatal(err)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {})
	mux.HandleFunc("/checkout", func(w http.ResponseWriter, r *http.Request) {
		_, err := clickid.Convert(r.Context(), client, clickid.Event{
			Type:   clickid.Purchase,
			ID:     "order-1001",
			Time:   time.Now(),
			Value:  clickid.Minor(14999, "USD"),
			Source: clickid.SourceWebsite,
		})
		if err != nil {
			log.Print(err) // the order is still valid
		}
	})

	shop, browser := openShop(tracker.Handler(mux))
	defer shop.Close()
	get(browser, shop.URL+"/?clkid=01ARZ3NDEKTSV4RRFFQ69G5FAV")
	get(browser, shop.URL+"/boots")
	get(browser, shop.URL+"/checkout")

	for _, e := range platform.Accepted() {
		fmt.Println(e.Type, e.ID, e.Value, e.Currency, "by click", e.ClickID)
	}
	// Output: purchase order-1001 149.99 USD by click 01ARZ3NDEKTSV4RRFFQ69G5FAV
}

// An order is paid hours later, in a webhook of the payment provider without a
// cookie. The checkout links the click to the order, and the webhook finds it
// by the order number.
func ExampleTracker_Linked() {
	platform := startPlatform()
	defer platform.Close()

	store, err := clickid.NewCookieStore(cookieKey)
	if err != nil {
		log.Fatal(err)
	}
	tracker, err := clickid.New(clickid.Config{
		Store:  store,
		Linker: clickid.NewMemoryStore(), // Redis or SQL in production
	})
	if err != nil {
		log.Fatal(err)
	}
	client, err := capi.New(capi.Config{
		APIKey:  clickidtest.APIKey,
		Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
		BaseURL: platform.URL, // omit in production
	})
	if err != nil {
		log.Fatal(err)
	}

	checkout := func(w http.ResponseWriter, r *http.Request) {
		err := tracker.Link(r.Context(), clickid.OrderKey("1001"))
		if err != nil && !errors.Is(err, clickid.ErrNotFound) {
			log.Print(err)
		}
	}
	webhook := func(w http.ResponseWriter, r *http.Request) {
		click, err := tracker.Linked(r.Context(), clickid.OrderKey("1001"))
		if err != nil && !errors.Is(err, clickid.ErrNotFound) {
			http.Error(w, "try again later", http.StatusServiceUnavailable)
			return
		}
		// Without a click the order is organic and is not sent.
		_, err = clickid.Convert(r.Context(), client, clickid.Event{
			Type: clickid.Purchase, ID: "order-1001", Time: time.Now(), Click: click, Value: clickid.Decimal("149.99", "USD"),
		})
		if err != nil {
			http.Error(w, "try again later", http.StatusServiceUnavailable)
		}
	}

	shop, browser := openShop(tracker.Handler(http.HandlerFunc(checkout)))
	defer shop.Close()
	get(browser, shop.URL+"/checkout?clkid=01ARZ3NDEKTSV4RRFFQ69G5FAV")
	webhook(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/webhook", nil))

	for _, e := range platform.Accepted() {
		fmt.Println(e.Type, e.ID, "by click", e.ClickID)
	}
	// Output: purchase order-1001 by click 01ARZ3NDEKTSV4RRFFQ69G5FAV
}

// An order by phone or in an app has the shop's session but not the visitor's
// cookie. The shop links the click to the session, and ConvertFor finds it.
func ExampleTracker_ConvertFor_session() {
	platform := startPlatform()
	defer platform.Close()
	tracker := newExampleTracker()
	client, err := capi.New(capi.Config{
		APIKey:  clickidtest.APIKey,
		Dialect: capi.ECAPI{DataSetID: clickidtest.DataSetID},
		BaseURL: platform.URL, // omit in production
	})
	if err != nil {
		log.Fatal(err)
	}

	login := func(w http.ResponseWriter, r *http.Request) {
		err := tracker.Link(r.Context(), clickid.SessionKey("session-of-the-customer"))
		if err != nil && !errors.Is(err, clickid.ErrNotFound) {
			log.Print(err)
		}
	}
	shop, browser := openShop(tracker.Handler(http.HandlerFunc(login)))
	defer shop.Close()
	get(browser, shop.URL+"/login?clkid=01ARZ3NDEKTSV4RRFFQ69G5FAV")

	// Later, without a request of the visitor.
	result, err := tracker.ConvertFor(context.Background(), clickid.SessionKey("session-of-the-customer"), client, clickid.Event{
		Type: clickid.Purchase, ID: "order-1001", Time: time.Now(), Value: clickid.Minor(14999, "USD"),
	})
	if err != nil {
		log.Print(err) // the caller may retry
	}
	fmt.Println(result.ID, result.Verdict, "by click", platform.Accepted()[0].ClickID)
	// Output: order-1001 accepted by click 01ARZ3NDEKTSV4RRFFQ69G5FAV
}

// A webhook without a linker: the checkout stores the visitor's token in the
// metadata of the payment, and the webhook reads it there.
func ExampleTracker_Resolve() {
	tracker := newExampleTracker()

	var metadata string
	checkout := func(w http.ResponseWriter, r *http.Request) {
		if token, ok := clickid.Token(r.Context()); ok {
			metadata = token
		}
	}
	shop, browser := openShop(tracker.Handler(http.HandlerFunc(checkout)))
	defer shop.Close()
	get(browser, shop.URL+"/?clkid=01ARZ3NDEKTSV4RRFFQ69G5FAV")
	get(browser, shop.URL+"/checkout")

	click, err := tracker.Resolve(context.Background(), metadata)
	fmt.Println(click.ID, click.Param, err)

	_, err = tracker.Resolve(context.Background(), "a-forged-token")
	fmt.Println(errors.Is(err, clickid.ErrInvalid))
	// Output:
	// 01ARZ3NDEKTSV4RRFFQ69G5FAV clkid <nil>
	// true
}

// Consent after the landing: nothing is stored until the banner posts the
// visitor's choice from the landing page. The Referer of this request has the
// click.
func ExampleTracker_Remember() {
	store, err := clickid.NewCookieStore(cookieKey)
	if err != nil {
		log.Fatal(err)
	}
	tracker, err := clickid.New(clickid.Config{
		Store: store,
		Consent: func(r *http.Request) clickid.Consent {
			switch c, err := r.Cookie("ads"); {
			case err != nil:
				return clickid.ConsentUnknown
			case c.Value == "yes":
				return clickid.ConsentGranted
			}
			return clickid.ConsentDenied
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {})
	mux.HandleFunc("/consent", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "ads", Value: "yes", Path: "/", Secure: true})
		if _, err := tracker.Remember(w, r, ""); err != nil && !errors.Is(err, clickid.ErrNotFound) {
			log.Print(err)
		}
	})
	shop := tracker.Handler(mux)

	landing := httptest.NewRecorder()
	shop.ServeHTTP(landing, httptest.NewRequest(http.MethodGet, "https://shop.example/?clkid=01ARZ3NDEKTSV4RRFFQ69G5FAV", nil))
	fmt.Println("cookies before the choice:", len(landing.Result().Cookies()))

	choice := httptest.NewRequest(http.MethodPost, "https://shop.example/consent", nil)
	choice.Header.Set("Referer", "https://shop.example/?clkid=01ARZ3NDEKTSV4RRFFQ69G5FAV")
	choice.Header.Set("Sec-Fetch-Site", "same-origin")
	granted := httptest.NewRecorder()
	shop.ServeHTTP(granted, choice)
	for _, c := range granted.Result().Cookies() {
		fmt.Println("cookie after it:", c.Name)
	}
	// Output:
	// cookies before the choice: 0
	// cookie after it: ads
	// cookie after it: __Host-clkid
}

// Withdrawal of consent removes cookie, record and links.
func ExampleTracker_Forget() {
	tracker := newExampleTracker()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, known := clickid.FromContext(r.Context())
		fmt.Println("a click is known:", known)
	})
	mux.HandleFunc("/withdraw", func(w http.ResponseWriter, r *http.Request) {
		if err := tracker.Forget(w, r); err != nil {
			http.Error(w, "try again later", http.StatusServiceUnavailable)
		}
	})
	shop, browser := openShop(tracker.Handler(mux))
	defer shop.Close()
	get(browser, shop.URL+"/?clkid=01ARZ3NDEKTSV4RRFFQ69G5FAV")
	get(browser, shop.URL+"/account")
	get(browser, shop.URL+"/withdraw")
	get(browser, shop.URL+"/account")
	// Output:
	// a click is known: true
	// a click is known: true
	// a click is known: false
}

// A custom attribution rule: the first click counts for a week, then the
// latest.
func ExampleTouch() {
	weekly := func(stored, landed clickid.Click) bool {
		return landed.At.Sub(stored.At) >= 7*24*time.Hour && clickid.LastTouch(stored, landed)
	}
	store, err := clickid.NewCookieStore(cookieKey)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := clickid.New(clickid.Config{Store: store, Touch: weekly}); err != nil {
		log.Fatal(err)
	}

	monday := time.Date(2026, time.June, 1, 12, 0, 0, 0, time.UTC)
	first := clickid.Click{ID: "first", At: monday}
	fmt.Println(weekly(first, clickid.Click{ID: "second", At: monday.AddDate(0, 0, 3)}))
	fmt.Println(weekly(first, clickid.Click{ID: "third", At: monday.AddDate(0, 0, 8)}))
	// Output:
	// false
	// true
}

// A shop on www.example.co.uk whose checkout is on pay.example.co.uk shares
// one cookie.
func ExampleSharedDomain() {
	domain, err := clickid.SharedDomain("www.example.co.uk:8443")
	if err != nil {
		log.Fatal(err)
	}
	store, err := clickid.NewCookieStore(cookieKey)
	if err != nil {
		log.Fatal(err)
	}
	tracker, err := clickid.New(clickid.Config{Store: store, Cookie: clickid.Cookie{Domain: domain}})
	if err != nil {
		log.Fatal(err)
	}
	w := httptest.NewRecorder()
	tracker.Capture(w, httptest.NewRequest(http.MethodGet, "https://www.example.co.uk/?clkid=01ARZ3NDEKTSV4RRFFQ69G5FAV", nil))
	cookie := w.Result().Cookies()[0]
	fmt.Println(cookie.Name, cookie.Domain)

	_, err = clickid.SharedDomain("co.uk")
	fmt.Println("a public suffix is refused:", err != nil)
	// Output:
	// __Secure-clkid example.co.uk
	// a public suffix is refused: true
}

// A test of a checkout: the click is in the context, and a receiver of package
// clickidtest stands in for the platform.
func ExampleWithClick() {
	platform := startPlatform() // in a test: clickidtest.NewServer(t)
	defer platform.Close()
	client, err := capi.New(capi.Config{
		APIKey:  clickidtest.APIKey,
		Dialect: capi.ECAPI{DataSetID: clickidtest.DataSetID},
		BaseURL: platform.URL,
	})
	if err != nil {
		log.Fatal(err)
	}
	completeOrder := func(ctx context.Context, order string) error {
		_, err := clickid.Convert(ctx, client, clickid.Event{Type: clickid.Purchase, ID: order, Time: time.Now()})
		return err
	}

	ctx := clickid.WithClick(context.Background(), clickid.Click{ID: "test-click"})
	if err := completeOrder(ctx, "order-1"); err != nil {
		log.Fatal(err)
	}
	if err := completeOrder(context.Background(), "order-2"); err != nil { // an organic visitor
		log.Fatal(err)
	}
	for _, e := range platform.Accepted() {
		fmt.Println(e.ID, "by", e.ClickID)
	}
	// Output: order-1 by test-click
}

// An order for two destinations, of which one is unavailable. The other gets
// the event, and the result names the one that failed.
func ExampleSenders() {
	platform, other := startPlatform(), startPlatform()
	defer platform.Close()
	defer other.Close()
	other.Always(clickidtest.Fault{Status: http.StatusServiceUnavailable})

	newClient := func(baseURL string) *capi.Client {
		client, err := capi.New(capi.Config{
			APIKey:  clickidtest.APIKey,
			Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
			BaseURL: baseURL,
			Retry:   capi.Retry{Attempts: 1},
			Logger:  slog.New(slog.DiscardHandler),
		})
		if err != nil {
			log.Fatal(err)
		}
		return client
	}
	both := clickid.Senders(newClient(platform.URL), newClient(other.URL))

	ctx := clickid.WithClick(context.Background(), clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid"})
	result, err := clickid.Convert(ctx, both, clickid.Event{
		Type:  clickid.Purchase,
		ID:    "order-1001",
		Time:  time.Now(),
		Value: clickid.Minor(14999, "USD"),
	})
	fmt.Println(result.Verdict, err != nil)
	for i, part := range result.Parts {
		fmt.Println(i, part.Verdict)
	}
	// Output:
	// failed true
	// 0 accepted
	// 1 failed
}

// A shop with two ad networks has a tracker for each, and each platform gets the
// click of its own network.
func ExampleTracker_Bind() {
	platform, other := startPlatform(), startPlatform()
	defer platform.Close()
	defer other.Close()
	newClient := func(baseURL string) *capi.Client {
		client, err := capi.New(capi.Config{
			APIKey:  clickidtest.APIKey,
			Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
			BaseURL: baseURL,
		})
		if err != nil {
			log.Fatal(err)
		}
		return client
	}
	store, err := clickid.NewCookieStore(cookieKey)
	if err != nil {
		log.Fatal(err)
	}
	scope3 := newExampleTracker()
	acme, err := clickid.New(clickid.Config{
		Store:  store,
		Params: []string{"acmeclid"},
		Cookie: clickid.Cookie{Name: "acmeclid"},
	})
	if err != nil {
		log.Fatal(err)
	}
	both := clickid.Senders(scope3.Bind(newClient(platform.URL)), acme.Bind(newClient(other.URL)))

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		_, err := clickid.Convert(r.Context(), both, clickid.Event{
			Type:  clickid.Purchase,
			ID:    "order-1001",
			Time:  time.Now(),
			Value: clickid.Minor(14999, "USD"),
		})
		if err != nil {
			log.Print(err)
		}
	})
	shop, browser := openShop(scope3.Handler(acme.Handler(mux)))
	defer shop.Close()

	for _, request := range []struct{ method, path string }{
		{http.MethodGet, "/?clkid=01ARZ3NDEKTSV4RRFFQ69G5FAV"},
		{http.MethodGet, "/?acmeclid=a7Qd2"},
		{http.MethodPost, "/orders"},
	} {
		r, err := http.NewRequest(request.method, shop.URL+request.path, nil)
		if err != nil {
			log.Fatal(err)
		}
		resp, err := browser.Do(r)
		if err != nil {
			log.Fatal(err)
		}
		resp.Body.Close()
	}
	fmt.Println(platform.Accepted()[0].ClickID)
	fmt.Println(other.Accepted()[0].ClickID)
	// Output:
	// 01ARZ3NDEKTSV4RRFFQ69G5FAV
	// a7Qd2
}
