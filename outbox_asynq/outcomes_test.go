package asynqoutbox

import (
	"context"
	"maps"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	"github.com/redis/go-redis/v9"
)

// TestOutbox_Outcomes checks that the outcome of an event is remembered, and
// that a lost event counts as forgotten.
func TestOutbox_Outcomes(t *testing.T) {
	t.Parallel()
	ob, platform := newTrapped(t, func(cfg *outbox.Config) {
		cfg.Consent = func(_ context.Context, e clickid.Event) (clickid.Consent, error) {
			if e.ID == "skipped" {
				return clickid.ConsentDenied, nil
			}
			return clickid.ConsentGranted, nil
		}
	})
	ctx := t.Context()
	platform.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"dead", "discarded"}, Code: "INVALID_REQUEST"})
	names := []string{"delivered", "skipped", "dead", "discarded", "lost", "unknown"}
	identities := make(map[string]string)
	var all []string
	for _, name := range append(names, "queued") {
		_, records := ob.delivery.Admit(ctx, purchase(name))
		identities[name] = records[0].Identity
		all = append(all, records[0].Identity)
		if name != "unknown" && name != "queued" {
			if _, err := ob.Enqueue(ctx, records); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := ob.cfg.Redis.Del(ctx, ob.live.record(identities["lost"])).Err(); err != nil {
		t.Fatal(err)
	}
	if err := ob.Start(ctx); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool {
		stats, err := ob.Stats(ctx)
		return err == nil && stats.Queued == 0 && stats.DeadLetters == 3 && stats.Delivered == 1 && stats.Skipped == 1
	})
	if _, err := ob.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	letters, err := ob.DeadLetters(ctx, outbox.Page{})
	if err != nil {
		t.Fatal(err)
	}
	for _, letter := range letters {
		if letter.EventID == "discarded" {
			if _, err := ob.Discard(ctx, letter.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := ob.Send(ctx, purchase("queued")); err != nil {
		t.Fatal(err)
	}
	got, err := ob.Outcomes(ctx, all)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{
		identities["delivered"]: true, identities["skipped"]: true, identities["dead"]: true, identities["discarded"]: true,
		identities["queued"]: false,
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestOutbox_Outcomes_replay replays a dead letter while its outcome is read.
func TestOutbox_Outcomes_replay(t *testing.T) {
	t.Parallel()
	ob, _ := newTrapped(t)
	ctx := t.Context()
	_, records := ob.delivery.Admit(ctx, purchase("dead"))
	if err := ob.keepDead(ctx, records[0], outbox.Failure{Reason: "refused"}, 1); err != nil {
		t.Fatal(err)
	}
	identity := records[0].Identity
	ob.cfg.Redis.AddHook(&between{
		is: func(cmd redis.Cmder) bool { return cmd.Name() == "exists" },
		act: func() {
			if n, err := ob.Replay(ctx); n != 1 || err != nil {
				t.Errorf("Replay returns %d, %v", n, err)
			}
		},
	})
	got, err := ob.Outcomes(ctx, []string{identity})
	if _, known := got[identity]; !known || err != nil {
		t.Errorf("the replayed event counts as forgotten: %v, %v", got, err)
	}
}

// TestOutbox_announce checks that dead letters are found after a server has
// forgotten asynq's list of queues.
func TestOutbox_announce(t *testing.T) {
	t.Parallel()
	ob, platform := newTrapped(t)
	ctx := t.Context()
	platform.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"first", "second"}, Code: "INVALID_REQUEST"})
	if err := ob.Start(ctx); err != nil {
		t.Fatal(err)
	}
	dead := func(n int) func() bool {
		return func() bool {
			letters, err := ob.DeadLetters(ctx, outbox.Page{})
			return err == nil && len(letters) == n
		}
	}
	if _, err := ob.Send(ctx, purchase("first")); err != nil {
		t.Fatal(err)
	}
	await(t, dead(1))
	if err := ob.cfg.Redis.FlushAll(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	if ended, err := ob.Outcomes(ctx, []string{"forgotten"}); len(ended) != 0 || err != nil {
		t.Fatalf("%v, %v", ended, err)
	}
	if _, err := ob.Send(ctx, purchase("second")); err != nil {
		t.Fatal(err)
	}
	await(t, dead(1))
}
