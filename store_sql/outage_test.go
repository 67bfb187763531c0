package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/testserver"
)

// shopTimeout is the tracker's for one store call: longer than its default,
// since the machine of a test may be busy.
const shopTimeout = time.Second

// shop is a site behind a tracker, and what the tracker reported.
type shop struct {
	tracker *clickid.Tracker
	handler http.Handler

	mu       sync.Mutex
	failures []error
}

func newShop(t *testing.T, cfg clickid.Config) *shop {
	t.Helper()
	s := &shop{}
	cfg.Timeout = shopTimeout
	cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	cfg.Hook = func(_ context.Context, o clickid.Observation) {
		if o.Kind == clickid.StoreError {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.failures = append(s.failures, o.Err)
		}
	}
	var err error
	s.tracker, err = clickid.New(cfg)
	require.NoError(t, err)
	s.handler = s.tracker.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := clickid.Lookup(r.Context())
		w.Header().Set("Click", c.ID)
		if err != nil {
			w.Header().Set("Absent", map[bool]string{true: "certainly", false: "perhaps"}[errors.Is(err, clickid.ErrNotFound)])
		}
		_, _ = w.Write([]byte("page"))
	}))
	return s
}

// get requests a page, which must always be served, and in time.
func (s *shop) get(t testing.TB, path string, cookies ...*http.Cookie) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://shop.test"+path, nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	start := time.Now()
	s.handler.ServeHTTP(w, r)
	if took := time.Since(start); took > 10*shopTimeout {
		t.Errorf("the page took %v", took)
	}
	if w.Code != http.StatusOK || w.Body.String() != "page" {
		t.Errorf("the page was answered with the status %d", w.Code)
	}
	return w.Result()
}

// reported returns the failures since it was called before.
func (s *shop) reported() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	failures := s.failures
	s.failures = nil
	return failures
}

// lands waits until a landing is stored, and returns its cookies.
func (s *shop) lands(t *testing.T, id string) (cookies []*http.Cookie) {
	t.Helper()
	eventually(t, func() error {
		if cookies = s.get(t, "/?clkid="+id).Cookies(); len(cookies) == 0 {
			return errors.Join(s.reported()...)
		}
		return nil
	})
	return cookies
}

// isDown checks that many pages at once are served without the database.
func (s *shop) isDown(t *testing.T, cookies []*http.Cookie) {
	t.Helper()
	s.reported()
	const visitors = 40
	var done sync.WaitGroup
	for range visitors {
		done.Add(2)
		go func() {
			defer done.Done()
			landing := s.get(t, "/?clkid=during-the-outage")
			if len(landing.Cookies()) != 0 {
				t.Error("a click that was not saved got a cookie")
			}
			if landing.Header.Get("Click") != "during-the-outage" {
				t.Error("the landing itself does not know its click")
			}
		}()
		go func() {
			defer done.Done()
			if page := s.get(t, "/cart", cookies...); page.Header.Get("Absent") != "perhaps" {
				t.Errorf("a page took the outage for the answer %q", page.Header.Get("Absent"))
			}
		}()
	}
	done.Wait()
	failures := s.reported()
	require.Len(t, failures, 2*visitors, "every failure is reported")
	for _, err := range failures {
		require.NotContains(t, err.Error(), cookies[0].Value)
		require.NotContains(t, err.Error(), "during-the-outage")
	}
}

// isUp checks that what was stored before is found, and more is stored.
func (s *shop) isUp(t *testing.T, cookies []*http.Cookie, id string) {
	t.Helper()
	s.lands(t, "after-the-outage")
	eventually(t, func() error {
		if got := s.get(t, "/cart", cookies...).Header.Get("Click"); got != id {
			return errors.Join(append(s.reported(), errors.New("the click from before the outage is not found"))...)
		}
		return nil
	})
	require.NoError(t, s.tracker.Link(s.visit(t, cookies), clickid.OrderKey("42")))
	c, err := s.tracker.Linked(context.Background(), clickid.OrderKey("42"))
	require.NoError(t, err)
	require.Equal(t, id, c.ID)
}

// visit returns the context of a page that the visitor looks at.
func (s *shop) visit(t *testing.T, cookies []*http.Cookie) context.Context {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://shop.test/cart", nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return s.tracker.Capture(httptest.NewRecorder(), r).Context()
}

func TestAnOutageNeverBreaksAPage(t *testing.T) {
	for _, e := range []struct {
		engine
		start func(testing.TB) *testserver.Server
	}{
		{engine{dialect: PostgreSQL, driver: "pgx"}, testserver.StartPostgres},
		{engine{dialect: MySQL, driver: "mysql"}, testserver.StartMariaDB},
	} {
		t.Run(string(e.dialect), func(t *testing.T) {
			t.Parallel()
			server := e.start(t)
			db := e.open(t, server.DSN())
			store := e.migrated(t, db, DefaultPrefix)
			s := newShop(t, clickid.Config{Store: store})
			before := s.lands(t, "before-the-outage")

			server.Pause()
			s.isDown(t, before)
			_, err := s.tracker.Linked(context.Background(), clickid.OrderKey("42"))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Error(t, s.tracker.Link(s.visit(t, before), clickid.OrderKey("42")))
			server.Resume()
			s.isUp(t, before, "before-the-outage")

			server.Stop()
			s.isDown(t, before)
			// A shop that starts during the outage opens all the same.
			late := newShop(t, clickid.Config{Store: e.newStore(t, e.open(t, server.DSN()))})
			late.isDown(t, before)
			server.Restart()
			s.isUp(t, before, "before-the-outage")
			late.isUp(t, before, "before-the-outage")

			server.Kill()
			s.isDown(t, before)
			server.Restart()
			s.lands(t, "after-the-crash")
		})
	}
}

// SQLite has no server to stop, but another process may hold its lock.
func TestALockedFileNeverBreaksAPage(t *testing.T) {
	t.Parallel()
	e := engine{dialect: SQLite, driver: "sqlite"}
	path := filepath.Join(t.TempDir(), "clicks.db")
	s := newShop(t, clickid.Config{Store: e.migrated(t, e.open(t, path), DefaultPrefix)})
	before := s.lands(t, "before-the-lock")

	// Without a pool of its own the lock would wait for itself.
	other, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close()) })
	other.SetMaxOpenConns(1)
	_, err = other.Exec("BEGIN IMMEDIATE")
	require.NoError(t, err)
	landing := s.get(t, "/?clkid=during-the-lock")
	require.Empty(t, landing.Cookies())
	failures := s.reported()
	require.Len(t, failures, 1)
	require.ErrorIs(t, failures[0], context.DeadlineExceeded)
	// Readers do not wait for the writer.
	require.Equal(t, "before-the-lock", s.get(t, "/cart", before...).Header.Get("Click"))

	_, err = other.Exec("ROLLBACK")
	require.NoError(t, err)
	s.isUp(t, before, "before-the-lock")
}

func TestADatabaseThatWasClosedNeverBreaksAPage(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e engine) {
		store, db := e.store(t)
		s := newShop(t, clickid.Config{Store: store})
		before := s.lands(t, "before-the-close")
		require.NoError(t, db.Close())
		s.isDown(t, before)
	})
}
