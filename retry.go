package clickid

import "time"

// Retry says how a failed request is repeated: after a random time between 0
// and BaseDelay, then 0 and twice that, and so on up to MaxDelay (exponential
// backoff with full jitter).
//
// A wait that the platform itself asks for (Retry-After) replaces the backoff
// and uses no attempt, but ends with the call's deadline: when it is longer,
// the call returns at once.
type Retry struct {
	// Attempts is the largest number of requests for the same events. With 1
	// nothing is repeated or waited for, whatever the platform asks. Defaults
	// to 4.
	Attempts int
	// BaseDelay is the largest first wait. Defaults to 200 milliseconds.
	BaseDelay time.Duration
	// MaxDelay is the largest wait. Defaults to 5 seconds.
	MaxDelay time.Duration
}
