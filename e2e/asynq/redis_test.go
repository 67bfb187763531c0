package asynq_test

import (
	"context"
	"fmt"
	"strings"
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

const patience = 2 * time.Minute

func openOutbox(t *testing.T, server *testserver.Server, platform *clickidtest.Server, edit func(*asynqoutbox.Config)) *asynqoutbox.Outbox {
	t.Helper()
	connection, err := connect(server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return openOutboxOn(t, connection, platform, edit)
}

func openOutboxOn(t *testing.T, connection *redis.Client, platform *clickidtest.Server, edit func(*asynqoutbox.Config)) *asynqoutbox.Outbox {
	t.Helper()
	client, err := crash.NewClient(platform.URL)
	if err != nil {
		t.Fatal(err)
	}
	cfg := asynqoutbox.Config{
		Delivery: outbox.Config{Destination: client, MinSnooze: 50 * time.Millisecond, MaxSnooze: 2 * time.Second},
		Redis:    connection,
	}
	edit(&cfg)
	return newOutbox(t, cfg)
}

// newOutbox returns an outbox with the intervals of the tests, which is stopped at
// the end of the test.
func newOutbox(t *testing.T, cfg asynqoutbox.Config) *asynqoutbox.Outbox {
	t.Helper()
	if cfg.PollInterval == 0 {
		cfg.PollInterval = 50 * time.Millisecond
	}
	if cfg.EnqueueTimeout == 0 {
		cfg.EnqueueTimeout = patience
	}
	ob, err := asynqoutbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, _ = ob.Stop(ctx)
	})
	return ob
}

func sendAll(ctx context.Context, t *testing.T, ob clickid.Sender, n int) {
	t.Helper()
	events := make([]clickid.Event, n)
	for i := range events {
		events[i] = crash.Conversion(fmt.Sprintf("R-%d", i))
	}
	report, err := ob.Send(ctx, events...)
	if err != nil || !report.Accepted() {
		t.Fatalf("Send: %v", err)
	}
}

// TestOutbox_redisRestart kills and restarts a Redis server with an append-only
// file during the delivery.
func TestOutbox_redisRestart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	server, platform := testserver.StartRedis(t), clickidtest.NewServer(t)
	platform.Always(clickidtest.Fault{Latency: 50 * time.Millisecond})
	ob := openOutbox(t, server, platform, func(cfg *asynqoutbox.Config) { cfg.Workers = 50 })
	const n = 1000
	sendAll(ctx, t, ob, n)
	if err := ob.Start(ctx); err != nil {
		t.Fatal(err)
	}
	for _, accepted := range []int{100, 500} {
		if _, err := platform.Wait(ctx, accepted); err != nil {
			t.Fatal(err)
		}
		server.Kill()
		server.Restart()
	}
	await(ctx, t, "the client notices the restart", func() bool {
		_, err := ob.Stats(ctx)
		return err == nil
	})
	// Events in progress at the kill keep their lease. asynq searches for
	// expired leases every minute and when an instance starts.
	if _, err := ob.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	connection, err := connect(server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if err := ageLeases(ctx, connection); err != nil {
		t.Fatal(err)
	}
	if err := openOutbox(t, server, platform, func(*asynqoutbox.Config) {}).Start(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := platform.Wait(ctx, n); err != nil {
		t.Fatalf("%d of %d events are accepted", platform.Count(), n)
	}
	t.Logf("%d events over 2 restarts, %d sent twice", n, crash.Resent(platform))
}

// TestOutbox_redisPersistence counts the acknowledged events that remain after
// a kill of the server under each persistence setting. The figures are in
// docs/operating.md.
func TestOutbox_redisPersistence(t *testing.T) {
	t.Parallel()
	const n = 1000
	for _, tt := range []struct {
		name string
		args []string
		kept int
	}{
		{"append-only, fsync always", []string{"--appendonly", "yes", "--appendfsync", "always"}, n},
		{"append-only, fsync every second", []string{"--appendonly", "yes", "--appendfsync", "everysec"}, n},
		{"snapshots", []string{"--appendonly", "no", "--save", "60 1"}, 0},
		{"nothing", []string{"--appendonly", "no", "--save", ""}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			server, platform := testserver.StartRedis(t, tt.args...), clickidtest.NewServer(t)
			ob := openOutbox(t, server, platform, func(cfg *asynqoutbox.Config) { cfg.AcceptLoss = true })
			sendAll(ctx, t, ob, n)
			// With fsync every second, Redis postpones a write for up to two seconds
			// while an earlier fsync runs, as on a busy disk.
			connection, err := connect(server.DSN())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = connection.Close() }()
			await(ctx, t, "Redis has written its buffer to the file", func() bool {
				info, err := connection.Info(ctx, "persistence").Result()
				return err == nil && (strings.Contains(info, "aof_enabled:0") || strings.Contains(info, "aof_buffer_length:0\r"))
			})
			server.Kill()
			server.Restart()
			stats, err := ob.Stats(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if stats.Queued != tt.kept {
				t.Errorf("%d of %d acknowledged events remain, want %d", stats.Queued, n, tt.kept)
			}
		})
	}
}

// TestOutbox_instances starts several instances on one queue, one of them with
// an older configuration.
func TestOutbox_instances(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	// The test does not need durable writes.
	server, platform := testserver.StartRedis(t, "--appendfsync", "no"), clickidtest.NewServer(t)
	instances := make([]*asynqoutbox.Outbox, 4)
	for i := range instances {
		instances[i] = openOutbox(t, server, platform, func(cfg *asynqoutbox.Config) {
			if i == 0 {
				cfg.Workers, cfg.DeduplicationWindow, cfg.Delivery.MaxAttempts = 5, time.Hour, 3
			}
		})
		if err := instances[i].Start(ctx); err != nil {
			t.Fatal(err)
		}
	}
	const n = 2000
	for _, ob := range instances[:2] {
		sendAll(ctx, t, ob, n) // the same events
	}
	if _, err := platform.Wait(ctx, n); err != nil {
		t.Fatal(err)
	}
	for _, ob := range instances {
		if remaining, err := ob.Stop(ctx); err != nil || remaining != 0 {
			t.Fatalf("Stop: %d, %v", remaining, err)
		}
	}
	for _, e := range platform.Accepted() {
		if e.Received != 1 {
			t.Errorf("an event was received %d times", e.Received)
		}
	}
}
