package clickid_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// panickingStore panics with a value of the test's choice, wherever it is
// called.
type panickingStore struct{ value any }

func (s panickingStore) Save(context.Context, clickid.Click) (string, error) { panic(s.value) }
func (s panickingStore) Load(context.Context, string) (clickid.Click, error) { panic(s.value) }
func (s panickingStore) Delete(context.Context, string) error                { panic(s.value) }
func (s panickingStore) CheckToken(string) error                             { panic(s.value) }
func (s panickingStore) Unlink(context.Context, clickid.Key) error           { panic(s.value) }
func (s panickingStore) UnlinkToken(context.Context, string) error           { panic(s.value) }
func (s panickingStore) Linked(context.Context, clickid.Key) (string, error) { panic(s.value) }
func (s panickingStore) Link(context.Context, clickid.Key, string, time.Time) error {
	panic(s.value)
}

// savingStore returns a token of the test's choice.
type savingStore struct {
	clickid.Store
	token string
}

func (s savingStore) Save(context.Context, clickid.Click) (string, error) { return s.token, nil }

func TestHandler_failingStore(t *testing.T) {
	t.Parallel()
	var nilMap map[string]int
	runtimeError := func() (p any) {
		defer func() { p = recover() }()
		nilMap["x"]++
		return nil
	}()
	cookies := newCookieStore(t, firstKey)
	stores := map[string]clickid.Store{
		"failing":                    tokenStoreFailingWith(errors.New("connection refused")),
		"slow":                       hangingStore{cookies},
		"panicking with a text":      panickingStore{"lost " + documentedID},
		"panicking with an error":    panickingStore{errors.New("lost " + documentedID)},
		"panicking in the runtime":   panickingStore{runtimeError},
		"panicking with nil":         panickingStore{nil},
		"returning an empty token":   savingStore{cookies, ""},
		"returning a broken token":   savingStore{cookies, "a;b"},
		"returning a token too long": savingStore{cookies, strings.Repeat("x", clickid.MaxTokenLength+1)},
	}
	for name, store := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, clickid.Config{Store: store, StoreTimeout: time.Millisecond, Consent: byHeader, StripParam: true})
			landing := s.visitor().get("/?clkid="+documentedID, yes)
			require.True(t, landing.served)
			require.Equal(t, http.StatusOK, landing.Code)
			require.Equal(t, documentedID, landing.id(), "the landing knows its click")
			require.Empty(t, landing.setCookies(), "and keeps it nowhere")

			withCookie := "Cookie: __Host-clkid=" + newTokenOf(t, newCookieStore(t, firstKey), "abc")
			for _, request := range []func(*visitor) *response{
				func(v *visitor) *response { return v.get("/", yes, withCookie) },
				func(v *visitor) *response { return v.get("/?clkid="+documentedID, yes, withCookie) },
				func(v *visitor) *response { return v.get("/", no, withCookie) },
			} {
				resp := request(s.visitor())
				require.True(t, resp.served)
				require.Equal(t, http.StatusOK, resp.Code)
				_, _ = clickid.Lookup(resp.ctx)
				_, _ = clickid.Token(resp.ctx)
			}
			observations := s.observations()
			require.NotEmpty(t, observations)
			require.Equal(t, clickid.KindStoreError, observations[0].Kind)
			require.Error(t, observations[0].Err)
			require.NotContains(t, s.log.String(), documentedID, "a panic's value may hold the click")
			require.Contains(t, s.log.String(), `level=ERROR msg="clickid: store error"`)
		})
	}
}

// tokenStoreFailingWith returns a store that fails with err.
func tokenStoreFailingWith(err error) clickid.Store {
	s := &countingStore{}
	s.failWith(err)
	return errorStore{s}
}

// errorStore is a store without a TokenChecker.
type errorStore struct{ clickid.Store }

func TestGuardedStore_panic(t *testing.T) {
	t.Parallel()
	store := panickingStore{"secret"}
	s := newSite(t, clickid.Config{Store: savingStore{newCookieStore(t, firstKey), "token"}, Linker: store})
	landing := s.visitor().get("/?clkid=abc")
	k := clickid.OrderKey("1")
	ctx := context.Background()

	panicking := newTracker(t, clickid.Config{Store: store, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	_, resolveErr := panicking.Resolve(ctx, "token")
	_, linkedErr := s.Linked(ctx, k)
	for name, err := range map[string]error{
		"Resolve": resolveErr, "Linked": linkedErr, "Link": s.Link(landing.ctx, k), "ForgetKey": s.ForgetKey(ctx, k),
	} {
		require.ErrorContains(t, err, "the store panicked with a value of type string", name)
		require.NotContains(t, err.Error(), "secret", name)
		require.NotErrorIs(t, err, clickid.ErrNotFound, name)
	}
}

func TestStoreTimeout(t *testing.T) {
	t.Parallel()
	inner := newCookieStore(t, firstKey)
	clickid.SetStoreNow(inner, func() time.Time { return startOfTest })
	s := newSite(t, clickid.Config{Store: hangingStore{inner}, StoreTimeout: time.Millisecond})
	resp := cookieHeader(s, "__Host-clkid="+newTokenOf(t, newCookieStore(t, firstKey), "abc"))
	_, err := clickid.Lookup(resp.ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = s.Resolve(context.Background(), "token")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// deadlines records how long the calls of a memory store have.
type deadlines struct {
	*clickid.MemoryStore
	left time.Duration
}

func (d *deadlines) Load(ctx context.Context, token string) (clickid.Click, error) {
	deadline, _ := ctx.Deadline()
	d.left = time.Until(deadline)
	return d.MemoryStore.Load(ctx, token)
}

func (d *deadlines) Linked(ctx context.Context, k clickid.Key) (string, error) {
	deadline, _ := ctx.Deadline()
	d.left = time.Until(deadline)
	return d.MemoryStore.Linked(ctx, k)
}

// TestStoreTimeout_jobs compares the time of store calls in a page with that in
// a job, for which no visitor waits.
func TestStoreTimeout_jobs(t *testing.T) {
	t.Parallel()
	store := &deadlines{MemoryStore: clickid.NewMemoryStore()}
	s := newRealSite(t, clickid.Config{Store: store, StoreTimeout: time.Minute})
	token, _ := clickid.Token(s.visitor().get("/?clkid=abc").ctx)
	request := context.WithValue(context.Background(), http.ServerContextKey, &http.Server{})
	for name, call := range map[string]func(context.Context){
		"Resolve":     func(ctx context.Context) { _, _ = s.Resolve(ctx, token) },
		"Linked":      func(ctx context.Context) { _, _ = s.Linked(ctx, clickid.OrderKey("1")) },
		"ForgetKey":   func(ctx context.Context) { _ = s.ForgetKey(ctx, clickid.OrderKey("1")) },
		"ForgetToken": func(ctx context.Context) { _ = s.ForgetToken(ctx, token) },
	} {
		call(request)
		require.LessOrEqual(t, store.left, time.Minute, name)
		call(context.Background())
		require.Greater(t, store.left, 2*time.Minute, name)
	}
}

func TestStoreTimeout_cancelledContext(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	gone, leave := context.WithCancel(context.Background())
	leave()
	v := s.visitor()
	landing := v.send(newRequest(http.MethodGet, "/?clkid=abc").WithContext(gone))
	require.Len(t, landing.setCookies(), 1)
	token, _ := clickid.Token(landing.ctx)
	require.Equal(t, "abc", v.send(newRequest(http.MethodGet, "/", "Cookie: __Host-clkid="+token).WithContext(gone)).id())
	require.Equal(t, []clickid.Kind{clickid.KindCaptured}, s.kinds())
}

// heldStore is a store whose Save waits until it is released.
type heldStore struct {
	*clickid.MemoryStore
	release chan struct{}
}

func (s heldStore) Save(ctx context.Context, c clickid.Click) (string, error) {
	select {
	case <-s.release:
		return s.MemoryStore.Save(ctx, c)
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// TestStoreTimeout_closedConnection has a visitor who closes the connection
// while the store saves the click.
func TestStoreTimeout_closedConnection(t *testing.T) {
	t.Parallel()
	store := heldStore{clickid.NewMemoryStore(), make(chan struct{})}
	tracker, err := clickid.New(clickid.Config{Store: store, StoreTimeout: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	tokens := make(chan string, 1)
	page := tracker.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		token, _ := clickid.Token(r.Context())
		tokens <- token
	}))
	arrived := make(chan context.Context, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- r.Context()
		page.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)

	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	_, err = io.WriteString(conn, "GET /?clkid=abc HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.NoError(t, err)
	visit := <-arrived
	require.NoError(t, conn.Close())
	<-visit.Done() // the server has noticed
	close(store.release)

	c, err := tracker.Resolve(context.Background(), <-tokens)
	require.NoError(t, err)
	require.Equal(t, "abc", c.ID)
}

func TestCapture_failedLoad(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{Store: loadlessStore{newCookieStore(t, firstKey)}, Touch: clickid.FirstTouch})
	v := s.visitor()
	v.cookies = []*http.Cookie{{Name: "__Host-clkid", Value: newTokenOf(t, newCookieStore(t, firstKey), "abc")}}
	resp := v.get("/?clkid=def")
	require.Equal(t, "def", resp.id())
	require.Len(t, resp.setCookies(), 1)
	require.Equal(t, []clickid.Kind{clickid.KindStoreError, clickid.KindCaptured}, s.kinds())
}

type loadlessStore struct{ clickid.Store }

func (loadlessStore) Load(context.Context, string) (clickid.Click, error) {
	return clickid.Click{}, errors.New("connection refused")
}

func (s loadlessStore) Save(_ context.Context, c clickid.Click) (string, error) {
	return "token-of-" + c.ID, nil
}
