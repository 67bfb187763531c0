package proxies

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	"github.com/stretchr/testify/require"
)

// startOutbox starts an outbox that delivers through a proxy. A negative linger
// gives each event a request of its own.
func startOutbox(t *testing.T, client *capi.Client, linger time.Duration) outbox.Outbox {
	t.Helper()
	ob, err := outbox.NewMemory(outbox.MemoryConfig{AcceptLoss: true, Delivery: outbox.Config{
		Destination: client, Logger: slog.New(slog.DiscardHandler), Linger: linger, MinSnooze: 20 * time.Millisecond, MaxSnooze: 200 * time.Millisecond,
	}})
	require.NoError(t, err)
	require.NoError(t, ob.Start(context.Background()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, err := ob.Stop(ctx)
		require.NoError(t, err)
	})
	return ob
}

// purchases returns n events with the IDs of their numbers from first.
func purchases(first, n int) []clickid.Event {
	events := make([]clickid.Event, n)
	for i := range events {
		events[i] = platformtest.Purchase(fmt.Sprint(first + i))
		events[i].Time = time.Now().Add(-time.Minute)
	}
	return events
}

func queue(t *testing.T, ob outbox.Outbox, events ...clickid.Event) {
	t.Helper()
	report, err := ob.Send(context.Background(), events...)
	require.NoError(t, err)
	require.Len(t, report.Results, len(events))
}

// await waits until the outbox has delivered all its events but the dead letters.
func await(t *testing.T, ob outbox.Outbox, delivered, deadLetters int) {
	t.Helper()
	var stats outbox.Stats
	require.Eventually(t, func() bool {
		var err error
		stats, err = ob.Stats(context.Background())
		return err == nil && stats.Queued == 0
	}, patience, 5*time.Millisecond, "%+v", &stats)
	require.Equal(t, delivered, stats.Delivered)
	require.Equal(t, deadLetters, stats.DeadLetters)
}

// requireCounted checks that the platform has counted n events, and returns how many
// of them it received more than once.
func requireCounted(t *testing.T, platform *clickidtest.Server, n int) (resent int) {
	t.Helper()
	require.Equal(t, n, platform.Count())
	for _, event := range platform.Accepted() {
		if event.Received > 1 {
			resent++
		}
	}
	return resent
}

// TestPlatform_idleConnections has a load balancer that closes connections after a
// few requests or milliseconds, while a client and an outbox send.
func TestPlatform_idleConnections(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(url string) *testserver.Server{
		"nginx": func(url string) *testserver.Server {
			return startNginx(t, "keepalive_timeout 1ms; keepalive_requests 5; proxy_pass "+url+";\n")
		},
		"HAProxy": func(url string) *testserver.Server { return startHAProxy(t, "timeout http-keep-alive 1ms", url) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const orders = 100
			platform := clickidtest.NewServer(t)
			var failed atomic.Int64
			client := newClient(t, start(platform.URL).DSN(), func(cfg *capi.Config) {
				cfg.Retry.BaseDelay = time.Millisecond
				cfg.Hook = func(_ context.Context, a capi.Attempt) {
					if a.Err != nil {
						failed.Add(1)
					}
				}
			})
			ob := startOutbox(t, client, -1)
			queue(t, ob, purchases(orders, orders)...)
			for _, event := range purchases(0, orders) {
				report, err := client.Send(context.Background(), event)
				require.NoError(t, err)
				require.True(t, report.Accepted())
			}
			await(t, ob, orders, 0)
			t.Logf("%d attempts failed, %d of %d events were sent twice", failed.Load(), requireCounted(t, platform, 2*orders), 2*orders)
		})
	}
}

// TestPlatform_reload reloads nginx and kills it while an outbox delivers through it.
func TestPlatform_reload(t *testing.T) {
	t.Parallel()
	const orders = 400
	platform := clickidtest.NewServer(t)
	platform.Always(clickidtest.Fault{Latency: 10 * time.Millisecond})
	proxy := startNginx(t, "proxy_pass "+platform.URL+";\n")
	ob := startOutbox(t, newClient(t, proxy.DSN()), -1)
	queue(t, ob, purchases(0, orders)...)
	for n := 40; n < orders; n += 40 {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, err := platform.Wait(ctx, n)
		cancel()
		require.NoError(t, err)
		if n%120 == 0 {
			proxy.Kill()
			proxy.Restart()
		} else {
			proxy.Reload()
		}
	}
	await(t, ob, orders, 0)
	t.Logf("%d of %d events were sent twice", requireCounted(t, platform, orders), orders)
}

// TestPlatform_errorPages has a load balancer that responds with its own pages, since
// the platform is unavailable or hangs.
func TestPlatform_errorPages(t *testing.T) {
	t.Parallel()
	nginx := func(lines string) func(*testing.T, string) *testserver.Server {
		return func(t *testing.T, url string) *testserver.Server { return startNginx(t, lines+"proxy_pass "+url+";\n") }
	}
	haproxy := func(lines string) func(*testing.T, string) *testserver.Server {
		return func(t *testing.T, url string) *testserver.Server { return startHAProxy(t, lines, url) }
	}
	for name, tt := range map[string]struct {
		start  func(*testing.T, string) *testserver.Server
		hangs  bool
		status int
	}{
		"nginx, stopped":   {nginx(""), false, http.StatusBadGateway},
		"nginx, hangs":     {nginx("proxy_read_timeout 300ms; "), true, http.StatusGatewayTimeout},
		"HAProxy, stopped": {haproxy("timeout connect 50ms"), false, http.StatusServiceUnavailable},
		"HAProxy, hangs":   {haproxy("timeout server 300ms"), true, http.StatusGatewayTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const orders = 10
			platform := clickidtest.NewServer(t)
			client := newClient(t, tt.start(t, platform.URL).DSN(), func(cfg *capi.Config) { cfg.Retry.Attempts = 1 })
			ob := startOutbox(t, client, time.Millisecond)
			lift := func() {}
			if tt.hangs {
				hold := make(chan struct{})
				drop := platform.Always(clickidtest.Fault{Hold: hold})
				lift = func() { drop(); close(hold) }
			} else {
				platform.Stop()
			}
			report, err := client.Send(context.Background(), purchases(orders, 1)...)
			var refusal *capi.ResponseError
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, tt.status, refusal.Status())
			require.Contains(t, string(refusal.Body), "<html>")
			require.Equal(t, clickid.VerdictFailed, report.Results[0].Verdict)

			queue(t, ob, purchases(0, orders)...)
			require.Eventually(t, func() bool {
				entries, err := ob.Find(context.Background(), "0")
				return err == nil && len(entries) == 1 && len(entries[0].Attempts) > 1 && entries[0].Attempts[1].Status == tt.status
			}, patience, 5*time.Millisecond)
			lift()
			require.NoError(t, platform.Restart())
			await(t, ob, orders, 0)
			requireCounted(t, platform, orders)
		})
	}
}

// TestPlatform_bodyLimit has nginx refuse bodies of more than 100 KB, over HTTP/1.1
// and HTTP/2. Only an event that is larger by itself is refused.
func TestPlatform_bodyLimit(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP/2 %v", secure), func(t *testing.T) {
			t.Parallel()
			const orders = 300
			platform := clickidtest.NewServer(t)
			location := "client_max_body_size 100k; proxy_pass " + platform.URL + ";\n"
			url, edit := "", func(*capi.Config) {}
			if secure {
				proxy, trusted := startTLS(t, location)
				v := newVisitor(t, nil, proxy, trusted)
				url, edit = "https://"+host, func(cfg *capi.Config) { cfg.HTTPClient = v.client }
			} else {
				url = startNginx(t, location).DSN()
			}
			client := newClient(t, url, edit)
			events := purchases(0, 2*orders+2)
			for i := range events {
				events[i].Properties = map[string]any{"note": strings.Repeat("x", 1<<10)}
			}
			small, large := events[:2*orders], events[2*orders:]
			for i := range large {
				large[i].Properties = map[string]any{"note": strings.Repeat("x", 60<<10)}
				for n := range 300 {
					large[i].Items = append(large[i].Items, clickid.Item{ID: fmt.Sprint(strings.Repeat("x", 200), n), Quantity: 1})
				}
			}

			report, err := client.Send(context.Background(), append(small[:orders:orders], large[0])...)
			require.ErrorIs(t, err, clickid.ErrInvalidEvent)
			for i, result := range report.Results {
				want := clickid.VerdictAccepted
				if i == orders {
					want = clickid.VerdictRejected
				}
				require.Equal(t, want, result.Verdict, "%d: %v", i, result.Err)
			}
			ob := startOutbox(t, client, 50*time.Millisecond)
			queue(t, ob, append(small[orders:], large[1])...)
			await(t, ob, orders, 1)
			entries, err := ob.Find(context.Background(), large[1].ID)
			require.NoError(t, err)
			require.Equal(t, outbox.StateDeadLettered, entries[0].State)
			require.Contains(t, entries[0].Reason, "413")
			require.Zero(t, requireCounted(t, platform, 2*orders))
			t.Logf("%d requests reached the platform", len(platform.Requests()))
		})
	}
}

// TestPlatform_rateLimit has nginx refuse requests above a rate, with both of the
// statuses that are common.
func TestPlatform_rateLimit(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			const orders = 60
			platform := clickidtest.NewServer(t)
			proxy := testserver.StartNginx(t, func(addr, _ string) string {
				return "limit_req_zone $binary_remote_addr zone=events:1m rate=50r/s; server { listen " + addr + ";\n" +
					"location / { limit_req zone=events burst=5 nodelay; limit_req_status " + fmt.Sprint(status) + "; proxy_pass " + platform.URL + "; } }\n"
			})
			client := newClient(t, proxy.DSN(), func(cfg *capi.Config) { cfg.Dialect = capi.ECAPI{DataSetID: clickidtest.DataSetID} })
			ob := startOutbox(t, client, -1)
			queue(t, ob, purchases(0, orders)...)
			await(t, ob, orders, 0)
			report, err := client.Send(context.Background(), purchases(orders, orders)...)
			require.NoError(t, err)
			require.True(t, report.Accepted())
			require.Zero(t, requireCounted(t, platform, 2*orders))
		})
	}
}
