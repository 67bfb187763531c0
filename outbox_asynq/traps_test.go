package asynqoutbox

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// newTrapped returns an outbox on a Redis server of its own.
func newTrapped(t *testing.T, edits ...func(*outbox.Config)) (*Outbox, *clickidtest.Server) {
	t.Helper()
	options, err := redis.ParseURL(testserver.StartRedis(t, "--enable-debug-command", "local").DSN())
	if err != nil {
		t.Fatal(err)
	}
	options.ContextTimeoutEnabled = true
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	platform := clickidtest.NewServer(t)
	sender, err := capi.New(capi.Config{
		APIKey: clickidtest.APIKey, BaseURL: platform.URL,
		Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
	})
	if err != nil {
		t.Fatal(err)
	}
	delivery := outbox.Config{Destination: sender}
	for _, edit := range edits {
		edit(&delivery)
	}
	ob, err := New(Config{
		Delivery: delivery, Redis: client,
		EnqueueTimeout: 10 * time.Second, PollInterval: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = ob.Stop(context.Background()) })
	return ob, platform
}

func purchase(id string) clickid.Event {
	return clickid.Event{
		Type: clickid.Purchase, ID: id, Time: time.Now(), Value: clickid.Minor(4990, "EUR"),
		Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid"},
	}
}

// TestDeadLetters_many checks that more dead letters are kept than the 10,000
// tasks of asynq's archive.
func TestDeadLetters_many(t *testing.T) {
	t.Parallel()
	ob, _ := newTrapped(t)
	const n = 10_050
	for i := range n {
		_, records := ob.delivery.Admit(t.Context(), purchase(fmt.Sprint("dead-", i)))
		if err := ob.keepDead(t.Context(), records[0], outbox.Failure{Reason: "refused", Status: 400}, 1); err != nil {
			t.Fatal(err)
		}
	}
	stats, err := ob.Stats(t.Context())
	if err != nil || stats.DeadLetters != n {
		t.Fatalf("%d of %d dead letters remain, %v", stats.DeadLetters, n, err)
	}
	first, err := ob.DeadLetters(t.Context(), outbox.Page{Limit: 1, Offset: n - 1})
	if err != nil || len(first) != 1 || first[0].EventID != "dead-0" {
		t.Fatalf("the oldest dead letter is %+v, %v", first, err)
	}
}

// TestRepair leaves tasks in the states after crashes and cut connections that
// asynq's recoverer does not find.
func TestRepair(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		abandon func(ctx context.Context, ob *Outbox, identity string) error
	}{
		{"being delivered, without a lease", func(ctx context.Context, ob *Outbox, identity string) error {
			return ob.cfg.Redis.ZRem(ctx, ob.live.lease(), identity).Err()
		}},
		{"with an expired lease, in no list", func(ctx context.Context, ob *Outbox, identity string) error {
			long := float64(time.Now().Add(-time.Hour).Unix())
			if err := ob.cfg.Redis.ZAdd(ctx, ob.live.lease(), redis.Z{Score: long, Member: identity}).Err(); err != nil {
				return err
			}
			return ob.cfg.Redis.LRem(ctx, ob.live.active(), 0, identity).Err()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			ob, platform := newTrapped(t)
			if _, err := ob.Send(ctx, purchase("abandoned")); err != nil {
				t.Fatal(err)
			}
			identity := takeAsACrashedWorker(ctx, t, ob)
			if err := tt.abandon(ctx, ob, identity); err != nil {
				t.Fatal(err)
			}
			repaired, err := ob.repair(ctx)
			if err != nil || repaired != 1 {
				t.Fatalf("%d events were repaired, %v", repaired, err)
			}
			if err := ob.Start(ctx); err != nil {
				t.Fatal(err)
			}
			if _, err := platform.Wait(ctx, 1); err != nil {
				t.Fatal("the event was not delivered")
			}
			if repaired, err := ob.repair(ctx); err != nil || repaired != 0 {
				t.Fatalf("%d intact events were repaired, %v", repaired, err)
			}
		})
	}
}

// takeAsACrashedWorker takes the only event of the queue like a worker that is
// then killed, and returns its identity.
func takeAsACrashedWorker(ctx context.Context, t *testing.T, ob *Outbox) string {
	t.Helper()
	identity, err := ob.cfg.Redis.LMove(ctx, ob.live.pending(), ob.live.active(), "RIGHT", "LEFT").Result()
	if err != nil {
		t.Fatal(err)
	}
	pipe := ob.cfg.Redis.TxPipeline()
	pipe.HSet(ctx, ob.live.taskPrefix()+identity, "state", "active")
	pipe.HDel(ctx, ob.live.taskPrefix()+identity, "pending_since")
	pipe.ZAdd(ctx, ob.live.lease(), redis.Z{Score: float64(time.Now().Add(30 * time.Second).Unix()), Member: identity})
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	return identity
}

// TestRedisQueue_keys checks that the keys of this package are those of asynq.
func TestRedisQueue_keys(t *testing.T) {
	t.Parallel()
	ob, platform := newTrapped(t)
	ctx := t.Context()
	if _, err := ob.Send(ctx, purchase("A"), purchase("B")); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		info, err := ob.inspector.GetQueueInfo(ob.live.name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ob.sizes(ctx)
		if waiting := info.Pending + info.Active + info.Scheduled + info.Retry; err != nil || got.waiting != waiting || info.Completed != 0 {
			t.Errorf("counted %+v and asynq counts %d tasks and %d completed ones, %v", got, waiting, info.Completed, err)
		}
	}
	check()
	takeAsACrashedWorker(ctx, t, ob)
	tasks, err := ob.inspector.ListActiveTasks(ob.live.name)
	if err != nil || len(tasks) != 1 || tasks[0].State != asynq.TaskStateActive || tasks[0].IsOrphaned {
		t.Fatalf("asynq does not list the task as active: %+v, %v", tasks, err)
	}
	check()
	if err := ob.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := platform.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := ob.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	check()
}

// TestOutbox_delivered checks that a delivered event leaves no personal data.
func TestOutbox_delivered(t *testing.T) {
	t.Parallel()
	ob, platform := newTrapped(t)
	ctx := t.Context()
	if err := ob.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := ob.Send(ctx, purchase("A")); err != nil {
		t.Fatal(err)
	}
	if _, err := platform.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := ob.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := ob.Send(ctx, purchase("A")); err != nil {
		t.Fatal(err)
	}
	for keys := ob.cfg.Redis.Scan(ctx, 0, ob.live.record("*"), 100).Iterator(); keys.Next(ctx); {
		t.Errorf("an event remains at %s", keys.Val())
	}
	stats, err := ob.Stats(ctx)
	if err != nil || stats.Queued != 0 || stats.Delivered != 1 {
		t.Fatalf("%+v, %v", stats, err)
	}
	// The figure in docs/benchmarks-storage.md.
	_, records := ob.delivery.Admit(ctx, purchase("A"))
	used, err := ob.cfg.Redis.MemoryUsage(ctx, ob.live.marker(records[0].Identity)).Result()
	if err != nil || used > 160 {
		t.Fatalf("a delivered event takes %d bytes, %v", used, err)
	}
}

// A record that Redis has lost is an alert and a dead letter, and not delivered.
func TestOutbox_lostRecord(t *testing.T) {
	t.Parallel()
	ob, platform := newTrapped(t)
	ctx := t.Context()
	if _, err := ob.Send(ctx, purchase("lost"), purchase("kept")); err != nil {
		t.Fatal(err)
	}
	_, records := ob.delivery.Admit(ctx, purchase("lost"))
	if err := ob.cfg.Redis.Del(ctx, ob.live.record(records[0].Identity)).Err(); err != nil {
		t.Fatal(err)
	}
	if err := ob.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := platform.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool {
		stats, err := ob.Stats(ctx)
		return err == nil && stats.Queued == 0 && stats.Delivered == 1 && stats.DeadLetters == 1
	})
	letters, err := ob.DeadLetters(ctx, outbox.Page{})
	if err != nil || len(letters) != 1 || letters[0].Reason != reasonLost {
		t.Fatalf("%+v, %v", letters, err)
	}
	// The order's event can be sent again.
	if _, err := ob.Send(ctx, purchase("lost")); err != nil {
		t.Fatal(err)
	}
	if _, err := platform.Wait(ctx, 2); err != nil {
		t.Fatal(err)
	}
}

// A record that a crash left without a task is delivered.
func TestOutbox_orphans(t *testing.T) {
	t.Parallel()
	ob, platform := newTrapped(t)
	ctx := t.Context()
	_, records := ob.delivery.Admit(ctx, purchase("orphan"))
	records[0].QueuedAt = records[0].QueuedAt.Add(-time.Minute)
	if _, err := ob.store(ctx, records); err != nil {
		t.Fatal(err)
	}
	if err := ob.deleteTask(records[0].Identity); err != nil {
		t.Fatal(err)
	}
	if n, err := ob.repairOrphans(ctx); n != 1 || err != nil {
		t.Fatalf("%d orphans, %v", n, err)
	}
	if err := ob.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := platform.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
}

// A replay meets the task of the delivery that made the dead letter.
func TestOutbox_Replay_besideOutcome(t *testing.T) {
	t.Parallel()
	ob, platform := newTrapped(t)
	ctx := t.Context()
	if _, err := ob.Send(ctx, purchase("A")); err != nil {
		t.Fatal(err)
	}
	identity := takeAsACrashedWorker(ctx, t, ob)
	l, err := ob.loadRecord(ctx, identity)
	if err != nil {
		t.Fatal(err)
	}
	if err := ob.keepDead(ctx, l.record, outbox.Failure{Reason: "refused"}, 1); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		n, err := ob.Replay(ctx)
		if err == nil && n != 1 {
			err = fmt.Errorf("%d were replayed", n)
		}
		done <- err
	}()
	await(t, func() bool { return ob.cfg.Redis.Exists(ctx, ob.live.record(identity)).Val() == 1 })
	// asynq removes the task of the outcome only now.
	pipe := ob.cfg.Redis.TxPipeline()
	pipe.LRem(ctx, ob.live.active(), 0, identity)
	pipe.ZRem(ctx, ob.live.lease(), identity)
	pipe.Del(ctx, ob.live.taskPrefix()+identity)
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := ob.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := platform.Wait(ctx, 1); err != nil {
		t.Fatal("the replayed event is lost")
	}
}

// A changed replication ID is an alert.
func TestOutbox_replacedServer(t *testing.T) {
	t.Parallel()
	var alerts atomic.Int32
	ob, _ := newTrapped(t, func(cfg *outbox.Config) {
		cfg.Hook = func(_ context.Context, o outbox.Observation) {
			if o.Kind == outbox.KindStorageReplaced {
				alerts.Add(1)
			}
		}
	})
	ctx := t.Context()
	for range 2 {
		if err := ob.checkServer(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if n := alerts.Load(); n != 0 {
		t.Fatalf("%d alerts of the same server", n)
	}
	if err := ob.cfg.Redis.Do(ctx, "DEBUG", "CHANGE-REPL-ID").Err(); err != nil {
		t.Fatal(err)
	}
	if err := ob.checkServer(ctx); err != nil {
		t.Fatal(err)
	}
	if n := alerts.Load(); n != 1 {
		t.Fatalf("%d alerts of another server", n)
	}
}

// The progress of a delivery does not replace the record of an event that was
// erased and sent again in between.
func TestOutbox_storeProgress_sentAgain(t *testing.T) {
	t.Parallel()
	ob, _ := newTrapped(t)
	ctx := t.Context()
	_, err := ob.Send(ctx, purchase("A"))
	require.NoError(t, err)
	identity := takeAsACrashedWorker(ctx, t, ob)
	old, err := ob.loadRecord(ctx, identity)
	require.NoError(t, err)
	require.NoError(t, ob.storeProgress(ctx, old.record, &outbox.Progress{Responses: 1}))
	l, err := ob.loadRecord(ctx, identity)
	require.NoError(t, err)
	require.Equal(t, 1, l.record.Progress.Responses)

	_, err = ob.Erase(ctx, clickid.OrderKey("A"))
	require.NoError(t, err)
	require.NoError(t, ob.storeProgress(ctx, old.record, &outbox.Progress{Responses: 2}))
	l, err = ob.loadRecord(ctx, identity)
	require.NoError(t, err)
	require.False(t, l.found, "an erased event came back")

	_, records := ob.delivery.Admit(ctx, purchase("A"))
	fresh := records[0].Replayed(old.record.QueuedAt.Add(time.Second))
	_, err = ob.store(ctx, []outbox.Record{fresh})
	require.NoError(t, err)
	require.NoError(t, ob.storeProgress(ctx, old.record, &outbox.Progress{Responses: 3}))
	l, err = ob.loadRecord(ctx, identity)
	require.NoError(t, err)
	require.Equal(t, fresh.Progress.Responses, l.record.Progress.Responses, "an old record replaced a new one")
}

// await waits until a condition is true.
func await(t *testing.T, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatal("not within a minute")
		}
		time.Sleep(5 * time.Millisecond)
	}
}
