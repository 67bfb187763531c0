package river_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
)

// TestOutbox_instances delivers from one queue with several instances during a
// deployment: one of them has another dialect.
func TestOutbox_instances(t *testing.T) {
	t.Parallel()
	for _, instances := range []int{2, 4} {
		t.Run(fmt.Sprint(instances), func(t *testing.T) {
			t.Parallel()
			const events = 2000
			platform := clickidtest.NewServer(t, func(cfg *clickidtest.Config) {
				cfg.Accounts = []clickidtest.Account{{
					APIKey: clickidtest.APIKey, DataSets: []string{clickidtest.EventSourceID}, EventSources: []string{clickidtest.EventSourceID},
				}}
			})
			pool := sharedPool(t)
			older, err := capi.New(capi.Config{
				APIKey: clickidtest.APIKey, BaseURL: platform.URL, Concurrency: 32,
				Dialect: capi.ECAPI{DataSetID: clickidtest.EventSourceID},
			})
			if err != nil {
				t.Fatal(err)
			}
			all := []*pgxOutbox{newOutbox(t, pool, riveroutbox.Config{Delivery: outbox.Config{Destination: older}, Workers: 20})}
			for len(all) < instances {
				own := newPool(t, pool.Config().ConnString())
				all = append(all, newOutbox(t, own, riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}, Workers: 50}))
			}
			for i, ob := range all {
				send(t, ob, "A", events/2) // every instance sends the same events
				if i > 0 {
					send(t, ob, fmt.Sprintf("B%d", i), events/2/(instances-1))
				}
			}
			for _, ob := range all {
				start(t, ob)
			}
			total := events/2 + events/2/(instances-1)*(instances-1)
			await(t, platform, total)
			eventually(t, "an empty queue", func(ctx context.Context) (bool, error) {
				stats, err := all[0].Stats(ctx)
				return stats.Queued == 0 && stats.Delivered == total && stats.DeadLetters == 0, err
			})
			dialects := make(map[clickidtest.Dialect]int)
			for _, event := range platform.Accepted() {
				dialects[event.Dialect]++
				if event.Received != 1 {
					t.Errorf("%s was sent %d times", event.ID, event.Received)
				}
			}
			if len(platform.Accepted()) != total || len(dialects) != 2 {
				t.Errorf("%d events, by dialect %v", len(platform.Accepted()), dialects)
			}
		})
	}
}

// TestOutbox_backlog checks that many workers and a short linger fill the
// requests. A backlog of this size takes about a hundred requests, more on a
// busy machine.
func TestOutbox_backlog(t *testing.T) {
	t.Parallel()
	const events = 20_000
	platform := clickidtest.NewServer(t)
	platform.Stop()
	ob := newOutbox(t, sharedPool(t), riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}})
	for i := range 10 {
		send(t, ob, fmt.Sprint("A", i), events/10)
	}
	start(t, ob)
	// The outbox notices the outage before it ends.
	eventually(t, "the outage", func(ctx context.Context) (bool, error) {
		stats, err := ob.Stats(ctx)
		return stats.Queued == events && stats.Oldest > time.Second, err
	})
	back := time.Now()
	if err := platform.Restart(); err != nil {
		t.Fatal(err)
	}
	await(t, platform, events)
	took, requests := time.Since(back), len(platform.Requests())
	if took > time.Minute {
		t.Errorf("the backlog took %v", took)
	}
	if requests > events/50 {
		t.Errorf("the backlog took %d requests", requests)
	}
	t.Logf("%d events in %d requests within %v after the outage", events, requests, took)
}
