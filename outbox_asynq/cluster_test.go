package asynqoutbox_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	"github.com/clickid/clickid/outbox/outboxtest"
	asynqoutbox "github.com/clickid/clickid/outbox_asynq"
	"github.com/redis/go-redis/v9"
)

// newCluster starts a cluster of three servers and connects to it.
func newCluster(t *testing.T) (*redis.ClusterClient, []*redis.Client) {
	t.Helper()
	const nodes, slots = 3, 16384
	ctx := t.Context()
	var clients []*redis.Client
	var addrs []string
	for n := range nodes {
		server := testserver.StartRedisNode(t)
		client := connect(t, server.DSN())
		if err := client.ClusterAddSlotsRange(ctx, n*slots/nodes, (n+1)*slots/nodes-1).Err(); err != nil {
			t.Fatal(err)
		}
		host, port, err := net.SplitHostPort(server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		for _, earlier := range clients {
			if err := earlier.ClusterMeet(ctx, host, port).Err(); err != nil {
				t.Fatal(err)
			}
		}
		clients, addrs = append(clients, client), append(addrs, server.Addr())
	}
	deadline := time.Now().Add(time.Minute)
	for _, client := range clients {
		for {
			info := client.ClusterInfo(ctx).Val()
			if strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprint("cluster_known_nodes:", nodes)) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the cluster is not ready: %s", info)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = cluster.Close() })
	return cluster, clients
}

func TestOutbox_clusterConformance(t *testing.T) {
	t.Parallel()
	cluster, _ := newCluster(t)
	t.Run("suite", func(t *testing.T) {
		outboxtest.Run(t, func(testing.TB) outboxtest.Backend {
			queue := testserver.Name()
			return outboxtest.Backend{
				Open: func(tb testing.TB, cfg outbox.Config) outbox.Outbox {
					return newOutbox(tb, asynqoutbox.Config{Delivery: cfg, Redis: cluster, Queue: queue, AcceptLoss: true})
				},
				Lose: loseRecord(cluster, queue),
			}
		})
	})
}

// Start asks every server of a cluster.
func TestOutbox_Start_clusterDurability(t *testing.T) {
	t.Parallel()
	cluster, nodes := newCluster(t)
	start := func() error {
		ob := newOutbox(t, asynqoutbox.Config{
			Delivery: outbox.Config{Destination: newClient(t, clickidtest.NewServer(t))}, Redis: cluster,
		})
		err := ob.Start(t.Context())
		_, _ = ob.Stop(context.Background())
		return err
	}
	if err := start(); err != nil {
		t.Fatal(err)
	}
	if err := nodes[2].ConfigSet(t.Context(), "appendonly", "no").Err(); err != nil {
		t.Fatal(err)
	}
	if err := start(); !errors.Is(err, asynqoutbox.ErrVolatile) {
		t.Fatalf("with one volatile server Start returns %v", err)
	}
}

// A primary with replicas loses what they do not have, unless Send waits for them.
func TestOutbox_Send_replicas(t *testing.T) {
	t.Parallel()
	primary := testserver.StartRedis(t)
	host, port, err := net.SplitHostPort(primary.Addr())
	if err != nil {
		t.Fatal(err)
	}
	replica := testserver.StartRedis(t, "--replicaof", host+" "+port)
	client := connect(t, primary.DSN())
	for !strings.Contains(client.Info(t.Context(), "replication").Val(), "state=online") {
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	open := func(wait int) *asynqoutbox.Outbox {
		ob, err := asynqoutbox.New(asynqoutbox.Config{
			Delivery: outbox.Config{Destination: newClient(t, clickidtest.NewServer(t))}, Redis: client,
			EnqueueTimeout: 3 * time.Second, WaitReplicas: wait,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = ob.Stop(context.Background()) })
		return ob
	}
	if err := open(0).Start(t.Context()); !errors.Is(err, asynqoutbox.ErrVolatile) || !strings.Contains(err.Error(), "WaitReplicas") {
		t.Fatalf("Start returns %v", err)
	}
	ob := open(1)
	if err := ob.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := ob.Send(t.Context(), order("confirmed")); err != nil {
		t.Fatal(err)
	}
	replica.Pause()
	defer replica.Resume()
	if _, err := ob.Send(t.Context(), order("unconfirmed")); err == nil {
		t.Error("Send returned no error although no replica has the event")
	}
}
