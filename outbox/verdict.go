package outbox

import (
	"fmt"
	"time"
)

// Verdict says what an engine does with an event after a delivery.
type Verdict int

const (
	// Done: the event is delivered, or turned out not to be sent at all. The
	// engine remembers its identity for its window.
	Done Verdict = iota
	// Snooze: try again after the wait. It uses no attempt: the platform, the
	// network or a store is away, or the process is stopping.
	Snooze
	// Retry: try again after the wait. It uses an attempt.
	Retry
	// Dead: keep the event as a dead letter with its failure.
	Dead
)

// String returns the verdict in lower case.
func (v Verdict) String() string {
	switch v {
	case Done:
		return "done"
	case Snooze:
		return "snooze"
	case Retry:
		return "retry"
	case Dead:
		return "dead"
	}
	return fmt.Sprintf("Verdict(%d)", int(v))
}

// Outcome is what came of one delivery.
type Outcome struct {
	Verdict Verdict
	// Wait is how long a snooze or retry waits; 0 is at once.
	Wait time.Duration
	// Failure says why the event is not delivered. It is zero when it is.
	Failure Failure
}

// Failure is what an engine keeps with an event that was not delivered. It
// holds no personal data.
type Failure struct {
	// Reason is in words for a person.
	Reason string
	// Status is the platform's HTTP status, or 0.
	Status int
}
