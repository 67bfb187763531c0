package river_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/e2e/internal/rolling"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/stretchr/testify/require"
)

// TestOutbox_instances delivers from one queue with several instances, which all
// send the same events at the same time.
func TestOutbox_instances(t *testing.T) {
	t.Parallel()
	for _, instances := range []int{2, 4} {
		t.Run(fmt.Sprint(instances), func(t *testing.T) {
			t.Parallel()
			const events = 1000
			platform := clickidtest.NewServer(t)
			pool := sharedPool(t)
			var all []*pgxOutbox
			for range instances {
				own := newPool(t, pool.Config().ConnString())
				all = append(all, newOutbox(t, own, riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}, Workers: 50}))
			}
			var group sync.WaitGroup
			for i, ob := range all {
				group.Go(func() {
					send(t, ob, "A", events)
					send(t, ob, fmt.Sprintf("B%d", i), events/10)
				})
			}
			group.Wait()
			for _, ob := range all {
				start(t, ob)
			}
			total := events + events/10*instances
			await(t, platform, total)
			eventually(t, "an empty queue", func(ctx context.Context) (bool, error) {
				stats, err := all[0].Stats(ctx)
				return stats.Queued == 0 && stats.DeadLetters == 0, err
			})
			// With the duplicates that were removed at their delivery, the jobs may be
			// more than Stats counts exactly.
			var delivered int
			require.NoError(t, pool.QueryRow(t.Context(),
				"SELECT count(*) FROM clickid.river_job WHERE state = 'completed' AND unique_key IS NOT NULL").Scan(&delivered))
			require.Equal(t, total, delivered)
			for _, event := range platform.Accepted() {
				if event.Received != 1 {
					t.Errorf("%s was sent %d times", event.ID, event.Received)
				}
			}
			if n := len(platform.Accepted()); n != total {
				t.Errorf("%d events, want %d", n, total)
			}
		})
	}
}

func TestOutbox_rollingDeployment(t *testing.T) {
	for name, test := range rolling.Tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := sharedPool(t).Config().ConnString()
			test(t, func(t *testing.T, cfg outbox.Config) outbox.Outbox {
				return newOutbox(t, newPool(t, database), riveroutbox.Config{Delivery: cfg, Workers: 20})
			})
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
	// A simulation in package outbox checks the time, and bench measures it.
	took, requests := time.Since(back), len(platform.Requests())
	if requests > events/50 {
		t.Errorf("the backlog took %d requests", requests)
	}
	t.Logf("%d events in %d requests within %v after the outage", events, requests, took)
}
