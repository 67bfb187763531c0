package clickid_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

const documentedID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"

func newTracker(t testing.TB, cfg clickid.Config) *clickid.Tracker {
	t.Helper()
	if cfg.Store == nil {
		cfg.Store = newCookieStore(t, firstKey)
	}
	tracker, err := clickid.New(cfg)
	require.NoError(t, err)
	return tracker
}

func TestNew_problems(t *testing.T) {
	t.Parallel()
	_, err := clickid.New(clickid.Config{
		Params:       []string{"clkid", "cl kid", "clkid"},
		TTL:          401 * 24 * time.Hour,
		StoreTimeout: -time.Second,
		Cookie:       clickid.Cookie{Name: "__Host-clkid", Domain: "co.uk"},
	})
	problems := []string{
		"Store is required", "Params[1]", "Params[2] repeats", "TTL", "StoreTimeout", "Cookie.Name", "Cookie.Domain",
	}
	joined, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok, "the problems are joined")
	require.Len(t, joined.Unwrap(), len(problems))
	for i, problem := range problems {
		require.ErrorContains(t, joined.Unwrap()[i], problem)
		require.True(t, strings.HasPrefix(joined.Unwrap()[i].Error(), "clickid: "))
	}
}

func TestNew_checks(t *testing.T) {
	t.Parallel()
	nine := strings.Split("a b c d e f g h i", " ")
	tests := map[string]struct {
		edit    func(*clickid.Config)
		problem string // "" means none
	}{
		"the smallest configuration":      {func(*clickid.Config) {}, ""},
		"no store":                        {func(c *clickid.Config) { c.Store = nil }, "Store is required"},
		"eight parameters":                {func(c *clickid.Config) { c.Params = nine[:8] }, ""},
		"nine":                            {func(c *clickid.Config) { c.Params = nine }, "at most 8"},
		"an empty parameter":              {func(c *clickid.Config) { c.Params = []string{""} }, "Params[0]"},
		"a parameter outside the grammar": {func(c *clickid.Config) { c.Params = []string{"ok", "a=b"} }, "Params[1]"},
		"a parameter of 64 characters":    {func(c *clickid.Config) { c.Params = []string{strings.Repeat("x", 64)} }, ""},
		"a longer one":                    {func(c *clickid.Config) { c.Params = []string{strings.Repeat("x", 65)} }, "Params[0]"},
		"the shortest lifetime":           {func(c *clickid.Config) { c.TTL = time.Second }, ""},
		"a shorter one":                   {func(c *clickid.Config) { c.TTL = time.Second - 1 }, "TTL"},
		"a negative one":                  {func(c *clickid.Config) { c.TTL = -time.Hour }, "TTL"},
		"the longest":                     {func(c *clickid.Config) { c.TTL = 400 * 24 * time.Hour }, ""},
		"a longer lifetime":               {func(c *clickid.Config) { c.TTL = 400*24*time.Hour + 1 }, "TTL"},
		"a negative timeout":              {func(c *clickid.Config) { c.StoreTimeout = -1 }, "StoreTimeout"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := clickid.Config{Store: clickid.NewMemoryStore()}
			tt.edit(&cfg)
			tracker, err := clickid.New(cfg)
			if tt.problem == "" {
				require.NoError(t, err)
				require.NotNil(t, tracker)
				return
			}
			require.ErrorContains(t, err, tt.problem)
			require.Nil(t, tracker)
			require.Len(t, strings.Split(err.Error(), "\n"), 1)
		})
	}
}

func TestNew_laterChanges(t *testing.T) {
	t.Parallel()
	cfg := clickid.Config{Params: []string{"gclid"}}
	s := newSite(t, cfg)
	cfg.Params[0] = "clkid"
	require.Equal(t, "abc", s.visitor().get("/?clkid=x&gclid=abc").id())
}

// pagesWithoutAClick have nothing to do with the tracker.
var pagesWithoutAClick = map[string]*http.Request{
	"a bare page":                 newRequest(http.MethodGet, "/"),
	"other parameters":            newRequest(http.MethodGet, "/shop?page=2&utm_medium=cpc&f%5B%5D=1&c%6Ckif=x&%zz"),
	"other cookies":               newRequest(http.MethodGet, "/shop", "Cookie: session=0123456789abcdef; clkid=1; theme=dark; __Host-clkidx=2"),
	"a Referer of the same site":  newRequest(http.MethodGet, "/shop", "Referer: http://example.com/list?page=2&q=%63lk", asPage),
	"a Referer of another site":   newRequest(http.MethodGet, "/shop", "Referer: https://search.example/?q=shoes", asPage),
	"a browser's full navigation": newRequest(http.MethodGet, "/shop?q=shoes", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Referer: http://example.com/list?page=2", "Cookie: a=b", asPage),
	"an image of a landing page":  newRequest(http.MethodGet, "/logo.png", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image", "Referer: http://example.com/?clkid=abc"),
}

// discardWriter is a ResponseWriter without costs of its own.
type discardWriter struct{ header http.Header }

func (w *discardWriter) Header() http.Header         { return w.header }
func (w *discardWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *discardWriter) WriteHeader(int)             {}

func TestCapture_allocations(t *testing.T) { // not parallel: it counts allocations
	s := newSite(t, clickid.Config{})
	seen := 0
	h := s.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen++ }))
	for name, r := range pagesWithoutAClick {
		w := &discardWriter{header: http.Header{}}
		allocations := testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) })
		require.Zero(t, allocations, name)
		require.Empty(t, w.header, name)
	}
	require.NotZero(t, seen)
	require.Empty(t, s.observations())
	require.Zero(t, s.store.saves.Load()+s.store.loads.Load()+s.store.checks.Load()+s.store.deletes.Load())
}

// requestsWithATrace may carry an order or a denial, and no click.
var requestsWithATrace = map[string]*http.Request{
	"a form":                               newRequest(http.MethodPost, "/checkout", "Cookie: session=0123456789abcdef"),
	"a page without the visitor's consent": newRequest(http.MethodGet, "/shop", gpc),
}

func TestCapture_traceAllocations(t *testing.T) { // not parallel: it counts allocations
	s := newSite(t, clickid.Config{})
	h := s.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for name, r := range requestsWithATrace {
		w := &discardWriter{header: http.Header{}}
		require.LessOrEqual(t, testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }), 2.0, name)
		require.Empty(t, w.header, name)
	}
	require.Empty(t, s.observations())
	require.Zero(t, s.store.saves.Load()+s.store.loads.Load()+s.store.checks.Load()+s.store.deletes.Load())
}

func TestCapture_cookieAllocations(t *testing.T) { // not parallel: it counts allocations
	s := newSite(t, clickid.Config{})
	v := s.visitor()
	v.get("/?clkid=abc")
	r := newRequest(http.MethodGet, "/", "Cookie: session=1; __Host-clkid="+v.cookies[0].Value)
	loads, checks := s.store.loads.Load(), s.store.checks.Load()
	h := s.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	w := &discardWriter{header: http.Header{}}
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }), 2.0, "the request's copy and its context")
	require.Empty(t, w.header)
	require.Equal(t, loads, s.store.loads.Load())
	require.Equal(t, checks, s.store.checks.Load())
}

func TestCapture_sameRequest(t *testing.T) {
	t.Parallel()
	tracker := newTracker(t, clickid.Config{})
	for name, r := range pagesWithoutAClick {
		require.Same(t, r, tracker.Capture(httptest.NewRecorder(), r), name)
	}
}
