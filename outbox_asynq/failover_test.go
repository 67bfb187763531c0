package asynqoutbox_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	asynqoutbox "github.com/clickid/clickid/outbox_asynq"
	"github.com/redis/go-redis/v9"
)

// TestOutbox_Send_failover has a replica without the event that takes over before
// Send asks for confirmation. Its own replica confirms its writes.
func TestOutbox_Send_failover(t *testing.T) {
	t.Parallel()
	primary, first, second := testserver.StartRedis(t), testserver.StartRedis(t), testserver.StartRedis(t)
	follow(t, connect(t, second.DSN()), first)

	current := testserver.NewSwitch(primary)
	client := redis.NewClient(&redis.Options{ContextTimeoutEnabled: true, Dialer: current.Dial})
	t.Cleanup(func() { _ = client.Close() })
	client.AddHook(&beforeConfirmation{do: func() {
		primary.Kill()
		current.To(first)
	}})
	ob := newOutbox(t, asynqoutbox.Config{
		Delivery: outbox.Config{Destination: newClient(t, clickidtest.NewServer(t))}, Redis: client, WaitReplicas: 1,
	})
	_, err := ob.Send(t.Context(), order("lost"))
	if stats, statsErr := ob.Stats(t.Context()); statsErr != nil || stats.Queued != 0 {
		t.Fatalf("the new primary has %d events, %v", stats.Queued, statsErr)
	}
	if err == nil || !strings.Contains(err.Error(), "took over") {
		t.Errorf("Send returned %v, although the new primary does not have the event", err)
	}
	if _, err := ob.Send(t.Context(), order("lost")); err != nil {
		t.Errorf("sending again: %v", err)
	}
}

// follow makes a server a replica of another.
func follow(t *testing.T, replica *redis.Client, primary *testserver.Server) {
	t.Helper()
	host, port, err := net.SplitHostPort(primary.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if err := replica.SlaveOf(t.Context(), host, port).Err(); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(replica.Info(t.Context(), "replication").Val(), "master_link_status:up") {
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// beforeConfirmation calls do once, before the write that WAIT confirms.
type beforeConfirmation struct {
	once sync.Once
	do   func()
}

func (h *beforeConfirmation) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *beforeConfirmation) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "incr" {
			h.once.Do(h.do)
		}
		return next(ctx, cmd)
	}
}

func (h *beforeConfirmation) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
