package capi

import (
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/text"
)

// Retry says how a failed request is repeated: after a random time between 0
// and BaseDelay, then between 0 and twice that, and so on up to MaxDelay
// (exponential backoff with full jitter).
//
// A wait that the platform itself asks for (Retry-After) replaces the backoff
// and uses no attempt, but ends with the call's deadline: when it is longer,
// the call returns at once.
type Retry struct {
	// Attempts is the largest number of requests for the same events. With 1
	// nothing is repeated or waited for, whatever the platform asks. Defaults
	// to 6.
	Attempts int
	// BaseDelay is the largest first wait. Defaults to 200 milliseconds.
	BaseDelay time.Duration
	// MaxDelay is the largest wait of our own. Defaults to 5 seconds.
	MaxDelay time.Duration
}

// defaultAttempts spreads the attempts over some seconds, so that a short outage
// is survived within the time that [clickid.Convert] has.
const defaultAttempts = 6

// maxRetryAfter bounds the waits that a platform can ask for. After an hour it is
// asked again, since a longer wait is more often a mistake than meant.
const maxRetryAfter = time.Hour

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

// backoff returns a random wait before the attempt after the given number of
// failed ones.
func (r Retry) backoff(failed int) time.Duration {
	limit := r.BaseDelay
	for i := 1; i < failed && limit < r.MaxDelay; i++ {
		limit *= 2
	}
	return rand.N(min(limit, r.MaxDelay) + 1)
}

// wait returns how long to wait before the request is repeated after err, and
// whether it is repeated at all. It counts the attempt in failed, unless the
// platform asked to wait.
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

// retryAfter returns how long the platform asked to wait, or 0.
func retryAfter(err error) time.Duration {
	if re := (*ResponseError)(nil); errors.As(err, &re) {
		return re.retryAfter
	}
	return 0
}

// parseRetryAfter reads a Retry-After header (RFC 9110, section 10.2.3): seconds
// or a date, which is compared with the response's own Date. It returns 0 for
// none, a wrong one and one in the past, so that none of these can make requests
// follow one another without a wait.
func parseRetryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if text.Digits(value) {
		seconds, _ := strconv.ParseFloat(value, 64) // more digits than fit are +Inf
		return roundUpSeconds(seconds)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if sent, err := http.ParseTime(header.Get("Date")); err == nil {
		now = sent
	}
	return min(max(0, at.Sub(now)), maxRetryAfter)
}

// roundUpSeconds returns whole seconds, at least the given ones.
func roundUpSeconds(seconds float64) time.Duration {
	switch {
	case !(seconds > 0): // NaN included
		return 0
	case seconds > maxRetryAfter.Seconds():
		return maxRetryAfter
	}
	return time.Duration(math.Ceil(seconds)) * time.Second
}
