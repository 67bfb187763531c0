package capi

import (
	"context"
	"sync"
	"time"

	"github.com/clickid/clickid/internal/sleep"
)

// RateLimit bounds requests: never more than Requests within any time of
// length Per. A tenth of them may follow one another at once; the others are
// spread over the time.
//
// The zero value is the published limit where there is one, which is 100
// requests a minute for [LogEvent] with an AdvertiserID, and no limit for the
// tracking endpoints, which respond with 429.
type RateLimit struct {
	// Requests is the number of requests; negative means no limit.
	Requests int
	// Per is the time. Defaults to a minute.
	Per time.Duration
}

const unlimited = -1

// limiter is a token bucket. A nil limiter does not limit.
type limiter struct {
	interval time.Duration // in which one token comes back
	burst    int

	mu   sync.Mutex
	full time.Time // when the bucket will be full again
}

// newLimiter returns the limiter of a valid RateLimit, or nil for no limit.
func newLimiter(r RateLimit) *limiter {
	if r.Requests < 0 {
		return nil
	}
	// What may go at once is taken off what comes back in the time, so that
	// both together never exceed the limit.
	burst := max(1, r.Requests/10)
	return &limiter{burst: burst, interval: r.Per / time.Duration(max(1, r.Requests-burst))}
}

// wait takes a token, waiting for it if need be. When ctx ends before the
// token would come it takes none and returns context.DeadlineExceeded at once,
// or ctx's error when ctx ends meanwhile.
func (l *limiter) wait(ctx context.Context) error {
	if l == nil {
		return ctx.Err()
	}
	delay, err := l.take(ctx)
	if err != nil {
		return err
	}
	return sleep.For(ctx, delay)
}

func (l *limiter) take(ctx context.Context) (time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	full := l.full
	if full.Before(now) {
		full = now
	}
	full = full.Add(l.interval)
	delay := full.Sub(now) - time.Duration(l.burst)*l.interval
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(now.Add(delay)) {
		return 0, context.DeadlineExceeded
	}
	l.full = full
	return delay, nil
}
