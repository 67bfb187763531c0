package river_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
)

func TestOutbox_Erase(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	ob := newOutbox(t, sharedPool(t), riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}})
	start(t, ob)
	erase(t, ob, platform)
}

// erase erases a customer's events from a running outbox while one is being
// sent, one is queued and one is dead.
func erase(t *testing.T, ob outbox.Outbox, platform *clickidtest.Server) {
	t.Helper()
	ctx := within(t, time.Minute)
	event := func(id string) clickid.Event {
		e := conversion(id)
		e.User.ExternalID = "customer-42"
		return e
	}
	lift := platform.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"dead"}})
	if _, err := ob.Send(ctx, event("dead")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the dead letter", func(ctx context.Context) (bool, error) {
		stats, err := ob.Stats(ctx)
		return stats.DeadLetters == 1, err
	})
	lift()
	before := len(platform.Accepted())
	hold := make(chan struct{})
	lift = platform.Always(clickidtest.Fault{Hold: hold, Status: 503})
	if _, err := ob.Send(ctx, event("being sent")); err != nil {
		t.Fatal(err)
	}
	if _, err := platform.WaitRequests(ctx, len(platform.Requests())+1); err != nil {
		t.Fatal(err)
	}
	if n, err := ob.Erase(ctx, clickid.CustomerKey("customer-43")); n != 0 || err != nil {
		t.Fatalf("Erase of an unknown customer: %d, %v", n, err)
	}
	n, err := ob.Erase(ctx, clickid.CustomerKey("customer-42"))
	if n != 2 || err != nil {
		t.Fatalf("Erase: %d, %v", n, err)
	}
	close(hold)
	lift()
	eventually(t, "an empty queue", func(ctx context.Context) (bool, error) {
		stats, err := ob.Stats(ctx)
		return stats.Queued == 0 && stats.DeadLetters == 0, err
	})
	if n := len(platform.Accepted()); n > before+1 {
		t.Errorf("%d erased events were sent", n-before)
	}
}

// TestOutbox_delivered checks that only the identity of a delivered event is
// kept.
func TestOutbox_delivered(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	pool := sharedPool(t)
	ob := newOutbox(t, pool, riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}})
	start(t, ob)
	send(t, ob, "A", 1)
	await(t, platform, 1)
	var row string
	eventually(t, "the end of the delivery", func(ctx context.Context) (bool, error) {
		n, err := count(ctx, pool, "SELECT count(*) FROM clickid.river_job WHERE state = 'completed'")
		return n == 1, err
	})
	if err := pool.QueryRow(within(t, time.Minute), "SELECT to_jsonb(j)::text FROM clickid.river_job j").Scan(&row); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(row, `"clickid": null`) || strings.Contains(row, "payload") {
		t.Errorf("the row contains the payload: %s", row)
	}
}
