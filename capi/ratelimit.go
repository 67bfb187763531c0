package capi

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clickid/clickid/internal/sleep"
)

// RateLimit allows a number of requests within any period of a given length. A
// tenth of them may be sent at once; the others are spread over the period.
//
// The zero value is the published limit of the endpoint: 100 requests per
// minute for [LogEvent] with an AdvertiserID, and no limit for the tracking
// endpoints, which respond with status 429 when they are overloaded.
type RateLimit struct {
	// Requests is the number of requests. A negative number means no limit.
	Requests int
	// Per is the length of the period. Defaults to a minute.
	Per time.Duration
}

const unlimited = -1

// limiter is a token bucket. A nil limiter does not limit.
type limiter struct {
	interval time.Duration // time to get a token back
	burst    int

	mu   sync.Mutex
	full time.Time // when the bucket is full again
}

// newLimiter returns the limiter of a valid RateLimit, or nil for no limit.
func newLimiter(r RateLimit) *limiter {
	if r.Requests < 0 {
		return nil
	}
	// The burst is part of the limit: burst and returned tokens together do not
	// exceed Requests within Per.
	burst := max(1, r.Requests/10)
	return &limiter{burst: burst, interval: r.Per / time.Duration(max(1, r.Requests-burst))}
}

// wait waits for a token and takes it. It returns context.DeadlineExceeded at
// once if ctx's deadline is earlier than the token, and ctx's error if ctx ends
// during the wait.
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

// throttle lets something happen once a minute. The zero value is ready.
type throttle struct{ last atomic.Int64 }

func (t *throttle) allow(now time.Time) bool {
	last := t.last.Load()
	return now.UnixNano()-last >= int64(time.Minute) && t.last.CompareAndSwap(last, now.UnixNano())
}
