package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
)

const (
	documentedID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	cookieName   = "__Host-clkid"
)

type suite[H any] struct{ router Router[H] }

// site is a running application.
type site[H any] struct {
	Site[H]
	url    string
	client *http.Client
	read   chan struct{} // the first half of a page that flushes

	mu   sync.Mutex
	seen []sighting
}

// sighting is the result of a handler's lookup.
type sighting struct {
	idiom string
	id    string
	err   error
}

// start runs the application. Config.Store defaults to a cookie store.
func (s suite[H]) start(t *testing.T, mount Mount, cfg clickid.Config, change ...func(*Site[H])) *site[H] {
	t.Helper()
	if cfg.Store == nil {
		cfg.Store = cookieStore(t)
	}
	cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	tracker, err := clickid.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	app := &site[H]{client: &http.Client{
		Transport:     &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       2 * patience,
	}, read: make(chan struct{})}
	app.Site = Site[H]{Tracker: tracker, Mount: mount, Pages: s.router.Pages(app.awaitReader)}
	app.Look = func(idiom string, ctx context.Context) {
		click, err := clickid.Lookup(ctx)
		app.saw(sighting{idiom: idiom, id: click.ID, err: err})
	}
	for _, f := range change {
		f(&app.Site)
	}
	app.url = s.router.Serve(t, app.Site)
	t.Cleanup(app.client.CloseIdleConnections) // before the server's cleanup, which waits for them
	return app
}

func cookieStore(tb testing.TB) clickid.Store {
	tb.Helper()
	store, err := clickid.NewCookieStore([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		tb.Fatal(err)
	}
	return store
}

func (app *site[H]) saw(s sighting) {
	app.mu.Lock()
	defer app.mu.Unlock()
	app.seen = append(app.seen, s)
}

// awaitReader blocks a page that flushes until its first half has been read.
func (app *site[H]) awaitReader() {
	select {
	case <-app.read:
	case <-time.After(patience):
	}
}

// sightings returns the lookups since the last call.
func (app *site[H]) sightings() []sighting {
	app.mu.Lock()
	defer app.mu.Unlock()
	seen := app.seen
	app.seen = nil
	return seen
}

// response is a complete response.
type response struct {
	status int
	header http.Header
	body   string
}

func (r response) cookies() []*http.Cookie { return (&http.Response{Header: r.header}).Cookies() }

// get requests a path as a browser does when a visitor follows a link. The
// headers are pairs of name and value.
func (app *site[H]) get(t *testing.T, path string, headers ...string) response {
	t.Helper()
	return app.do(t, http.MethodGet, path, headers...)
}

func (app *site[H]) do(t *testing.T, method, path string, headers ...string) response {
	t.Helper()
	resp, err := app.request(method, path, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp
}

func (app *site[H]) request(method, path string, headers ...string) (response, error) {
	r, err := http.NewRequest(method, app.url+path, nil)
	if err != nil {
		return response{}, err
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := app.client.Do(r)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	var body []byte
	if resp.StatusCode == http.StatusOK && app.flushes(path) {
		body = make([]byte, len(First))
		if _, err := io.ReadFull(resp.Body, body); err != nil {
			return response{}, fmt.Errorf("reading the first half: %w", err)
		}
		select {
		case app.read <- struct{}{}:
		case <-time.After(patience):
			return response{}, errors.New("the page continued before its first half was read")
		}
	}
	rest, err := io.ReadAll(resp.Body)
	if err != nil {
		return response{}, err
	}
	resp.Header.Del("Date")
	return response{resp.StatusCode, resp.Header, string(body) + string(rest)}, nil
}

func (app *site[H]) flushes(path string) bool {
	path, _, _ = strings.Cut(path, "?")
	for i, page := range app.Pages {
		if path == Path(i) {
			return page.Kind == Flushes
		}
	}
	return false
}

// pages requests every page without a click, with a new click and with the
// cookie of an earlier one, and compares the responses with those of the
// application without the middleware.
func (s suite[H]) pages(t *testing.T, compress bool) {
	compressed := func(site *Site[H]) { site.Compress = compress }
	plain := s.start(t, Nowhere, clickid.Config{}, compressed)
	app := s.start(t, OnApp, clickid.Config{}, compressed)
	for i, page := range app.Pages {
		t.Run(string(page.Kind)+": "+page.Name, func(t *testing.T) {
			want := plain.get(t, Path(i))
			if want.status != page.Status || !strings.Contains(want.body, page.Body) {
				t.Fatalf("without the middleware: %d %q, want %d %q", want.status, want.body, page.Status, page.Body)
			}

			same(t, "page without a click", app.get(t, Path(i)), want)
			s.wantNothingSeen(t, app.sightings())

			landing := app.get(t, Path(i)+"?clkid="+documentedID)
			cookie := app.takeCookie(t, landing)
			s.wantSeen(t, app.sightings(), documentedID)
			if got := landing.header.Get("CDN-Cache-Control"); got != "no-store" {
				t.Errorf("CDN-Cache-Control of the landing is %q", got)
			}
			if got := landing.header.Get("Cache-Control"); got != "private, no-cache" && !page.OwnCaching {
				t.Errorf("Cache-Control of the landing is %q", got)
			}
			want.header = plain.get(t, Path(i)+"?clkid="+documentedID).header
			removeTrackerHeaders(&landing, want)
			same(t, "landing, apart from the tracker's headers", landing, want)

			want.header = plain.get(t, Path(i)).header
			same(t, "returning visitor", app.get(t, Path(i), "Cookie", cookie), want)
			s.wantSeen(t, app.sightings(), documentedID)
		})
	}
}

// takeCookie returns the tracker's cookie from a landing. The landing must set
// it exactly once, with the documented click.
func (app *site[H]) takeCookie(t *testing.T, landing response) string {
	t.Helper()
	var ours []*http.Cookie
	for _, c := range landing.cookies() {
		if c.Name == cookieName {
			ours = append(ours, c)
		}
	}
	if len(ours) != 1 {
		t.Fatalf("the landing sets %d cookies of the tracker, want one: %q", len(ours), landing.header["Set-Cookie"])
	}
	c := ours[0]
	if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.MaxAge <= 0 {
		t.Errorf("the cookie lacks attributes: %q", c.Raw)
	}
	click, err := app.Tracker.Resolve(context.Background(), c.Value)
	if err != nil || click.ID != documentedID {
		t.Errorf("the cookie does not hold the click: %v", err)
	}
	return c.Name + "=" + c.Value
}

// removeTrackerHeaders removes the tracker's headers from a landing and
// restores the page's own Cache-Control.
func removeTrackerHeaders(landing *response, want response) {
	landing.header = landing.header.Clone()
	landing.header.Del("CDN-Cache-Control")
	landing.header.Del("Cache-Control")
	if own := want.header["Cache-Control"]; own != nil {
		landing.header["Cache-Control"] = own
	}
	kept := slices.DeleteFunc(landing.header["Set-Cookie"], func(line string) bool {
		return strings.HasPrefix(line, cookieName+"=")
	})
	if landing.header["Set-Cookie"] = kept; len(kept) == 0 {
		delete(landing.header, "Set-Cookie")
	}
}

func same(t *testing.T, what string, got, want response) {
	t.Helper()
	if got.status != want.status {
		t.Errorf("%s: status %d, want %d", what, got.status, want.status)
	}
	if got.body != want.body {
		t.Errorf("%s: body %q, want %q", what, got.body, want.body)
	}
	if !maps.EqualFunc(got.header, want.header, slices.Equal[[]string]) {
		t.Errorf("%s: header %v, want %v", what, got.header, want.header)
	}
}

// wantSeen checks that every idiom found the click.
func (s suite[H]) wantSeen(t *testing.T, seen []sighting, id string) {
	t.Helper()
	s.wantIdioms(t, seen)
	for _, sighting := range seen {
		if sighting.err != nil || sighting.id != id {
			t.Errorf("%s: click %q, error %v, want click %q", sighting.idiom, sighting.id, sighting.err, id)
		}
	}
}

// wantNothingSeen checks that every idiom returned ErrNotFound.
func (s suite[H]) wantNothingSeen(t *testing.T, seen []sighting) {
	t.Helper()
	s.wantIdioms(t, seen)
	for _, sighting := range seen {
		if !errors.Is(sighting.err, clickid.ErrNotFound) {
			t.Errorf("%s: click %q, error %v, want ErrNotFound", sighting.idiom, sighting.id, sighting.err)
		}
	}
}

// wantIdioms checks that the handler ran once and used every idiom.
func (s suite[H]) wantIdioms(t *testing.T, seen []sighting) {
	t.Helper()
	var got []string
	for _, sighting := range seen {
		got = append(got, sighting.idiom)
	}
	want := append([]string{RequestContext}, s.router.Idioms...)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the handler looked for the click through %q, want %q", got, want)
	}
}
