package river_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// beforeStatement is a tracer of pgx that runs do before the first statement that
// contains a text.
type beforeStatement struct {
	text string
	do   func()
	once sync.Once
}

func (b *beforeStatement) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.Contains(data.SQL, b.text) {
		b.once.Do(b.do)
	}
	return ctx
}

func (b *beforeStatement) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestOutbox_Send_removed discards an event while its repetition is between the
// statement that found it known and the one that reads its fingerprint.
func TestOutbox_Send_removed(t *testing.T) {
	t.Parallel()
	pool, platform := sharedPool(t), clickidtest.NewServer(t)
	cfg := pool.Config()
	cfg.ConnConfig.Tracer = &beforeStatement{text: "json_object_agg", do: func() {
		_, err := pool.Exec(t.Context(), "DELETE FROM removed.river_job")
		require.NoError(t, err)
	}}
	traced, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(traced.Close)
	ob := newOutbox(t, traced, riveroutbox.Config{Schema: "removed", Delivery: outbox.Config{Destination: newClient(t, platform)}})
	send(t, ob, "A", 1)
	send(t, ob, "A", 1)
	stats, err := ob.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, stats.Queued, "the event that Send has reported as queued")
}

// TestOutbox_Send_notifies stores a known event and a new one at once. The new one
// wakes the instances that deliver.
func TestOutbox_Send_notifies(t *testing.T) {
	t.Parallel()
	pool, platform := sharedPool(t), clickidtest.NewServer(t)
	open := func() *riveroutbox.Outbox[pgx.Tx] {
		return newOutbox(t, pool, riveroutbox.Config{Schema: "notifies", Delivery: outbox.Config{Destination: newClient(t, platform)}})
	}
	send(t, open(), "known", 1)
	ob := open()
	ctx := within(t, 10*time.Second)
	listener, err := pool.Acquire(ctx)
	require.NoError(t, err)
	defer listener.Release()
	_, err = listener.Exec(ctx, `LISTEN "notifies.river_insert"`)
	require.NoError(t, err)
	defer func() { _, _ = listener.Exec(context.WithoutCancel(ctx), "UNLISTEN *") }()
	send(t, ob, "known", 1)
	send(t, ob, "new", 1)
	notification, err := listener.Conn().WaitForNotification(ctx)
	require.NoError(t, err)
	require.Contains(t, notification.Payload, `{"queue": "clickid_`)
}

// TestOutbox_Send_soonAfter stores events so soon after others that they have no
// notification. They do not wait for the next poll.
func TestOutbox_Send_soonAfter(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	ob := newOutbox(t, sharedPool(t), riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}, PollInterval: time.Minute})
	start(t, ob)
	for n := range 20 {
		send(t, ob, fmt.Sprint("notifies-", n), 1)
		send(t, ob, fmt.Sprint("does-not-", n), 1)
		if _, err := platform.Wait(within(t, 30*time.Second), 2*n+2); err != nil {
			t.Fatal(err)
		}
	}
}
