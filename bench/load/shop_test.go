package load_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
)

// shop is a server with a tracker and an outbox, and the platform.
type shop struct {
	server   *httptest.Server
	platform *clickidtest.Server
	store    *unreliable
	file     string // of the outbox
	config   sqliteoutbox.Config
	queue    atomic.Pointer[sqliteoutbox.Outbox] // nil during a restart
	restarts sync.Mutex

	captured, failed, others atomic.Int64 // observations of the tracker

	mu         sync.Mutex
	clicks     map[string]string // the click IDs of accepted events, by order
	unexpected []string          // events that are refused or arrive twice
}

var errUnavailable = errors.New("the store is unavailable")

// unreliable is a store that is sometimes unavailable. The cookie store is not
// called through it, since it has no server.
type unreliable struct {
	clickid.Store
	unavailable atomic.Bool
}

func (u *unreliable) Save(ctx context.Context, c clickid.Click) (string, error) {
	if u.unavailable.Load() {
		return "", errUnavailable
	}
	return u.Store.Save(ctx, c)
}

func (u *unreliable) Load(ctx context.Context, token string) (clickid.Click, error) {
	if u.unavailable.Load() {
		return clickid.Click{}, errUnavailable
	}
	return u.Store.Load(ctx, token)
}

func (u *unreliable) CheckToken(token string) error {
	return u.Store.(clickid.TokenChecker).CheckToken(token)
}

func openShop(t *testing.T, store clickid.Store) *shop {
	t.Helper()
	s := &shop{store: &unreliable{Store: store}, file: filepath.Join(t.TempDir(), "outbox.db"), clicks: make(map[string]string)}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	var err error
	s.platform, err = clickidtest.Start("127.0.0.1:0", clickidtest.Config{Keep: 100, OnEvent: s.receive})
	failOn(t, err)
	used := clickid.Store(s.store)
	if _, links := store.(clickid.Linker); !links {
		used = store
	}
	tracker, err := clickid.New(clickid.Config{Store: used, Logger: quiet, Hook: s.observe})
	failOn(t, err)
	client, err := capi.New(capi.Config{
		APIKey: clickidtest.APIKey, BaseURL: s.platform.URL, Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
		Resolver: tracker, RateLimit: capi.RateLimit{Requests: -1}, Logger: quiet,
	})
	failOn(t, err)
	s.config = sqliteoutbox.Config{Delivery: outbox.Config{
		Destination: client, MinSnooze: 20 * time.Millisecond, MaxSnooze: 200 * time.Millisecond, Logger: quiet,
	}}
	failOn(t, s.open())

	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<p>shoes</p>") })
	mux.HandleFunc("POST /order", s.order)
	s.server = httptest.NewServer(tracker.Handler(mux))
	return s
}

// order responds with the verdict, or with 503 if the order must be sent again.
func (s *shop) order(w http.ResponseWriter, r *http.Request) {
	queue := s.queue.Load()
	if queue == nil {
		http.Error(w, "the outbox restarts", http.StatusServiceUnavailable)
		return
	}
	result, err := clickid.Convert(r.Context(), queue, clickid.Event{
		Type: clickid.Purchase, ID: r.URL.Query().Get("id"), Time: time.Now(), Value: clickid.Minor(14999, "USD"),
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, result.Verdict.String())
}

func (s *shop) observe(_ context.Context, o clickid.Observation) {
	switch {
	case o.Kind == clickid.KindCaptured:
		s.captured.Add(1)
	case o.Kind == clickid.KindStoreError && o.Param != "":
		s.failed.Add(1)
	case o.Kind == clickid.KindStoreError: // of a lookup during a delivery
	default:
		s.others.Add(1)
	}
}

// receive records what the platform receives.
func (s *shop) receive(e clickidtest.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Outcome == clickidtest.OutcomeNotProcessed {
		return // because of the fault
	}
	if _, twice := s.clicks[e.ID]; twice || e.Outcome != clickidtest.OutcomeAccepted {
		s.unexpected = append(s.unexpected, fmt.Sprint(e.ID, " ", e.Outcome, " ", e.Problems))
		return
	}
	s.clicks[e.ID] = e.ClickID
}

// received returns the click IDs of accepted events, and the unexpected events.
func (s *shop) received() (map[string]string, []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.clicks), s.unexpected
}

func (s *shop) failPlatform() {
	s.platform.Always(clickidtest.Fault{Status: http.StatusServiceUnavailable})
}

func (s *shop) open() error {
	queue, err := sqliteoutbox.OpenAndStart(context.Background(), s.file, s.config)
	if err == nil {
		s.queue.Store(queue)
	}
	return err
}

// restart stops the outbox while orders arrive, and opens it again. It lets the
// deliveries in progress end: Close interrupts them, and the platform then gets
// their events a second time.
func (s *shop) restart() error {
	s.restarts.Lock()
	defer s.restarts.Unlock()
	queue := s.queue.Swap(nil)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := queue.Stop(ctx); err != nil {
		return err
	}
	if err := queue.Close(); err != nil {
		return err
	}
	return s.open()
}

func (s *shop) stats(t *testing.T) outbox.Stats {
	t.Helper()
	stats, err := s.queue.Load().Stats(context.Background())
	failOn(t, err)
	return stats
}

func (s *shop) deliveredByHour(t *testing.T) (sum int) {
	t.Helper()
	now := time.Now()
	hours, err := s.queue.Load().DeliveredByHour(context.Background(), now.Add(-24*time.Hour), now.Add(time.Hour))
	failOn(t, err)
	for _, h := range hours {
		sum += h.Delivered
	}
	return sum
}

// onHeap returns an upper bound for the size of the stored clicks on the heap.
func (s *shop) onHeap(clicks int) uint64 {
	if _, ok := s.store.Store.(*clickid.MemoryStore); ok {
		return uint64(clicks) << 10
	}
	return 0
}

func (s *shop) close(t *testing.T) {
	t.Helper()
	s.server.Close()
	failOn(t, s.queue.Load().Close())
	s.platform.Close()
}

func failOn(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
