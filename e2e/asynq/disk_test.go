package asynq_test

import (
	"context"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	asynqoutbox "github.com/clickid/clickid/outbox_asynq"
)

// TestOutbox_fullDisk fills the disk of Redis while orders are sent and delivered.
// With fsync every second Redis refuses writes, and with fsync always it ends
// itself. An order whose event Redis does not take has failed, and every other one
// is delivered.
func TestOutbox_fullDisk(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fsync string
		ends  bool
	}{{"everysec", false}, {"always", true}} {
		t.Run(tt.fsync, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
			defer cancel()
			server, platform := testserver.StartRedisOnDisk(t, "--appendfsync", tt.fsync), clickidtest.NewServer(t)
			platform.Always(clickidtest.Fault{Latency: 20 * time.Millisecond})
			ob := openOutbox(t, server, platform, func(cfg *asynqoutbox.Config) {
				cfg.EnqueueTimeout, cfg.Workers = 2*time.Second, 50
			})
			if err := ob.Start(ctx); err != nil {
				t.Fatal(err)
			}
			s := openBusyShop(ctx, t, ob)
			await(ctx, t, "orders are delivered", func() bool { return platform.Count() >= 50 })
			server.FillDisk()
			await(ctx, t, "orders fail", func() bool { return s.failures() >= 20 })
			if tt.ends {
				await(ctx, t, "the server has ended", func() bool { return !server.Running() })
			} else if !server.Running() {
				t.Error("the server has ended")
			}
			server.FreeDisk()
			if tt.ends {
				server.Restart()
			}
			before := platform.Count()
			await(ctx, t, "orders are delivered again", func() bool { return platform.Count() >= before+50 })
			s.close()
			awaitOrders(ctx, t, platform, s.queued)
			if letters, err := ob.DeadLetters(ctx, outbox.Page{}); err != nil || len(letters) != 0 {
				t.Errorf("%d dead letters, %v", len(letters), err)
			}
			t.Logf("%d orders queued, %d failed, %d sent twice", len(s.queued), len(s.failed), crash.Resent(platform))
		})
	}
}
