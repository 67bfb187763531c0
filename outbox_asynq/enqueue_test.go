package asynqoutbox

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/clickid/clickid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// roundTrips counts the round trips to Redis.
type roundTrips struct{ commands, pipelines atomic.Int32 }

func (r *roundTrips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *roundTrips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		r.commands.Add(1)
		return next(ctx, cmd)
	}
}

func (r *roundTrips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		r.pipelines.Add(1)
		return next(ctx, cmds)
	}
}

// A server that flushes every write to its disk flushes once for a Send.
func TestOutbox_Send_roundTrips(t *testing.T) {
	t.Parallel()
	ob, _ := newTrapped(t)
	ctx := t.Context()
	_, err := ob.Send(ctx, purchase("first")) // registers the queue
	require.NoError(t, err)
	var trips roundTrips
	ob.cfg.Redis.AddHook(&trips)
	for sends, n := range []int{1, 200} {
		var events []clickid.Event
		for i := range n {
			events = append(events, purchase(fmt.Sprint(n, "-", i)))
		}
		_, err = ob.Send(ctx, events...)
		require.NoError(t, err)
		require.EqualValues(t, sends+1, trips.pipelines.Load(), "pipelines with %d events", n)
		require.Zero(t, trips.commands.Load(), "commands with %d events", n)
	}
	tasks, err := ob.inspector.ListPendingTasks(ob.live.name)
	require.NoError(t, err)
	require.NotEmpty(t, tasks)
	info, err := ob.inspector.GetQueueInfo(ob.live.name)
	require.NoError(t, err)
	require.Equal(t, 202, info.Pending)
}
