package asynq_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	asynqoutbox "github.com/clickid/clickid/outbox_asynq"
)

// TestOutbox_cutWrite cuts the connection to Redis before and after a Send and the
// outcome of a delivery are written. The shop sends the event again, or its client of
// Redis does, and each event is sent and counted once.
func TestOutbox_cutWrite(t *testing.T) {
	t.Parallel()
	for client, option := range map[string]string{"with retries": "", "without retries": "?max_retries=-1"} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			server, platform := testserver.StartRedis(t), clickidtest.NewServer(t)
			link := testserver.NewLink(t, server.DSN())
			connection, err := connect(link.DSN() + option)
			require.NoError(t, err)
			t.Cleanup(func() { _ = connection.Close() })
			ob := openOutboxOn(t, connection, platform, func(*asynqoutbox.Config) {})
			moments := map[string]func(string) func(){"before": link.CutBefore, "after": link.CutAfter}
			events := 0
			for moment, cut := range moments {
				awaitCut := cut("eval")
				_, err := clickid.Convert(ctx, ob, crash.Conversion(moment))
				awaitCut()
				require.Equal(t, option != "", err != nil, "%s: %v", moment, err)
				if err != nil {
					_, err = clickid.Convert(ctx, ob, crash.Conversion(moment))
					require.NoError(t, err, moment)
				}
				events++
			}
			stats, err := ob.Stats(ctx)
			require.NoError(t, err)
			require.Equal(t, events, stats.Queued)

			began := time.Now()
			require.NoError(t, ob.Start(ctx))
			for moment, cut := range moments {
				awaitCut := cut(":delivered") // the key that counts the deliveries by hour
				for n := range 10 {
					_, err := clickid.Convert(ctx, ob, crash.Conversion(fmt.Sprintf("delivery-%s-%d", moment, n)))
					require.NoError(t, err)
					events++
				}
				awaitCut()
				await(ctx, t, "everything is delivered", func() bool {
					stats, err := ob.Stats(ctx)
					return err == nil && stats.Queued == 0
				})
			}
			require.Equal(t, events, platform.Count())
			hours, err := ob.DeliveredByHour(ctx, began.Add(-time.Hour), time.Now().Add(time.Hour))
			require.NoError(t, err)
			counted := 0
			for _, hour := range hours {
				counted += hour.Delivered
			}
			require.Equal(t, events, counted)
			letters, err := ob.DeadLetters(ctx, outbox.Page{})
			require.NoError(t, err)
			require.Empty(t, letters)
			require.LessOrEqual(t, crash.Resent(platform), 1, "the event whose outcome was cut off")
		})
	}
}
