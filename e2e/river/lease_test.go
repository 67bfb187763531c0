package river_test

import (
	"context"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
)

// TestOutbox_expiredLease gives an instance the job that it is delivering once more.
func TestOutbox_expiredLease(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	pool := sharedPool(t)
	ob := newOutbox(t, pool, riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}})
	start(t, ob)
	hold := make(chan struct{})
	lift := platform.Always(clickidtest.Fault{Hold: hold})
	send(t, ob, "A", 1)
	if _, err := platform.WaitRequests(within(t, time.Minute), 1); err != nil {
		t.Fatal(err)
	}
	execute(t, pool, "UPDATE clickid.river_job SET state = 'available' WHERE state = 'running'")
	eventually(t, "the second delivery", func(ctx context.Context) (bool, error) {
		n, err := count(ctx, pool, "SELECT count(*) FROM clickid.river_job WHERE attempt + coalesce((metadata ->> 'snoozes')::int, 0) > 1")
		return n == 1, err
	})
	lift()
	close(hold)
	eventually(t, "an empty queue", func(ctx context.Context) (bool, error) {
		stats, err := ob.Stats(ctx)
		return stats.Queued == 0, err
	})
	if n := len(platform.Requests()); n != 1 {
		t.Errorf("%d requests for one event, want 1", n)
	}
}
