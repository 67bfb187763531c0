package asynqoutbox

import (
	"testing"
	"time"

	"github.com/clickid/clickid/outbox"
	"github.com/stretchr/testify/require"
)

// TestInspector uses asynq's inspector, as asynqmon and asynq's command do, on
// events that wait. docs/operating.md describes the effects.
func TestInspector(t *testing.T) {
	t.Parallel()
	ob, platform := newTrapped(t)
	ctx := t.Context()
	_, records := ob.delivery.Admit(ctx, purchase("deleted"), purchase("archived"))
	for i := range records {
		records[i].QueuedAt = records[i].QueuedAt.Add(-time.Minute)
	}
	_, err := ob.Enqueue(ctx, records)
	require.NoError(t, err)
	deleted, archived := records[0].Identity, records[1].Identity

	require.NoError(t, ob.inspector.PauseQueue(ob.live.name))
	drained, err := ob.Drain(ctx)
	require.ErrorIs(t, err, errPaused)
	require.Equal(t, outbox.Drained{Remaining: 2}, drained)

	require.NoError(t, ob.inspector.DeleteTask(ob.live.name, deleted))
	require.NoError(t, ob.inspector.ArchiveTask(ob.live.name, archived))
	require.NoError(t, ob.Start(ctx))
	require.NoError(t, ob.inspector.UnpauseQueue(ob.live.name))

	// A deleted task comes back, an archived one waits until it is run.
	accepted, err := platform.Wait(ctx, 1)
	require.NoError(t, err)
	require.Equal(t, "deleted", accepted[0].ID)
	await(t, func() bool {
		stats, err := ob.Stats(ctx)
		return err == nil && stats.Queued == 1
	})
	require.NoError(t, ob.inspector.RunTask(ob.live.name, archived))
	_, err = platform.Wait(ctx, 2)
	require.NoError(t, err)
}
