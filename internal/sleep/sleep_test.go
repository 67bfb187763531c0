package sleep_test

import (
	"context"
	"testing"
	"time"

	"github.com/clickid/clickid/internal/sleep"
	"github.com/stretchr/testify/require"
)

func TestFor(t *testing.T) {
	t.Parallel()
	start := time.Now()
	require.NoError(t, sleep.For(context.Background(), 20*time.Millisecond))
	require.GreaterOrEqual(t, time.Since(start), 20*time.Millisecond)
}

func TestFor_ended(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	// Many times, since a select of two ready cases picks one at random.
	for range 100 {
		require.ErrorIs(t, sleep.For(ctx, time.Nanosecond), context.Canceled)
	}
}

func TestFor_endsMeanwhile(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, sleep.For(ctx, time.Hour), context.DeadlineExceeded)
}

func TestFor_noTime(t *testing.T) {
	t.Parallel()
	require.NoError(t, sleep.For(context.Background(), -time.Hour))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, sleep.For(ctx, 0), context.Canceled)
}
