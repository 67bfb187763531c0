package outbox

import (
	"fmt"
	"time"
)

// Action is what a queue does with an event after a delivery.
type Action int

// Actions.
const (
	// ActionRetry tries again after the wait and uses an attempt.
	ActionRetry Action = iota
	// ActionDone is for an event that is delivered, or turned out not to be
	// sent at all. The queue remembers its identity for the deduplication
	// window.
	ActionDone
	// ActionSnooze tries again after the wait without using an attempt: the
	// platform, the network or a store is unavailable, or the process stops.
	ActionSnooze
	// ActionDeadLetter keeps the event as a dead letter with its failure.
	ActionDeadLetter
)

// String returns the action in lower case.
func (a Action) String() string {
	switch a {
	case ActionRetry:
		return "retry"
	case ActionDone:
		return "done"
	case ActionSnooze:
		return "snooze"
	case ActionDeadLetter:
		return "dead"
	}
	return fmt.Sprintf("Action(%d)", int(a))
}

// Outcome is the outcome of one delivery. The zero value tries again.
type Outcome struct {
	Action Action
	// Wait is how long a snooze or retry waits; 0 is at once.
	Wait time.Duration
	// Failure tells why the event is not delivered. It is zero when it is.
	Failure Failure
}

// Failure is what a queue keeps with an event that was not delivered. It holds
// no personal data.
type Failure struct {
	// Reason is a sentence for the operator.
	Reason string
	// Status is the platform's HTTP status, or 0.
	Status int
}

func dead(reason string, status int) Outcome {
	return Outcome{Action: ActionDeadLetter, Failure: Failure{Reason: reason, Status: status}}
}

func snooze(wait time.Duration, reason string, status int) Outcome {
	return Outcome{Action: ActionSnooze, Wait: wait, Failure: Failure{Reason: reason, Status: status}}
}

// skip is the outcome of an event that is not to be sent.
func skip(reason string) Outcome {
	return Outcome{Action: ActionDone, Failure: Failure{Reason: reason}}
}
