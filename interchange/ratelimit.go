package interchange

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/clickid/clickid/internal/apihttp"
	"github.com/clickid/clickid/internal/sleep"
)

// limiter follows the platform's rate limit. The zero value has no limit.
type limiter struct {
	mu        sync.Mutex
	known     bool
	limit     int       // requests of a period, or 0
	remaining int       // requests until reset
	reset     time.Time // when there are requests again
}

// wait waits until the platform accepts a request, and takes one. If the wait is
// too long, it returns its length and context.DeadlineExceeded at once.
func (l *limiter) wait(ctx context.Context) (time.Duration, error) {
	for {
		delay := l.take(time.Now())
		if delay <= 0 {
			return 0, ctx.Err()
		}
		if !inTime(ctx, delay) {
			return delay, context.DeadlineExceeded
		}
		// It does not wait for the whole time, since another response may
		// announce an earlier reset.
		if err := sleep.For(ctx, min(delay, time.Second)); err != nil {
			return delay, err
		}
	}
}

// admits reports whether the wait for the next request is short enough.
func (l *limiter) admits(ctx context.Context) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return ctx.Err() == nil && inTime(ctx, l.delay(time.Now()))
}

// longestWait limits a wait. The published limit resets every minute; a longer
// wait is the caller's decision.
const longestWait = 2 * time.Minute

// inTime reports whether a wait ends before ctx's deadline and is not too long.
func inTime(ctx context.Context, delay time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return delay <= longestWait && (!ok || time.Now().Add(delay).Before(deadline))
}

// take takes a request, or returns how long to wait for one.
func (l *limiter) take(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if delay := l.delay(now); delay > 0 {
		return delay
	}
	if l.known && !now.Before(l.reset) {
		// The next response contains the number. Until then, concurrent calls
		// share the limit.
		l.known, l.remaining, l.reset = l.limit > 0, l.limit, now.Add(unknownWait)
	}
	l.remaining--
	return 0
}

// delay returns the time until a request is left. The caller holds the lock.
func (l *limiter) delay(now time.Time) time.Duration {
	if !l.known || l.remaining > 0 {
		return 0
	}
	return max(0, l.reset.Sub(now))
}

// unknownWait is the period of a limit without one. The published limit is per
// minute.
const unknownWait = time.Minute

// learn reads the rate limit of a response.
func (l *limiter) learn(status int, header http.Header, now time.Time) {
	remaining, err := strconv.Atoi(strings.TrimSpace(header.Get("RateLimit-Remaining")))
	wait := resetAfter(header, now)
	known := err == nil && wait > 0
	if status == http.StatusTooManyRequests {
		remaining, known = 0, true
		wait = max(wait, apihttp.RetryAfter(header, now))
		if wait == 0 {
			wait = unknownWait
		}
	}
	if !known {
		return
	}
	limit, _ := strconv.Atoi(strings.TrimSpace(header.Get("RateLimit-Limit")))
	l.mu.Lock()
	defer l.mu.Unlock()
	reset := now.Add(wait)
	// Responses of concurrent requests arrive in any order. Within a period the
	// lowest number counts.
	if l.known && now.Before(l.reset) {
		remaining = min(remaining, l.remaining)
	}
	l.known, l.limit, l.remaining, l.reset = true, max(0, limit), remaining, reset
}

// epoch is the least RateLimit-Reset that is a Unix time. APIs send either
// seconds or a Unix time.
const epoch = 1_000_000_000

// resetAfter returns the time until the limit resets, or 0.
func resetAfter(header http.Header, now time.Time) time.Duration {
	seconds, err := strconv.ParseFloat(strings.TrimSpace(header.Get("RateLimit-Reset")), 64)
	if err != nil {
		return 0
	}
	if seconds >= epoch {
		if sent, err := http.ParseTime(header.Get("Date")); err == nil {
			now = sent
		}
		seconds -= float64(now.Unix())
	}
	return apihttp.Seconds(seconds)
}
