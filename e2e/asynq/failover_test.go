package asynq_test

import (
	"context"
	"database/sql"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	asynqoutbox "github.com/clickid/clickid/outbox_asynq"
)

// group is a primary with replicas, and a Sentinel that lets one of them take over.
type group struct {
	primary  *testserver.Server
	replicas []*testserver.Server
	client   *redis.Client // of the current primary
}

func startGroup(ctx context.Context, t *testing.T, replicas int) *group {
	t.Helper()
	const name = "queue"
	g := &group{primary: testserver.StartRedis(t)}
	host, port, err := net.SplitHostPort(g.primary.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for range replicas {
		g.replicas = append(g.replicas, testserver.StartRedis(t, "--replicaof", host, port))
	}
	sentinel := testserver.StartSentinel(t, name, g.primary)
	g.client = redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: name, SentinelAddrs: []string{sentinel.Addr()}, ContextTimeoutEnabled: true,
	})
	t.Cleanup(func() { _ = g.client.Close() })
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
	return g
}

// TestOutbox_failover kills the primary while orders are sent and delivered. With
// WaitReplicas, the replica that takes over has every event that Send has
// acknowledged.
func TestOutbox_failover(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	g, platform := startGroup(ctx, t, 2), clickidtest.NewServer(t)
	platform.Always(clickidtest.Fault{Latency: 20 * time.Millisecond})
	open := func(hook func(context.Context, outbox.Observation)) *asynqoutbox.Outbox {
		return openOutboxOn(t, g.client, platform, func(cfg *asynqoutbox.Config) {
			cfg.EnqueueTimeout, cfg.Workers, cfg.WaitReplicas, cfg.Delivery.Hook = 2*time.Second, 50, 1, hook
		})
	}
	ob := open(nil)
	if err := ob.Start(ctx); err != nil {
		t.Fatal(err)
	}
	s := openBusyShop(ctx, t, ob)
	await(ctx, t, "orders are delivered", func() bool { return platform.Count() >= 100 })
	g.primary.Kill()
	await(ctx, t, "orders fail", func() bool { return s.failures() > 0 })
	before := platform.Count()
	await(ctx, t, "orders are delivered again", func() bool { return platform.Count() >= before+100 })
	s.close()

	// Another instance reports the new server. It finds what the workers could not
	// put back during the failover, as asynq does every minute.
	if _, err := ob.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if err := ageLeases(ctx, g.client); err != nil {
		t.Fatal(err)
	}
	var alerts atomic.Int32
	next := open(func(_ context.Context, o outbox.Observation) {
		if o.Kind == outbox.KindStorageReplaced {
			alerts.Add(1)
		}
	})
	if err := next.Start(ctx); err != nil {
		t.Fatal(err)
	}
	awaitOrders(ctx, t, platform, s.queued)
	await(ctx, t, "the alert", func() bool { return alerts.Load() == 1 })
	if letters, err := next.DeadLetters(ctx, outbox.Page{}); err != nil || len(letters) != 0 {
		t.Errorf("%d dead letters, %v", len(letters), err)
	}
	t.Logf("%d orders queued, %d failed, %d sent twice", len(s.queued), s.failed, crash.Resent(platform))
}

// TestTable_failover has a replica that takes over without the events that the
// relay has moved. The relay enqueues them again.
func TestTable_failover(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	g, platform := startGroup(ctx, t, 1), clickidtest.NewServer(t)
	lift := platform.Always(clickidtest.Fault{Status: 503})
	var requeued atomic.Int32
	queue := openOutboxOn(t, g.client, platform, func(cfg *asynqoutbox.Config) {
		cfg.Workers, cfg.AcceptLoss = 10, true
		cfg.Delivery.Hook = func(_ context.Context, o outbox.Observation) {
			if o.Kind == outbox.KindRequeued {
				requeued.Add(1)
			}
		}
	})
	db, err := sql.Open("pgx", testserver.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	ob, table := openTable(ctx, t, queue, db)

	// The replica gets nothing from here on.
	g.replicas[0].Pause()
	if err := g.client.ClientKillByFilter(ctx, "TYPE", "replica").Err(); err != nil {
		t.Fatal(err)
	}
	const n = 200
	sendAll(ctx, t, ob, n)
	await(ctx, t, "the relay moves the events", func() bool {
		stats, err := table.Stats(ctx, db)
		return err == nil && stats.Queued == 0
	})
	g.primary.Kill()
	g.replicas[0].Resume()
	await(ctx, t, "the relay enqueues again", func() bool { return requeued.Load() > 0 })
	lift()
	if _, err := platform.Wait(ctx, n); err != nil {
		t.Fatalf("%d of %d events are accepted", platform.Count(), n)
	}
}
