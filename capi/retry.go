package capi

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/clickid/clickid"
)

// Retry configures the retries of a failed request. The first wait is a random
// time from half of BaseDelay to BaseDelay; both double with every attempt, up to
// MaxDelay (exponential backoff with equal jitter). With the defaults the last
// attempt comes after 3.1 to 6.2 seconds, so that every Send survives an outage
// of three seconds.
//
// If the platform asks for a wait (Retry-After), it replaces the backoff and
// uses no attempt. If it is longer than the time until the call's deadline, the
// call returns at once.
type Retry struct {
	// Attempts is the maximum number of attempts. With 1 there are no retries
	// and no waits. Defaults to 6.
	Attempts int
	// BaseDelay is the longest first wait. Defaults to 200 milliseconds.
	BaseDelay time.Duration
	// MaxDelay is the longest wait of the backoff. Defaults to 5 seconds.
	MaxDelay time.Duration
	// IgnoreHanging makes all attempts even if the platform does not respond,
	// instead of ending with [ErrHanging] after three timeouts. Set it for
	// imports and other jobs that can wait, not for a checkout.
	IgnoreHanging bool
}

// defaultAttempts takes at least 3.1 seconds, so that [clickid.Convert] survives
// a short outage.
const defaultAttempts = 6

func (r Retry) withDefaults() Retry {
	if r.Attempts <= 0 {
		r.Attempts = defaultAttempts
	}
	if r.BaseDelay <= 0 {
		r.BaseDelay = 200 * time.Millisecond
	}
	if r.MaxDelay <= 0 {
		r.MaxDelay = max(5*time.Second, r.BaseDelay)
	}
	return r
}

func (r Retry) problems() []error {
	var problems []error
	if r.Attempts < 0 {
		problems = append(problems, errors.New("capi: Retry.Attempts must not be negative"))
	}
	if r.BaseDelay < 0 || r.MaxDelay < 0 {
		problems = append(problems, errors.New("capi: Retry.BaseDelay and Retry.MaxDelay must not be negative"))
	} else if r.MaxDelay > 0 && r.MaxDelay < r.BaseDelay {
		problems = append(problems, errors.New("capi: Retry.MaxDelay must not be less than Retry.BaseDelay"))
	}
	return problems
}

// backoff returns a random wait after the given number of failed attempts.
func (r Retry) backoff(failed int) time.Duration {
	limit := r.BaseDelay
	for i := 1; i < failed && limit < r.MaxDelay; i++ {
		limit *= 2
	}
	limit = min(limit, r.MaxDelay)
	// At least half: otherwise some calls have used up their attempts after a
	// moment.
	return limit - rand.N(limit/2+1)
}

// wait returns the wait before the next attempt after err. ok is false if the
// request must not be retried. It counts the attempt in failed, unless the platform asked to wait.
func (r Retry) wait(err error, failed *int) (time.Duration, bool) {
	if r.Attempts == 1 || !isTemporary(err) {
		return 0, false
	}
	if asked := retryAfter(err); asked > 0 {
		return asked, true
	}
	*failed++
	if *failed >= r.Attempts {
		return 0, false
	}
	return r.backoff(*failed), true
}

// isTemporary reports whether the same request may succeed later.
func isTemporary(err error) bool {
	if re := (*ResponseError)(nil); errors.As(err, &re) {
		return re.Kind() == clickid.SendErrorTemporary
	}
	return errors.As(err, new(*TransportError))
}

// retryAfter returns the wait that the platform asked for, or 0.
func retryAfter(err error) time.Duration {
	if re := (*ResponseError)(nil); errors.As(err, &re) {
		return re.retryAfter
	}
	return 0
}
