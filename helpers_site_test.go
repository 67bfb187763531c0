package clickid_test

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// startOfTest is when every site's clock begins, between two whole seconds.
var startOfTest = time.Date(2026, time.March, 1, 12, 0, 0, 400_000_000, time.UTC)

// clock is a time that only the test moves.
type clock struct{ nanoseconds atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanoseconds.Store(startOfTest.UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanoseconds.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.nanoseconds.Add(int64(d)) }

// countingStore counts the calls of a cookie store, and fails when it is told.
type countingStore struct {
	clickid.Store
	saves, loads, deletes, checks atomic.Int32
	fail                          atomic.Pointer[error]
}

func (s *countingStore) failWith(err error) { s.fail.Store(&err) }
func (s *countingStore) recover()           { s.fail.Store(nil) }

func (s *countingStore) failure() error {
	if err := s.fail.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *countingStore) Save(ctx context.Context, c clickid.Click) (string, error) {
	s.saves.Add(1)
	if err := s.failure(); err != nil {
		return "", err
	}
	return s.Store.Save(ctx, c)
}

func (s *countingStore) Load(ctx context.Context, token string) (clickid.Click, error) {
	s.loads.Add(1)
	if err := s.failure(); err != nil {
		return clickid.Click{}, err
	}
	return s.Store.Load(ctx, token)
}

func (s *countingStore) Delete(ctx context.Context, token string) error {
	s.deletes.Add(1)
	if err := s.failure(); err != nil {
		return err
	}
	return s.Store.Delete(ctx, token)
}

// CheckToken never fails, since it does not call the store.
func (s *countingStore) CheckToken(token string) error {
	s.checks.Add(1)
	if checker, ok := s.Store.(clickid.TokenChecker); ok {
		return checker.CheckToken(token)
	}
	return nil
}

// site is a tracker in front of a page, and everything that it notices.
type site struct {
	*clickid.Tracker
	t     testing.TB
	clock *clock
	store *countingStore
	page  http.HandlerFunc // what the tracker wraps; nil serves an empty page
	log   *syncBuffer

	mu      sync.Mutex
	noticed []clickid.Observation
}

// newSite returns a site with the configuration. Its store is cfg.Store, or a
// cookie store, with its calls counted.
func newSite(t testing.TB, cfg clickid.Config) *site {
	t.Helper()
	s := &site{t: t, clock: newClock(), log: &syncBuffer{}}
	if cfg.Store == nil {
		cfg.Store = newCookieStore(t, firstKey)
	}
	if _, counted := cfg.Store.(*countingStore); !counted {
		clickid.SetStoreNow(cfg.Store, s.clock.now)
		if cfg.Linker == nil {
			cfg.Linker, _ = cfg.Store.(clickid.Linker)
		}
		cfg.Store = &countingStore{Store: cfg.Store}
	}
	s.store = cfg.Store.(*countingStore)
	return s.start(cfg)
}

// newRealSite is newSite with the real clock and stores whose calls are not
// counted.
func newRealSite(t testing.TB, cfg clickid.Config) *site {
	t.Helper()
	s := &site{t: t, clock: newClock(), log: &syncBuffer{}}
	s.clock.nanoseconds.Store(time.Now().UnixNano())
	return s.start(cfg)
}

// start configures and makes the tracker. By default a store has more time than
// on a site, since a busy machine may need it.
func (s *site) start(cfg clickid.Config) *site {
	s.t.Helper()
	cfg.StoreTimeout = cmp.Or(cfg.StoreTimeout, time.Minute)
	hook := cfg.Hook
	cfg.Hook = func(ctx context.Context, o clickid.Observation) {
		if hook != nil {
			hook(ctx, o)
		}
		o.Duration = 0 // depends on the machine; TestObservation_duration checks it
		s.mu.Lock()
		defer s.mu.Unlock()
		s.noticed = append(s.noticed, o)
	}
	cfg.Logger = slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == "duration" {
			return slog.Attr{}
		}
		return a
	}}))
	tracker, err := clickid.New(cfg)
	require.NoError(s.t, err)
	tracker.SetNow(s.clock.now)
	s.Tracker = tracker
	return s
}

// observations returns what was noticed since the last call.
func (s *site) observations() []clickid.Observation {
	s.mu.Lock()
	defer s.mu.Unlock()
	noticed := s.noticed
	s.noticed = nil
	return noticed
}

// kinds returns what kinds of things were noticed since the last call.
func (s *site) kinds() []clickid.Kind {
	var kinds []clickid.Kind
	for _, o := range s.observations() {
		kinds = append(kinds, o.Kind)
	}
	return kinds
}

// response is a response and the context of its handler.
type response struct {
	*httptest.ResponseRecorder
	ctx    context.Context
	served bool // the handler ran
}

// visitor is a browser that keeps the site's cookies.
type visitor struct {
	site    *site
	cookies []*http.Cookie
}

func (s *site) visitor() *visitor { return &visitor{site: s} }

// get requests a page, with headers given as "Name: value".
func (v *visitor) get(target string, headers ...string) *response {
	return v.do(http.MethodGet, target, headers...)
}

func (v *visitor) do(method, target string, headers ...string) *response {
	r := newRequest(method, target, headers...)
	for _, c := range v.cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	return v.send(r)
}

// newRequest returns a request to example.com, with headers given as
// "Name: value".
func newRequest(method, target string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func (v *visitor) send(r *http.Request) *response {
	resp := &response{ResponseRecorder: httptest.NewRecorder()}
	v.site.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp.ctx, resp.served = r.Context(), true
		if v.site.page != nil {
			v.site.page(w, r)
		}
	})).ServeHTTP(resp.ResponseRecorder, r)
	for _, c := range resp.Result().Cookies() {
		v.cookies = removeCookie(v.cookies, c.Name)
		if c.MaxAge >= 0 {
			v.cookies = append(v.cookies, c)
		}
	}
	return resp
}

func removeCookie(cookies []*http.Cookie, name string) []*http.Cookie {
	var kept []*http.Cookie
	for _, c := range cookies {
		if c.Name != name {
			kept = append(kept, c)
		}
	}
	return kept
}

// id returns the click ID that the handler found, or "".
func (r *response) id() string {
	c, _ := clickid.FromContext(r.ctx)
	return c.ID
}

// setCookies returns the lines of Set-Cookie.
func (r *response) setCookies() []string { return r.Header()["Set-Cookie"] }

var (
	firstKey  = []byte("first-key-0123456789abcdef012345")
	secondKey = []byte("second-key-0123456789abcdef01234")
)

func newCookieStore(t testing.TB, keys ...[]byte) clickid.Store {
	t.Helper()
	store, err := clickid.NewCookieStore(keys...)
	require.NoError(t, err)
	return store
}

// ulidAt returns a ULID that was issued at a time.
func ulidAt(at time.Time, tail string) string {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	ms := at.UnixMilli()
	var id [26]byte
	for i := 9; i >= 0; i-- {
		id[i] = alphabet[ms&31]
		ms >>= 5
	}
	copy(id[10:], strings.Repeat("0", 16-len(tail))+tail)
	return string(id[:])
}

// syncBuffer is a buffer for concurrent writers.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
