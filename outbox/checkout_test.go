package outbox_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	"github.com/stretchr/testify/require"
)

// unsteadyStore is a click store that can be unavailable.
type unsteadyStore struct {
	*clickid.MemoryStore
	unavailable atomic.Bool
	loads       atomic.Int32
}

func (s *unsteadyStore) Load(ctx context.Context, token string) (clickid.Click, error) {
	s.loads.Add(1)
	if s.unavailable.Load() {
		return clickid.Click{}, errors.New("connection refused")
	}
	return s.MemoryStore.Load(ctx, token)
}

// checkout is a shop with a tracker, an outbox and a platform.
type checkout struct {
	store    *unsteadyStore
	tracker  *clickid.Tracker
	platform *clickidtest.Server
	outbox   *outbox.Memory
	cookie   *http.Cookie
	result   clickid.Result
	err      error
}

// newCheckout returns a shop after the landing of a visitor.
func newCheckout(t *testing.T, edits ...func(*outbox.Config)) *checkout {
	t.Helper()
	c := &checkout{store: &unsteadyStore{MemoryStore: clickid.NewMemoryStore()}, platform: clickidtest.NewServer(t)}
	var err error
	c.tracker, err = clickid.New(clickid.Config{Store: c.store})
	require.NoError(t, err)
	client, err := capi.New(capi.Config{
		APIKey: clickidtest.APIKey, BaseURL: c.platform.URL,
		Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID}, Resolver: c.tracker,
	})
	require.NoError(t, err)
	cfg := outbox.Config{Destination: client, MinSnooze: 10 * time.Millisecond}
	for _, edit := range edits {
		edit(&cfg)
	}
	c.outbox, err = outbox.NewMemory(outbox.MemoryConfig{Delivery: cfg, AcceptLoss: true})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	c.tracker.Handler(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "https://shop.example/?clkid=01ARZ3NDEKTSV4RRFFQ69G5FAV", nil))
	require.Len(t, w.Result().Cookies(), 1)
	c.cookie = w.Result().Cookies()[0]
	return c
}

// order places an order of the visitor.
func (c *checkout) order(id string) {
	r := httptest.NewRequest(http.MethodPost, "https://shop.example/order", nil)
	r.AddCookie(c.cookie)
	c.tracker.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		c.result, c.err = clickid.Convert(r.Context(), c.outbox, clickid.Event{Type: clickid.Purchase, ID: id, Time: time.Now()})
	})).ServeHTTP(httptest.NewRecorder(), r)
}

func (c *checkout) deliver(t *testing.T) {
	t.Helper()
	require.NoError(t, c.outbox.Start(context.Background()))
	t.Cleanup(func() {
		_, err := c.outbox.Stop(context.Background())
		require.NoError(t, err)
	})
}

func TestConvert_storeUnavailable(t *testing.T) {
	t.Parallel()
	c := newCheckout(t)
	c.store.unavailable.Store(true)
	c.order("order")
	require.NoError(t, c.err, "the checkout succeeds without the store")
	require.Equal(t, clickid.VerdictQueued, c.result.Verdict)
	c.deliver(t)
	before := c.store.loads.Load()
	require.Eventually(t, func() bool { return c.store.loads.Load() > before }, 10*time.Second, time.Millisecond)
	require.Zero(t, c.platform.Count(), "an order is not sent without its click")
	c.store.unavailable.Store(false)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	got, err := c.platform.Wait(ctx, 1)
	require.NoError(t, err)
	require.Equal(t, "01ARZ3NDEKTSV4RRFFQ69G5FAV", got[0].ClickID)
}

// TestConvert_forgottenClick removes the click between order and delivery. The
// token is resolved at delivery.
func TestConvert_forgottenClick(t *testing.T) {
	t.Parallel()
	c := newCheckout(t)
	c.order("order")
	require.NoError(t, c.err)
	require.Equal(t, clickid.VerdictQueued, c.result.Verdict)
	r := httptest.NewRequest(http.MethodPost, "https://shop.example/withdraw", nil)
	r.AddCookie(c.cookie)
	require.NoError(t, c.tracker.Forget(httptest.NewRecorder(), r))
	c.outbox.SetTokenAge(0)
	c.deliver(t)
	require.Eventually(t, func() bool {
		s, err := c.outbox.Stats(context.Background())
		return err == nil && s.Skipped == 1
	}, 30*time.Second, 10*time.Millisecond)
	require.Zero(t, c.platform.Count())
}

// TestSend_zone sends an event whose zone JSON cannot express.
func TestSend_zone(t *testing.T) {
	t.Parallel()
	c := newCheckout(t)
	placed := time.Now().Add(-time.Hour).Truncate(time.Second)
	for id, offset := range map[string]int{"ahead": 25 * 60 * 60, "behind": -24 * 60 * 60} {
		report, err := c.outbox.Send(context.Background(), clickid.Event{
			Type: clickid.Purchase, ID: id, Time: placed.In(time.FixedZone("", offset)), Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV"},
		})
		require.NoError(t, err)
		require.Equal(t, clickid.VerdictQueued, report.Results[0].Verdict, id)
	}
	c.deliver(t)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	got, err := c.platform.Wait(ctx, 2)
	require.NoError(t, err)
	for _, e := range got {
		require.WithinDuration(t, placed, e.Time, 0)
	}
}
