package capi_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/stretchr/testify/require"
)

// sendEach sends every event from a goroutine of its own, one after the other,
// and returns the reports when all calls have returned.
func sendEach(s clickid.Sender, events []clickid.Event, pause time.Duration) func() []clickid.Report {
	reports := make([]clickid.Report, len(events))
	var group sync.WaitGroup
	for i := range events {
		group.Go(func() { reports[i], _ = s.Send(context.Background(), events[i]) })
		time.Sleep(pause)
		synctest.Wait()
	}
	return func() []clickid.Report {
		group.Wait()
		return reports
	}
}

func requireAccepted(t *testing.T, reports []clickid.Report) {
	t.Helper()
	for i, report := range reports {
		require.True(t, report.Accepted(), "%d: %v", i, report.Err())
	}
}

// TestBatcher_collects lets ten callers send at once to a platform that takes a
// second.
func TestBatcher_collects(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		cfg    capi.BatcherConfig
		edit   func(*capi.Config)
		events []int // of each request
		took   time.Duration
	}{
		{"while the concurrency is used up", capi.BatcherConfig{}, nil, []int{1, 1, 1, 1, 1, 1, 1, 1, 2}, 2 * time.Second},
		{
			"while the only request is in progress", capi.BatcherConfig{},
			func(cfg *capi.Config) { cfg.Concurrency = 1 },
			[]int{1, 9}, 2 * time.Second,
		},
		{"for MaxDelay", capi.BatcherConfig{MaxDelay: 3 * time.Second}, nil, []int{1, 9}, 4 * time.Second},
		{"up to MaxEvents", capi.BatcherConfig{MaxDelay: 3 * time.Second, MaxEvents: 3}, nil, []int{1, 3, 3, 3}, time.Second},
		{"up to MaxBytes", capi.BatcherConfig{MaxDelay: 3 * time.Second, MaxBytes: 1}, nil, []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 2 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, receiverLogEvent, tt.edit, func(t *testing.T, r *clickidtest.Receiver, c *capi.Client) {
				r.Always(clickidtest.Fault{Latency: time.Second})
				batcher, err := capi.NewBatcher(c, tt.cfg)
				require.NoError(t, err)
				began := time.Now()
				requireAccepted(t, sendEach(batcher, fresh(10), 0)())
				require.Equal(t, tt.took, time.Since(began))
				var counts []int
				for _, request := range r.Requests() {
					counts = append(counts, request.Events)
				}
				require.Equal(t, tt.events, counts)
				require.NoError(t, batcher.Close(context.Background()))
			})
		})
	}
}

// TestBatcher_rateLimit sends twenty events per second to an endpoint that
// accepts 100 requests per minute: they share the requests that are allowed.
func TestBatcher_rateLimit(t *testing.T) {
	t.Parallel()
	inBubble(t, receiverInterchange, nil, func(t *testing.T, r *clickidtest.Receiver, c *capi.Client) {
		batcher, err := capi.NewBatcher(c, capi.BatcherConfig{})
		require.NoError(t, err)
		events := fresh(20 * 120)
		requireAccepted(t, sendEach(batcher, events, time.Second/20)())
		require.Equal(t, len(events), r.Count())
		require.LessOrEqual(t, len(r.Requests()), 100*2+8+10, "two minutes, the waiting requests, and the burst")
		for _, status := range statusesOf(r) {
			require.Equal(t, http.StatusOK, status)
		}
	})
}

// TestOutage sends 500 events at the beginning of an outage of two seconds, and
// closes the sender at once: all are accepted within the sender's deadline.
func TestOutage(t *testing.T) {
	t.Parallel()
	const events, outage = 500, 2 * time.Second
	batched := func(c *capi.Client) (clickid.Sender, func()) {
		batcher, err := capi.NewBatcher(c, capi.BatcherConfig{})
		require.NoError(t, err)
		return batcher, func() { require.NoError(t, batcher.Close(context.Background())) }
	}
	direct := func(c *capi.Client) (clickid.Sender, func()) { return c, func() {} }
	for _, sender := range []struct {
		name    string
		dialect capi.Dialect
		open    func(*capi.Client) (_ clickid.Sender, closeIt func())
		calls   int
	}{
		{"LogEvent, one call", receiverLogEvent, direct, 1},
		{"LogEvent, a call for each event", receiverLogEvent, direct, events},
		{"ECAPI, one call", receiverECAPI, direct, 1},
		{"ECAPI, a call for each event", receiverECAPI, direct, events},
		{"Batcher", receiverLogEvent, batched, events},
	} {
		for _, fault := range []clickidtest.Fault{
			{Name: "503", Status: http.StatusServiceUnavailable},
			{Name: "429 without Retry-After", Status: http.StatusTooManyRequests},
			{Name: "refused connections", Cut: clickidtest.CutBeforeReading},
		} {
			t.Run(fmt.Sprintf("%s, %s", sender.name, fault.Name), func(t *testing.T) {
				t.Parallel()
				for range 2 { // the waits are random
					inBubble(t, sender.dialect, nil, func(t *testing.T, r *clickidtest.Receiver, c *capi.Client) {
						lift := r.Always(fault)
						time.AfterFunc(outage, lift)
						s, closeIt := sender.open(c)
						began, all := time.Now(), fresh(events)
						var group sync.WaitGroup
						reports := make([]clickid.Report, sender.calls)
						for i := range reports {
							share := all[i*events/sender.calls : (i+1)*events/sender.calls]
							group.Go(func() { reports[i], _ = s.Send(context.Background(), share...) })
						}
						synctest.Wait() // all calls wait for the platform
						closeIt()
						group.Wait()
						requireAccepted(t, reports)
						require.Equal(t, events, r.Count())
						require.Less(t, time.Since(began), 10*time.Second, "the time that Convert has")
					})
				}
			})
		}
	}
}
