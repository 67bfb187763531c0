package redisstore_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// shop is a site whose tracker reports to the test.
type shop struct {
	http.Handler
	tracker *clickid.Tracker

	mu       sync.Mutex
	failures []error
	lookup   func(clickid.Click, error) // sees what the page found; may be nil
}

func newShop(t testing.TB, cfg clickid.Config) *shop {
	t.Helper()
	s := &shop{}
	cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	cfg.Hook = func(_ context.Context, o clickid.Observation) {
		if o.Kind == clickid.StoreError {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.failures = append(s.failures, o.Err)
		}
	}
	tracker, err := clickid.New(cfg)
	require.NoError(t, err)
	s.tracker = tracker
	s.Handler = tracker.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.lookup != nil {
			s.lookup(clickid.Lookup(r.Context()))
		}
		_, _ = w.Write([]byte("the page"))
	}))
	return s
}

// visit returns the page, what the handler learned of the click, and what the
// tracker reported meanwhile.
func (s *shop) visit(t testing.TB, url string, cookies ...*http.Cookie) (page *http.Response, click clickid.Click, err error, failures []error) {
	t.Helper()
	s.failures = nil
	s.lookup = func(c clickid.Click, lookupErr error) { click, err = c, lookupErr }
	r, w := httptest.NewRequest("GET", url, nil), httptest.NewRecorder()
	for _, cookie := range cookies {
		r.AddCookie(cookie)
	}
	s.ServeHTTP(w, r)
	page = w.Result()
	require.Equal(t, http.StatusOK, page.StatusCode)
	require.Equal(t, "the page", w.Body.String())
	return page, click, err, s.failures
}

const (
	landing  = "/?clkid=01ARZ3NDEKTSV4RRFFQ69G5FAV"
	checkout = "/checkout"
)

// patience is how long a page may take in an outage: the tracker waits for the
// store twice at most, and the machine may be busy.
const patience = 2*clickid.DefaultTimeout + 500*time.Millisecond

// survivesOutage breaks the servers, mends them, and watches the pages.
func survivesOutage(t *testing.T, client redis.UniversalClient, breakdown, mend func()) {
	site := newShop(t, clickid.Config{Store: newStore(t, client, "")})
	page, _, err, failures := site.visit(t, landing)
	require.NoError(t, err)
	require.Empty(t, failures)
	require.Len(t, page.Cookies(), 1)
	early := page.Cookies()[0]
	_, click, err, _ := site.visit(t, checkout, early)
	require.NoError(t, err)
	require.Equal(t, "01ARZ3NDEKTSV4RRFFQ69G5FAV", click.ID)

	breakdown()
	for range 3 { // whatever the client remembers of the outage
		start := time.Now()
		page, click, err, failures = site.visit(t, landing)
		require.Less(t, time.Since(start), patience)
		require.NotEmpty(t, failures)
		require.Empty(t, page.Cookies())
		require.NoError(t, err, "the landing itself knows its click")
		require.Equal(t, "01ARZ3NDEKTSV4RRFFQ69G5FAV", click.ID)

		start = time.Now()
		_, _, err, failures = site.visit(t, checkout, early)
		require.Less(t, time.Since(start), patience)
		require.NotEmpty(t, failures)
		require.Error(t, err)
		require.NotErrorIs(t, err, clickid.ErrNotFound, "an outage is no proof of absence")

		_, _, _, failures = site.visit(t, "/page")
		require.Empty(t, failures, "a page without a click asks nobody")
	}

	mend()
	require.Eventually(t, func() bool {
		page, _, _, failures := site.visit(t, landing)
		return len(failures) == 0 && len(page.Cookies()) == 1
	}, 20*time.Second, 50*time.Millisecond)
	require.Eventually(t, func() bool {
		_, click, err, _ := site.visit(t, checkout, early)
		return err == nil && click.ID == "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	}, 20*time.Second, 50*time.Millisecond)
}

func TestOutages(t *testing.T) {
	for name, breakdown := range map[string]func(*testserver.Server){
		"stopped": (*testserver.Server).Stop,
		"crashed": (*testserver.Server).Kill,
		"silent":  (*testserver.Server).Pause,
	} {
		t.Run("one server, "+name, func(t *testing.T) {
			t.Parallel()
			server := testserver.StartRedis(t)
			survivesOutage(t, newClient(t, server.DSN()), func() { breakdown(server) }, server.Restart)
		})
	}
	t.Run("cluster, silent", func(t *testing.T) {
		t.Parallel()
		client, servers := newCluster(t)
		survivesOutage(t, client, func() { each(servers, (*testserver.Server).Pause) }, func() { each(servers, (*testserver.Server).Resume) })
	})
	t.Run("cluster, crashed", func(t *testing.T) {
		t.Parallel()
		client, servers := newCluster(t)
		survivesOutage(t, client, func() { each(servers, (*testserver.Server).Kill) }, func() { each(servers, (*testserver.Server).Restart) })
	})
}

func each(servers []*testserver.Server, do func(*testserver.Server)) {
	for _, server := range servers {
		do(server)
	}
}

// The package's comment names the options for a client that gives up at once.
func TestImpatientClient(t *testing.T) {
	server := testserver.StartRedis(t)
	client := closed(t, redis.NewClient(&redis.Options{
		Addr: server.Addr(), ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1, DialerRetryTimeout: time.Millisecond,
	}))
	site := newShop(t, clickid.Config{Store: newStore(t, client, ""), Timeout: time.Minute})
	page, _, _, _ := site.visit(t, landing)
	require.Len(t, page.Cookies(), 1)
	server.Stop()
	for range 10 {
		start := time.Now()
		_, _, _, failures := site.visit(t, landing)
		require.Len(t, failures, 1)
		require.ErrorIs(t, failures[0], syscall.ECONNREFUSED)
		require.Less(t, time.Since(start), time.Second, "it waited, or tried again")
	}
	server.Restart()
	require.Eventually(t, func() bool {
		page, _, _, _ := site.visit(t, landing)
		return len(page.Cookies()) == 1
	}, 20*time.Second, 50*time.Millisecond)
}

// A site that starts during an outage has never spoken with its servers.
func TestStartInAnOutage(t *testing.T) {
	for name, connect := range map[string]func(t *testing.T) (redis.UniversalClient, []*testserver.Server){
		"one server": func(t *testing.T) (redis.UniversalClient, []*testserver.Server) {
			server := testserver.StartRedis(t)
			return newClient(t, server.DSN()), []*testserver.Server{server}
		},
		"cluster": func(t *testing.T) (redis.UniversalClient, []*testserver.Server) {
			client, servers := newCluster(t)
			return client, servers
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, servers := connect(t)
			each(servers, (*testserver.Server).Pause)
			site := newShop(t, clickid.Config{Store: newStore(t, client, "")})
			start := time.Now()
			_, click, err, failures := site.visit(t, landing)
			require.Less(t, time.Since(start), patience)
			require.NoError(t, err)
			require.False(t, click.IsZero())
			require.Len(t, failures, 1)
			each(servers, (*testserver.Server).Resume)
			require.Eventually(t, func() bool {
				page, _, _, _ := site.visit(t, landing)
				return len(page.Cookies()) == 1
			}, 20*time.Second, 50*time.Millisecond)
		})
	}
}

func TestTieredStoreInAnOutage(t *testing.T) {
	server := testserver.StartRedis(t)
	store := newStore(t, newClient(t, server.DSN()), "")
	cookies, err := clickid.NewCookieStore([]byte("0123456789abcdef0123456789abcdef"))
	require.NoError(t, err)
	var outages []error
	tiered, err := clickid.NewTieredStore(clickid.TieredConfig{
		Primary: store, Fallback: cookies, OnFallback: func(_ context.Context, err error) { outages = append(outages, err) },
	})
	require.NoError(t, err)
	site := newShop(t, clickid.Config{Store: tiered})
	order := clickid.OrderKey("42")

	page, _, _, _ := site.visit(t, landing)
	require.NoError(t, store.CheckToken(page.Cookies()[0].Value), "Redis took the click")

	server.Pause()
	page, _, _, failures := site.visit(t, landing)
	require.Empty(t, failures)
	require.Len(t, outages, 1)
	require.Len(t, page.Cookies(), 1)
	kept := page.Cookies()[0]
	require.ErrorIs(t, store.CheckToken(kept.Value), clickid.ErrInvalid, "the cookie took the click")
	_, click, err, _ := site.visit(t, checkout, kept)
	require.NoError(t, err)
	require.Equal(t, "01ARZ3NDEKTSV4RRFFQ69G5FAV", click.ID)

	server.Resume()
	require.Eventually(t, func() bool {
		return tiered.(clickid.Linker).Link(ctx, order, kept.Value, click.Expires) == nil
	}, 20*time.Second, 50*time.Millisecond)
	found, err := site.tracker.Linked(ctx, order)
	require.NoError(t, err)
	require.Equal(t, click, found)
	require.NoError(t, tiered.Delete(ctx, kept.Value))
	_, err = site.tracker.Linked(ctx, order)
	require.ErrorIs(t, err, clickid.ErrNotFound)
}

// Clicks in the visitor's cookie and links in Redis: a million landings write
// nothing there.
func TestLinkerOnly(t *testing.T) {
	client := newClient(t, testserver.Redis(t))
	prefix := sharedPrefix(t, client)
	require.NoError(t, client.Ping(ctx).Err())
	var asked commandCount
	client.AddHook(&asked)
	cookies, err := clickid.NewCookieStore([]byte("0123456789abcdef0123456789abcdef"))
	require.NoError(t, err)
	site := newShop(t, clickid.Config{Store: cookies, Linker: newStore(t, client, prefix)})

	page, landed, err, _ := site.visit(t, landing)
	require.NoError(t, err)
	cookie := page.Cookies()[0]
	_, _, err, _ = site.visit(t, checkout, cookie)
	require.NoError(t, err)
	site.visit(t, landing, cookie)
	site.visit(t, "/page")
	require.Zero(t, asked, "pages and landings ask no server")

	order := clickid.OrderKey("42")
	require.NoError(t, site.tracker.Link(clickid.WithClick(ctx, landed), order))
	require.NotZero(t, asked)
	found, err := site.tracker.Linked(ctx, order)
	require.NoError(t, err)
	require.Equal(t, landed, found)
	require.NoError(t, site.tracker.ForgetKey(ctx, order))
	_, err = site.tracker.Linked(ctx, order)
	require.ErrorIs(t, err, clickid.ErrNotFound)
	require.Empty(t, keysBelow(t, client, prefix))
}
