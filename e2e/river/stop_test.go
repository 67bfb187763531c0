package river_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
)

func TestOutbox_Stop_outage(t *testing.T) {
	t.Parallel()
	const events = 1000
	for _, row := range []struct {
		name    string
		outage  func(*clickidtest.Server) (end func())
		hanging bool
	}{
		{"connections are refused", func(p *clickidtest.Server) func() {
			p.Stop()
			return func() { _ = p.Restart() }
		}, false},
		{"503", func(p *clickidtest.Server) func() { return p.Always(clickidtest.Fault{Status: 503}) }, false},
		{"the platform hangs", func(p *clickidtest.Server) func() {
			return p.Always(clickidtest.Fault{Hold: make(chan struct{})})
		}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			platform := clickidtest.NewServer(t)
			pool := sharedPool(t)
			cfg := riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}}
			ob := newOutbox(t, pool, cfg)
			end := row.outage(platform)
			send(t, ob, "A", events)
			if err := ob.Start(within(t, time.Minute)); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the first deliveries", func(ctx context.Context) (bool, error) {
				n, err := count(ctx, pool, "SELECT count(*) FROM clickid.river_job WHERE attempt > 0")
				return n > 0, err
			})
			const deadline = 500 * time.Millisecond
			began := time.Now()
			remaining, err := ob.Stop(within(t, deadline))
			took := time.Since(began)
			if remaining != events {
				t.Errorf("%d of %d events remain", remaining, events)
			}
			if interrupted := errors.Is(err, context.DeadlineExceeded); err != nil && !interrupted || row.hanging && !interrupted {
				t.Errorf("Stop: %v", err)
			}
			// River may take 5 seconds more, and a busy machine as long again.
			if took > deadline+10*time.Second {
				t.Errorf("Stop took %v", took)
			}
			if n, err := count(within(t, time.Minute), pool, "SELECT count(*) FROM clickid.river_job WHERE state = 'running'"); n != 0 || err != nil {
				t.Errorf("%d events are left running: %v", n, err)
			}
			end()
			start(t, newOutbox(t, pool, cfg))
			await(t, platform, events)
		})
	}
}

func TestOutbox_Start_cancelled(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	pool := sharedPool(t)
	ob := newOutbox(t, pool, riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}})
	ctx, cancel := context.WithCancel(within(t, time.Minute))
	if err := ob.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := ob.Start(ctx); err == nil {
		t.Error("a second Start returned no error")
	}
	send(t, ob, "A", 1)
	await(t, platform, 1)
	cancel()
	if remaining, err := ob.Stop(within(t, time.Minute)); remaining != 0 || err != nil {
		t.Fatalf("Stop: %d, %v", remaining, err)
	}
	send(t, ob, "B", 1) // sent after the end of the delivery
	if stats, err := ob.Stats(within(t, time.Minute)); stats.Queued != 1 || err != nil {
		t.Fatalf("Stats: %+v, %v", stats, err)
	}
}

func TestConfig_PollOnly(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	ob := newOutbox(t, sharedPool(t), riveroutbox.Config{
		Delivery: outbox.Config{Destination: newClient(t, platform)}, PollOnly: true, PollInterval: 50 * time.Millisecond,
	})
	start(t, ob)
	send(t, ob, "A", 5)
	await(t, platform, 5)
}
