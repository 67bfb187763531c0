//go:build go1.25

//go:debug asynctimerchan=0

package outbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/sleep"
	"github.com/clickid/clickid/outbox"
	"github.com/stretchr/testify/require"
)

// The tests of this file run an outbox on a fake clock, so that days of outage
// take no time. The tests of the queues cover the same over real connections.

// platform is an in-process platform for log_event requests.
type platform struct {
	latency time.Duration

	mu       sync.Mutex
	respond  func() (*http.Response, error) // nil accepts all events
	times    []time.Time
	accepted map[string]int
}

func newPlatform() *platform { return &platform{accepted: make(map[string]int)} }

func (p *platform) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.times = append(p.times, time.Now())
	respond := p.respond
	p.mu.Unlock()
	if respond == nil {
		if err := sleep.For(r.Context(), p.latency); err != nil {
			return nil, err
		}
		var request struct {
			Events []struct {
				ID string `json:"event_id"`
			} `json:"events"`
			ID string `json:"id"` // for ECAPI
		}
		if err := json.Unmarshal(body, &request); err != nil {
			return nil, err
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, e := range request.Events {
			p.accepted[e.ID]++
		}
		if request.ID != "" {
			p.accepted[request.ID]++
		}
		return reply(200, "{}")()
	}
	resp, err := respond()
	if resp == nil && err == nil { // the platform hangs
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return resp, err
}

func (p *platform) set(respond func() (*http.Response, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.respond = respond
}

func (p *platform) count() (requests, accepted int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.times), len(p.accepted)
}

func (p *platform) requestTimes() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]time.Time(nil), p.times...)
}

func hang() (*http.Response, error) { return nil, nil }

// recorder is a hook that counts observations.
type recorder struct {
	mu   sync.Mutex
	seen map[outbox.Kind]int
}

func (r *recorder) hook(_ context.Context, o outbox.Observation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = make(map[outbox.Kind]int)
	}
	r.seen[o.Kind]++
}

func (r *recorder) count(k outbox.Kind) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[k]
}

// startMemory starts an outbox that is stopped when the test ends.
func startMemory(t *testing.T, cfg outbox.Config, workers int) *outbox.Memory {
	t.Helper()
	m, err := outbox.NewMemory(outbox.MemoryConfig{Delivery: cfg, AcceptLoss: true})
	require.NoError(t, err)
	m.SetWorkers(workers)
	require.NoError(t, m.Start(context.Background()))
	t.Cleanup(func() { stopMemory(t, m) })
	return m
}

func stopMemory(t *testing.T, m *outbox.Memory) int {
	t.Helper()
	remaining, err := m.Stop(context.Background())
	require.NoError(t, err)
	return remaining
}

func sendAll(t *testing.T, s clickid.Sender, events []clickid.Event) {
	t.Helper()
	_, err := s.Send(context.Background(), events...)
	require.NoError(t, err)
}

func stats(t *testing.T, m *outbox.Memory) outbox.Stats {
	t.Helper()
	s, err := m.Stats(context.Background())
	require.NoError(t, err)
	s.Platform = outbox.PlatformStats{}
	return s
}

// TestMemory_dayOfOutage makes the platform unavailable for a day in three
// ways.
func TestMemory_dayOfOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const backlog = 500
		p, r := newPlatform(), &recorder{}
		p.set(reply(503, ""))
		m := startMemory(t, outbox.Config{Destination: newClient(t, p, logEvent), Hook: r.hook}, 2)
		sendAll(t, m, purchases(backlog))
		time.Sleep(8 * time.Hour)
		p.set(refuseConnection)
		time.Sleep(8 * time.Hour)
		p.set(hang)
		time.Sleep(8 * time.Hour)

		requests, accepted := p.count()
		require.Zero(t, accepted)
		// At least every 20 seconds, at most twice as often, and a few until
		// the breaker opens.
		require.Less(t, requests, 24*3600/10+20)
		require.Greater(t, requests, 24*3600/40)
		require.Equal(t, backlog, stats(t, m).Queued)
		require.Equal(t, 1, r.count(outbox.KindPlatformUnavailable), "an outage is reported once")

		t.Logf("%d requests in a day of outage", requests)

		p.set(nil)
		time.Sleep(time.Minute)
		_, accepted = p.count()
		require.Equal(t, backlog, accepted)
		require.Equal(t, outbox.Stats{Delivered: backlog}, stats(t, m))
		require.Equal(t, 1, r.count(outbox.KindPlatformRecovered))
		require.Equal(t, backlog, r.count(outbox.KindDelivered))
	})
}

// TestMemory_backlog delivers a backlog after an outage of an hour.
func TestMemory_backlog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const backlog = 20_000
		p := newPlatform()
		p.latency = 100 * time.Millisecond
		p.set(refuseConnection)
		m := startMemory(t, outbox.Config{Destination: newClient(t, p, logEvent)}, 500)
		sendAll(t, m, purchases(backlog))
		time.Sleep(time.Hour)
		before, _ := p.count()
		p.set(nil)
		back := time.Now()
		for stats(t, m).Queued > 0 && time.Since(back) < 2*time.Minute {
			time.Sleep(time.Second)
		}
		after, accepted := p.count()
		t.Logf("%d requests in an hour of outage; then %d events delivered in %v and %d requests", before, accepted, time.Since(back), after-before)
		require.Equal(t, backlog, accepted)
		require.LessOrEqual(t, time.Since(back), time.Minute)
		require.LessOrEqual(t, after-before, 150, "a backlog of 20,000 takes about a hundred requests")
		require.Less(t, before, 400, "only probes are sent during an outage")
	})
}

// TestMemory_ecapiBacklog delivers a backlog with one event per request, under
// a rate limit.
func TestMemory_ecapiBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const backlog = 2000
		p := newPlatform()
		p.set(reply(503, ""))
		client := newClient(t, p, ecapi, func(cfg *capi.Config) {
			cfg.RateLimit = capi.RateLimit{Requests: 100, Per: time.Second}
		})
		m := startMemory(t, outbox.Config{Destination: client}, 500)
		sendAll(t, m, purchases(backlog))
		time.Sleep(time.Hour)
		before, _ := p.count()
		require.Less(t, before, 400)
		p.set(nil)
		back := time.Now()
		for stats(t, m).Queued > 0 && time.Since(back) < 5*time.Minute {
			time.Sleep(time.Second)
		}
		after, accepted := p.count()
		t.Logf("%d requests in an hour of outage; then %d events delivered in %v", before, accepted, time.Since(back))
		require.Equal(t, backlog, accepted)
		require.Equal(t, backlog, after-before, "no event is sent twice")
		// 20 seconds at 100 requests per second, plus the wait for the probe.
		require.LessOrEqual(t, time.Since(back), time.Minute)
	})
}

// TestMemory_retryAfter checks that the wait of Retry-After is respected.
func TestMemory_retryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const backlog = 2000
		p := newPlatform()
		p.set(reply(429, "", "Retry-After", "3600"))
		m := startMemory(t, outbox.Config{Destination: newClient(t, p, logEvent), MaxAttempts: 1}, 500)
		sendAll(t, m, purchases(1))
		synctest.Wait()
		time.Sleep(time.Second)
		sendAll(t, m, purchases(backlog))
		time.Sleep(58 * time.Minute)
		requests := p.requestTimes()
		require.Len(t, requests, 1, "nothing is sent before the hour is over")
		// The platform asks for a second hour.
		time.Sleep(time.Hour)
		requests = p.requestTimes()
		require.Len(t, requests, 2)
		require.GreaterOrEqual(t, requests[1].Sub(requests[0]), time.Hour)
		p.set(nil)
		time.Sleep(3 * time.Minute)
		require.Equal(t, outbox.Stats{Delivered: backlog}, stats(t, m), "no attempt was used up")
	})
}

// TestMemory_tooManyRequests covers status 429 without Retry-After.
func TestMemory_tooManyRequests(t *testing.T) {
	for _, d := range []capi.Dialect{ecapi, logEvent} {
		t.Run(fmt.Sprintf("%T", d), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlatform()
				p.set(reply(429, ""))
				m := startMemory(t, outbox.Config{Destination: newClient(t, p, d)}, 500)
				sendAll(t, m, purchases(500))
				time.Sleep(20 * time.Second)
				requests, _ := p.count()
				require.LessOrEqual(t, requests, 20)
				p.set(nil)
				time.Sleep(time.Minute)
				require.Equal(t, outbox.Stats{Delivered: 500}, stats(t, m))
			})
		})
	}
}

// TestMemory_wrongKey has a wrong key for two days. An alert is raised and no
// event is lost.
func TestMemory_wrongKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const backlog = 200
		p, r := newPlatform(), &recorder{}
		p.set(reply(401, ""))
		m := startMemory(t, outbox.Config{Destination: newClient(t, p, logEvent), MaxAttempts: 1, Hook: r.hook}, 2)
		sendAll(t, m, purchases(backlog))
		time.Sleep(time.Hour)
		require.GreaterOrEqual(t, r.count(outbox.KindConfigurationRefused), 5, "the alert is repeated")
		require.LessOrEqual(t, r.count(outbox.KindConfigurationRefused), 7, "every ten minutes and not for every event")
		time.Sleep(47 * time.Hour)
		require.Equal(t, outbox.Stats{Queued: backlog, Oldest: stats(t, m).Oldest}, stats(t, m))
		p.set(nil)
		time.Sleep(time.Minute)
		require.Equal(t, outbox.Stats{Delivered: backlog}, stats(t, m))
		require.Equal(t, 1, r.count(outbox.KindPlatformRecovered))
	})
}

// TestMemory_maxAge makes the platform unavailable for longer than the maximum
// event age.
func TestMemory_maxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform()
		p.set(refuseConnection)
		m := startMemory(t, outbox.Config{Destination: newClient(t, p, logEvent), MaxAge: 6 * time.Hour}, 2)
		sendAll(t, m, purchases(3))
		time.Sleep(7 * time.Hour)
		require.Equal(t, outbox.Stats{DeadLetters: 3}, stats(t, m))
		p.set(nil)
		time.Sleep(time.Hour)
		_, accepted := p.count()
		require.Zero(t, accepted)
		n, err := m.Replay(context.Background())
		require.NoError(t, err)
		require.Equal(t, 3, n)
		time.Sleep(time.Minute)
		require.Equal(t, outbox.Stats{Delivered: 3}, stats(t, m), "a replay starts the age anew")
	})
}

// TestMemory_unsteadyPlatform fails every tenth request, which is not an
// outage.
func TestMemory_unsteadyPlatform(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const backlog = 2000
		p, r := newPlatform(), &recorder{}
		p.latency = 50 * time.Millisecond
		var mu sync.Mutex
		n := 0
		unsteady := roundTripper(func(req *http.Request) (*http.Response, error) {
			mu.Lock()
			n++
			bad := n%10 == 0
			mu.Unlock()
			if bad {
				return reply(503, "")()
			}
			return p.RoundTrip(req)
		})
		m := startMemory(t, outbox.Config{Destination: newClient(t, unsteady, ecapi), Hook: r.hook}, 100)
		start := time.Now()
		sendAll(t, m, purchases(backlog))
		// With 8 concurrent requests of 50 milliseconds each it takes at least
		// 12.5 seconds.
		time.Sleep(20 * time.Second)
		require.Greater(t, stats(t, m).Delivered, backlog*9/10)
		for stats(t, m).Queued > 0 && time.Since(start) < 5*time.Minute {
			time.Sleep(time.Second)
		}
		require.Equal(t, outbox.Stats{Delivered: backlog}, stats(t, m))
		require.Zero(t, r.count(outbox.KindPlatformUnavailable))
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestMemory_storeUnavailable makes the click store unavailable for a day.
func TestMemory_storeUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, r := newPlatform(), &recorder{}
		s := &store{err: fmt.Errorf("connection refused")}
		client := newClient(t, p, logEvent, func(cfg *capi.Config) { cfg.Resolver = s })
		m := startMemory(t, outbox.Config{Destination: client, MaxAttempts: 1, Hook: r.hook}, 500)
		events := purchases(200)
		for i := range events[:100] {
			events[i].Click, events[i].ClickToken = clickid.Click{}, "token"
		}
		sendAll(t, m, events)
		time.Sleep(24 * time.Hour)
		require.Equal(t, 100, stats(t, m).Delivered, "events without a token do not wait")
		require.Less(t, s.calls(), 1000, "an unavailable store is not called for every event")
		require.Equal(t, 1, r.count(outbox.KindLookupsFailing))
		require.Zero(t, r.count(outbox.KindPlatformUnavailable))
		s.set(nil)
		time.Sleep(10 * time.Minute)
		require.Equal(t, outbox.Stats{Delivered: 200}, stats(t, m))
		require.Equal(t, 1, r.count(outbox.KindLookupsRecovered))
	})
}

// store is a resolver that can fail.
type store struct {
	mu  sync.Mutex
	err error
	n   int
}

func (s *store) Resolve(context.Context, string) (clickid.Click, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	if s.err != nil {
		return clickid.Click{}, s.err
	}
	return purchase("").Click, nil
}

func (s *store) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *store) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// TestMemory_panic has an application function that panics.
func TestMemory_panic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform()
		cfg := outbox.Config{Destination: newClient(t, p, logEvent), MaxAttempts: 4}
		cfg.Consent = func(_ context.Context, e clickid.Event) (clickid.Consent, error) {
			if e.ID == "order-0" {
				panic("personal@example.com")
			}
			return clickid.ConsentGranted, nil
		}
		m := startMemory(t, cfg, 10)
		sendAll(t, m, purchases(2))
		time.Sleep(time.Hour)
		require.Equal(t, outbox.Stats{Delivered: 1, DeadLetters: 1}, stats(t, m))
		letters, err := m.DeadLetters(context.Background(), outbox.Page{})
		require.NoError(t, err)
		require.Equal(t, 4, letters[0].Attempts)
		require.Equal(t, "the Consent function panicked", letters[0].Reason)
	})
}

// TestDelivery_conflict responds with 409. It concerns the request and not the
// event, which is sent again until it is accepted.
func TestDelivery_conflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform()
		p.set(reply(409, `{"code":"CONFLICT"}`))
		m := startMemory(t, outbox.Config{Destination: newClient(t, p, logEvent)}, 10)
		sendAll(t, m, purchases(1))
		time.Sleep(24 * time.Hour)
		require.Equal(t, 1, stats(t, m).Queued)
		p.set(nil)
		time.Sleep(10 * time.Minute)
		require.Equal(t, outbox.Stats{Delivered: 1}, stats(t, m))
	})
}

// TestMemory_stopInOutage stops the outbox during an outage.
func TestMemory_stopInOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform()
		p.set(refuseConnection)
		m := startMemory(t, outbox.Config{Destination: newClient(t, p, logEvent)}, 500)
		sendAll(t, m, purchases(1000))
		time.Sleep(time.Minute)
		start := time.Now()
		require.Equal(t, 1000, stopMemory(t, m))
		require.Less(t, time.Since(start), time.Second)
	})
}
