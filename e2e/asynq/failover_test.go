package asynq_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	asynqoutbox "github.com/clickid/clickid/outbox_asynq"
)

// startGroup starts a primary with replicas, and a Sentinel that lets one of them
// take over. The client is one of the current primary.
func startGroup(ctx context.Context, t *testing.T, replicas int) (primary *testserver.Server, followers []*testserver.Server, client *redis.Client) {
	t.Helper()
	const name = "queue"
	primary = testserver.StartRedis(t)
	host, port, err := net.SplitHostPort(primary.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for range replicas {
		followers = append(followers, testserver.StartRedis(t, "--replicaof", host, port))
	}
	sentinel := testserver.StartSentinel(t, name, primary)
	client = redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: name, SentinelAddrs: []string{sentinel.Addr()}, ContextTimeoutEnabled: true,
	})
	t.Cleanup(func() { _ = client.Close() })
	watcher := redis.NewSentinelClient(&redis.Options{Addr: sentinel.Addr()})
	defer func() { _ = watcher.Close() }()
	await(ctx, t, "Sentinel knows the replicas", func() bool {
		known, err := watcher.Replicas(ctx, name).Result()
		following := 0
		for _, replica := range known {
			if replica["master-link-status"] == "ok" {
				following++
			}
		}
		return err == nil && following == replicas
	})
	return primary, followers, client
}

// TestOutbox_failover freezes the replicas and kills the primary while orders are
// sent and delivered. With WaitReplicas, Send acknowledges no event that only the
// primary has, and the replica that takes over has every other one.
func TestOutbox_failover(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	platform := clickidtest.NewServer(t)
	primary, replicas, client := startGroup(ctx, t, 2)
	platform.Always(clickidtest.Fault{Latency: 20 * time.Millisecond})
	var alerts atomic.Int32
	open := func() *asynqoutbox.Outbox {
		return openOutboxOn(t, client, platform, func(cfg *asynqoutbox.Config) {
			cfg.EnqueueTimeout, cfg.Workers, cfg.WaitReplicas = 2*time.Second, 50, 1
			cfg.Delivery.Hook = func(_ context.Context, o outbox.Observation) {
				if o.Kind == outbox.KindStorageReplaced {
					alerts.Add(1)
				}
			}
		})
	}
	ob := open()
	if err := ob.Start(ctx); err != nil {
		t.Fatal(err)
	}
	s := openBusyShop(ctx, t, ob)
	await(ctx, t, "orders are delivered", func() bool { return platform.Count() >= 100 })
	for _, replica := range replicas {
		replica.Pause()
	}
	await(ctx, t, "orders fail without a replica", func() bool { return s.failures() > 0 })
	primary.Kill()
	for _, replica := range replicas {
		replica.Resume()
	}
	before := platform.Count()
	await(ctx, t, "orders are delivered again", func() bool { return platform.Count() >= before+100 })
	s.close()

	// Another instance finds the events that the workers could not put back
	// during the failover, and looks at the server, as each does every minute.
	if _, err := ob.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if err := ageLeases(ctx, client); err != nil {
		t.Fatal(err)
	}
	next := open()
	if err := next.Start(ctx); err != nil {
		t.Fatal(err)
	}
	awaitOrders(ctx, t, platform, s.queued)
	await(ctx, t, "the alert", func() bool { return alerts.Load() > 0 })
	// An event that Send stored on two servers in part is lost, and Send has
	// returned an error. The shop sends it again.
	if letters, err := next.DeadLetters(ctx, outbox.Page{Limit: 1000}); err != nil || len(letters) > len(s.failed) {
		t.Errorf("%d dead letters of %d failed orders, %v", len(letters), len(s.failed), err)
	}
	for _, id := range s.failed {
		await(ctx, t, "a failed order is sent again", func() bool {
			_, err := clickid.Convert(ctx, next, crash.Conversion(id))
			return err == nil
		})
		s.queued[id] = true
	}
	awaitOrders(ctx, t, platform, s.queued)
	t.Logf("%d orders queued, %d failed, %d sent twice", len(s.queued)-len(s.failed), len(s.failed), crash.Resent(platform))
}

// TestTable_failover has a replica that takes over without half of the events that
// the relay has moved. The relay enqueues them again.
func TestTable_failover(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	platform := clickidtest.NewServer(t)
	primary := testserver.StartRedis(t)
	host, port, err := net.SplitHostPort(primary.Addr())
	if err != nil {
		t.Fatal(err)
	}
	replica := testserver.StartRedis(t, "--replicaof", host, port)
	current := testserver.NewSwitch(primary)
	client := redis.NewClient(&redis.Options{ContextTimeoutEnabled: true, Dialer: current.Dial})
	t.Cleanup(func() { _ = client.Close() })
	lift := platform.Always(clickidtest.Fault{Status: 503})
	ob := openTable(ctx, t, client, platform, func(cfg *asynqoutbox.Config) { cfg.AcceptLoss = true })

	const n = 400
	sendAll(ctx, t, ob, n/2)
	ob.awaitMoved(ctx)
	follower, err := connect(replica.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = follower.Close() }()
	await(ctx, t, "the replica has the events", func() bool {
		waiting, err := follower.ZCard(ctx, "clickid:{"+asynqoutbox.DefaultQueue+"}:waiting").Result()
		return err == nil && waiting == n/2
	})
	await(ctx, t, "the replica stops following", func() bool { return follower.SlaveOf(ctx, "NO", "ONE").Err() == nil })
	sendAll(ctx, t, ob, n) // the first half is known
	ob.awaitMoved(ctx)
	primary.Kill()
	current.To(replica)
	await(ctx, t, "the relay enqueues again", func() bool { return ob.requeued.Load() > 0 })
	lift()
	if _, err := platform.Wait(ctx, n); err != nil {
		t.Fatalf("%d of %d events are accepted", platform.Count(), n)
	}
}
