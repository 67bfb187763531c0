//go:build go1.25

package outbox

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// newTestBreaker returns a breaker and the states that it reports.
func newTestBreaker() (*breaker, *[]breakerState) {
	var states []breakerState
	return newBreaker(time.Second, 8*time.Second, func(s breakerState, _ error) { states = append(states, s) }), &states
}

// request sends a request that ends at once.
func request(b *breaker, h health) (sent bool) {
	done, ok := b.allow()
	if ok {
		done(ending{health: h, err: errors.New("cause")})
	}
	return ok
}

func open(t *testing.T, b *breaker) {
	t.Helper()
	for range breakerThreshold {
		require.True(t, request(b, healthFailing))
	}
	require.False(t, request(b, healthFailing))
}

func TestBreaker_threshold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, states := newTestBreaker()
		for range 10 * breakerThreshold { // failures and successes alternate
			require.True(t, request(b, healthFailing))
			require.True(t, request(b, healthGood))
			require.True(t, request(b, healthUnknown))
		}
		require.Empty(t, *states)
		open(t, b)
		require.Equal(t, []breakerState{breakerOpened}, *states)
	})
}

func TestBreaker_opensAtOnce(t *testing.T) {
	for _, h := range []health{healthPausing, healthRefusing} {
		synctest.Test(t, func(t *testing.T) {
			b, _ := newTestBreaker()
			require.True(t, request(b, h))
			require.False(t, request(b, healthGood))
		})
	}
}

func TestBreaker_probeInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newTestBreaker()
		open(t, b)
		for _, longest := range []time.Duration{1, 2, 4, 8, 8, 8} {
			wait, isOpen := b.remaining()
			require.True(t, isOpen)
			require.LessOrEqual(t, wait, longest*time.Second)
			require.GreaterOrEqual(t, wait, longest*time.Second/2)
			time.Sleep(wait - 1)
			require.False(t, request(b, healthFailing))
			time.Sleep(time.Nanosecond)
			require.True(t, request(b, healthFailing))
		}
	})
}

// TestBreaker_oneProbe sends no request during a probe, and ignores the results
// of requests that were sent before the breaker opened.
func TestBreaker_oneProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, states := newTestBreaker()
		old, _ := b.allow()
		older, _ := b.allow()
		open(t, b)
		old(ending{health: healthGood})
		require.False(t, request(b, healthGood))
		time.Sleep(time.Second)
		probe, ok := b.allow()
		require.True(t, ok)
		require.False(t, request(b, healthGood))
		older(ending{health: healthFailing})
		require.False(t, request(b, healthGood))
		probe(ending{health: healthUnknown}) // interrupted, for example by a shutdown
		require.True(t, request(b, healthGood), "the next request is the probe")
		require.True(t, request(b, healthGood))
		require.Equal(t, []breakerState{breakerOpened, breakerClosed}, *states)
	})
}

func TestBreaker_askedWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newTestBreaker()
		late, _ := b.allow()
		open(t, b)
		late(ending{health: healthPausing, wait: time.Hour})
		time.Sleep(time.Hour - 1)
		require.False(t, request(b, healthGood))
		time.Sleep(time.Nanosecond)
		require.True(t, request(b, healthGood))
	})
}

// TestBreaker_await covers deliveries that wait during an outage.
func TestBreaker_await(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newTestBreaker()
		ctx, never := context.Background(), make(chan struct{})
		got := b.await(ctx, never, time.Minute)
		require.NotNil(t, got.leave)
		got.leave()
		open(t, b)

		start := time.Now()
		got = b.await(ctx, never, time.Minute)
		require.NotNil(t, got.leave)
		require.LessOrEqual(t, time.Since(start), time.Second, "until the next probe")

		second := b.await(ctx, never, 5*time.Second)
		require.Nil(t, second.leave, "another request is the probe")
		require.Positive(t, second.wait)

		released := make(chan bool)
		go func() {
			released <- b.await(ctx, never, time.Minute).leave != nil
		}()
		synctest.Wait()
		require.True(t, request(b, healthGood))
		require.True(t, <-released, "all continue after the recovery")
		got.leave()

		require.True(t, request(b, healthPausing))
		for _, end := range []func(cancel func(), stop chan struct{}){
			func(cancel func(), _ chan struct{}) { cancel() },
			func(_ func(), stop chan struct{}) { close(stop) },
		} {
			ctx, cancel := context.WithCancel(ctx)
			stop := make(chan struct{})
			end(cancel, stop)
			require.Zero(t, b.await(ctx, stop, time.Minute), "interrupted")
			cancel()
		}

		long, _ := b.allow()
		require.Nil(t, long)
		time.Sleep(time.Second)
		probe, _ := b.allow()
		probe(ending{health: healthPausing, wait: time.Hour})
		start = time.Now()
		got = b.await(ctx, never, time.Minute)
		require.Nil(t, got.leave)
		require.Equal(t, time.Hour, got.wait)
		require.Equal(t, start, time.Now(), "await does not wait longer than limit")
	})
}

func TestBreaker_alerts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, states := newTestBreaker()
		for start := time.Now(); time.Since(start) < alertInterval; {
			wait, _ := b.remaining()
			time.Sleep(wait)
			require.True(t, request(b, healthRefusing))
		}
		require.Equal(t, []breakerState{breakerRefused, breakerRefused}, *states)
		// A refusal after an outage is a new one.
		*states = nil
		for _, h := range []health{healthFailing, healthRefusing} {
			wait, _ := b.remaining()
			time.Sleep(wait)
			require.True(t, request(b, h))
		}
		require.Equal(t, []breakerState{breakerRefused}, *states)
	})
}
