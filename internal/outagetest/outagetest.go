// Package outagetest checks the pages of a shop while its store stops, hangs
// and recovers: all pages are served in time, and the tracker reports the
// errors.
package outagetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

const (
	// Timeout is the tracker's timeout for a store call. It is longer than the
	// default because the machine may be busy.
	Timeout = time.Second
	// patience is the time that a page may take. The tracker makes at most two
	// store calls, and many pages at once take seconds on a busy machine. A page
	// that waits for its store takes longer still: the store is unavailable until
	// all pages are served.
	patience = 2*Timeout + 6*Timeout
	// recovery is the time that a store may take to recover.
	recovery = 30 * time.Second
)

// Shop is a site behind a tracker.
type Shop struct {
	Tracker *clickid.Tracker
	handler http.Handler

	mu       sync.Mutex
	failures []error
	counts   map[clickid.Kind]int
}

// NewShop returns a shop. It sets Logger and Hook of cfg, and StoreTimeout unless
// it is set. A test without an outage sets a long one, since a busy machine may
// exceed Timeout.
func NewShop(t testing.TB, cfg clickid.Config) *Shop {
	t.Helper()
	s := &Shop{counts: map[clickid.Kind]int{}}
	if cfg.StoreTimeout == 0 {
		cfg.StoreTimeout = Timeout
	}
	cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	cfg.Hook = func(_ context.Context, o clickid.Observation) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.counts[o.Kind]++
		if o.Kind == clickid.KindStoreError {
			s.failures = append(s.failures, o.Err)
		}
	}
	tracker, err := clickid.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.Tracker = tracker
	s.handler = tracker.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch c, err := clickid.Lookup(r.Context()); {
		case err == nil:
			w.Header().Set(clickHeader, c.ID)
		case errors.Is(err, clickid.ErrNotFound):
			w.Header().Set(absentHeader, "certainly")
		}
		_, _ = io.WriteString(w, "page")
	}))
	return s
}

// Response headers with the result of the page's lookup.
const (
	clickHeader  = "Click"
	absentHeader = "Click-Absent"
)

// ClickOf returns the click ID that the page found, or "".
func ClickOf(page *http.Response) string { return page.Header.Get(clickHeader) }

// IsAbsent reports whether the page's lookup returned ErrNotFound.
func IsAbsent(page *http.Response) bool { return page.Header.Get(absentHeader) != "" }

// Get requests a page and checks that it is served in time.
func (s *Shop) Get(t testing.TB, path string, cookies ...*http.Cookie) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	start := time.Now()
	s.handler.ServeHTTP(w, request(path, cookies))
	if took := time.Since(start); took > patience {
		t.Errorf("the page took %v", took)
	}
	if w.Code != http.StatusOK || w.Body.String() != "page" {
		t.Errorf("the page has status %d and body %q", w.Code, w.Body)
	}
	return w.Result()
}

func request(path string, cookies []*http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://shop.test"+path, nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

// Visit returns the context of a page request.
func (s *Shop) Visit(cookies []*http.Cookie) context.Context {
	return s.Tracker.Capture(httptest.NewRecorder(), request("/cart", cookies)).Context()
}

// Failures returns the errors that the tracker reported since the last call.
func (s *Shop) Failures() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	failures := s.failures
	s.failures = nil
	return failures
}

// Count returns how many observations of a kind the tracker has reported.
func (s *Shop) Count(kind clickid.Kind) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[kind]
}

// FailsToForget asks for an erasure while the store is unavailable, and checks that
// it returns an error that names the token. It returns the cookies that make the next
// page repeat it.
func (s *Shop) FailsToForget(t testing.TB, landed []*http.Cookie) (pending []*http.Cookie) {
	t.Helper()
	w := httptest.NewRecorder()
	err := s.Tracker.Forget(w, request("/forget", landed))
	var left *clickid.ErasureError
	require.ErrorAs(t, err, &left)
	require.Equal(t, []string{landed[0].Value}, left.Tokens)
	require.NotContains(t, err.Error(), landed[0].Value)
	require.Len(t, s.Failures(), 1)
	pending = w.Result().Cookies()
	require.Len(t, pending, 1)
	require.Contains(t, pending[0].Value, landed[0].Value)
	return pending
}

// Forgets requests pages with the cookies of an erasure that has failed until it
// succeeds. landed are the cookies of the click.
func (s *Shop) Forgets(t testing.TB, landed, pending []*http.Cookie) {
	t.Helper()
	Eventually(t, func() error {
		if s.Get(t, "/cart", pending...); len(s.Failures()) > 0 {
			return errors.New("the page could not repeat the erasure")
		}
		return nil
	})
	_, err := s.Tracker.Resolve(context.Background(), landed[0].Value)
	require.ErrorIs(t, err, clickid.ErrNotFound)
}

// Lands requests a landing until its click is stored and returns the cookies.
func (s *Shop) Lands(t testing.TB, id string) (cookies []*http.Cookie) {
	t.Helper()
	Eventually(t, func() error {
		if cookies = s.Get(t, "/?clkid="+id).Cookies(); len(cookies) == 0 {
			return errors.Join(append(s.Failures(), errors.New("the landing got no cookie"))...)
		}
		return nil
	})
	return cookies
}

// FailsToLand requests landings until the store refuses a click, as when its disk is
// full, whose last pages have space. It returns the error that the tracker reported.
func (s *Shop) FailsToLand(t testing.TB, id string) error {
	t.Helper()
	landing := s.Get(t, "/?clkid="+id)
	for n := 0; len(landing.Cookies()) != 0; n++ {
		require.Less(t, n, 10_000, "the store refuses no click")
		landing = s.Get(t, "/?clkid="+id)
	}
	require.Equal(t, id, ClickOf(landing), "the page has its click without the store")
	failures := s.Failures()
	require.Len(t, failures, 1)
	return failures[0]
}

// ServesWithoutStore checks that concurrent pages are served while the store is
// unavailable. landed are the cookies of an earlier landing.
func (s *Shop) ServesWithoutStore(t testing.TB, landed []*http.Cookie) {
	t.Helper()
	s.Failures()
	const visitors, id = 40, "during-the-outage"
	var done sync.WaitGroup
	for range visitors {
		done.Add(2)
		go func() {
			defer done.Done()
			landing := s.Get(t, "/?clkid="+id)
			if len(landing.Cookies()) != 0 {
				t.Error("a click that was not saved got a cookie")
			}
			if ClickOf(landing) != id {
				t.Error("the landing does not find its click")
			}
		}()
		go func() {
			defer done.Done()
			if page := s.Get(t, "/cart", landed...); ClickOf(page) != "" || IsAbsent(page) {
				t.Error("a page found a click or ErrNotFound during the outage")
			}
		}()
	}
	done.Wait()
	failures := s.Failures()
	if len(failures) != 2*visitors {
		t.Errorf("%d pages without the store reported %d errors", 2*visitors, len(failures))
	}
	for _, err := range failures {
		if strings.Contains(err.Error(), landed[0].Value) || strings.Contains(err.Error(), id) {
			t.Error("an error contains a token or a click ID")
		}
	}
	s.Get(t, "/page")
	if failures := s.Failures(); len(failures) != 0 {
		t.Errorf("a page without a click called the store: %v", failures)
	}
}

// Recovers waits until clicks are stored and linked again, and the click id of
// the cookies landed is found. It repeats each step because the parts of a store,
// such as the nodes of a cluster, do not recover at the same moment.
func (s *Shop) Recovers(t testing.TB, landed []*http.Cookie, id string) {
	t.Helper()
	s.Lands(t, "after-the-outage")
	Eventually(t, func() error {
		if ClickOf(s.Get(t, "/cart", landed...)) != id {
			return errors.Join(append(s.Failures(), errors.New("the click from before the outage is not found"))...)
		}
		return nil
	})
	order := clickid.OrderKey("42")
	Eventually(t, func() error {
		if err := s.Tracker.Link(s.Visit(landed), order); err != nil {
			return fmt.Errorf("linking after the outage: %w", err)
		}
		return nil
	})
	Eventually(t, func() error {
		c, err := s.Tracker.Linked(context.Background(), order)
		if err == nil && c.ID != id {
			err = errors.New("another click")
		}
		if err != nil {
			return fmt.Errorf("finding a link after the outage: %w", err)
		}
		return nil
	})
}

// Eventually calls try until it succeeds. It fails the test if a server that
// recovers would have recovered long ago.
func Eventually(t testing.TB, try func() error) {
	t.Helper()
	for deadline := time.Now().Add(recovery); ; time.Sleep(20 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
