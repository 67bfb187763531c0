package river_test

import (
	"context"
	"testing"
	"time"

	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
)

// TestOutbox_deduplicationWindow checks that River's cleaner keeps delivered
// events for the deduplication window, and dead letters forever.
func TestOutbox_deduplicationWindow(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	platform := clickidtest.NewServer(t)
	pool := sharedPool(t)
	cfg := riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}}
	first := newOutbox(t, pool, cfg)
	if err := first.Start(ctx); err != nil {
		t.Fatal(err)
	}
	platform.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"dead"}})
	for _, id := range []string{"dead", "fresh", "old"} {
		if _, err := first.Send(ctx, conversion(id)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the deliveries", func(ctx context.Context) (bool, error) {
		stats, err := first.Stats(ctx)
		return stats.Delivered == 2 && stats.DeadLetters == 1, err
	})
	if _, err := first.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	for id, days := range map[string]int{"dead": 1000, "fresh": 13, "old": 15} {
		tag, err := pool.Exec(ctx, `UPDATE clickid.river_job SET finalized_at = now() - make_interval(days => $1)
			WHERE id = (SELECT min(id) + $2 FROM clickid.river_job)`, days, map[string]int{"dead": 0, "fresh": 1, "old": 2}[id])
		if err != nil || tag.RowsAffected() != 1 {
			t.Fatal(tag, err)
		}
	}
	second := newOutbox(t, pool, cfg)
	start(t, second)
	eventually(t, "the cleaning", func(ctx context.Context) (bool, error) {
		stats, err := second.Stats(ctx)
		return stats.Delivered == 1, err
	})
	for _, id := range []string{"dead", "fresh", "old"} {
		report, err := second.Send(ctx, conversion(id))
		if err != nil || !report.Accepted() {
			t.Fatalf("sending %s again: %+v, %v", id, report, err)
		}
	}
	eventually(t, "the second delivery after the cleaning", func(ctx context.Context) (bool, error) {
		stats, err := second.Stats(ctx)
		return stats.Delivered == 2 && stats.Queued == 0 && stats.DeadLetters == 1, err
	})
	received := make(map[string]int)
	for _, event := range platform.Accepted() {
		received[event.ID] = event.Received
	}
	if received["fresh"] != 1 || received["old"] != 2 || len(received) != 2 {
		t.Errorf("received: %v", received)
	}
}

// TestOutbox_deadLetterIdentity checks that a second event of a dead letter's
// identity is not stored.
func TestOutbox_deadLetterIdentity(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	platform := clickidtest.NewServer(t)
	client, err := capi.New(capi.Config{
		APIKey: clickidtest.APIKey, BaseURL: platform.URL, Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
	})
	if err != nil {
		t.Fatal(err)
	}
	ob := newOutbox(t, sharedPool(t), riveroutbox.Config{Delivery: outbox.Config{Destination: client}})
	start(t, ob)
	lift := platform.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"A-0"}})
	send(t, ob, "A", 1)
	died := func(ctx context.Context) (bool, error) {
		stats, err := ob.Stats(ctx)
		return stats.DeadLetters == 1 && stats.Queued == 0, err
	}
	eventually(t, "the dead letter", died)
	send(t, ob, "A", 1)
	letters, err := ob.DeadLetters(ctx, outbox.Page{})
	if err != nil || len(letters) != 1 || letters[0].EventID != "A-0" || letters[0].Status == 0 {
		t.Fatalf("DeadLetters: %+v, %v", letters, err)
	}
	if n, err := ob.Replay(ctx); n != 1 || err != nil {
		t.Fatalf("Replay: %d, %v", n, err)
	}
	send(t, ob, "A", 1)
	eventually(t, "the dead letter after the replay", died)
	lift()
	if n, err := ob.Replay(ctx, letters[0].ID); n != 0 || err != nil {
		t.Fatalf("a second Replay of a dead letter: %d, %v", n, err)
	}
	if n, err := ob.Replay(ctx); n != 1 || err != nil {
		t.Fatalf("Replay: %d, %v", n, err)
	}
	await(t, platform, 1)
	send(t, ob, "A", 2)
	await(t, platform, 2)
}
