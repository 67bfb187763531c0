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
	// ActionDone is for an event that is delivered. The queue remembers its
	// identity for the deduplication window.
	ActionDone
	// ActionSkip is for an event that is not to be sent: it is organic or the
	// user's consent does not allow it. The queue forgets its identity, so that
	// the same event can be sent with a consent or click that comes later.
	ActionSkip
	// ActionSnooze tries again after the wait without using an attempt: the
	// platform, the network or a store is unavailable, a refusal is
	// provisional, or the process stops.
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
	case ActionSkip:
		return "skip"
	case ActionSnooze:
		return "snooze"
	case ActionDeadLetter:
		return "dead letter"
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
	// Progress replaces the record's, unless the event is done or skipped. It is
	// nil when it has not changed.
	Progress *Progress
	// Skip is what the queue keeps of a skipped event for the deduplication
	// window. It is nil for every other action, and where nothing is to be kept.
	Skip *Skip
}

// Failure is what a queue keeps with an event that was not delivered. It holds
// no personal data.
type Failure struct {
	// Reason is a sentence for the operator.
	Reason string
	// Status is the platform's HTTP status, or 0.
	Status int
}

// Skip is what remains of a skipped event. It holds no data of the user.
type Skip struct {
	ID     string    `json:"id"`
	Type   string    `json:"type"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

func dead(reason string, status int) Outcome {
	return Outcome{Action: ActionDeadLetter, Failure: Failure{Reason: reason, Status: status}}
}

func snooze(wait time.Duration, reason string, status int) Outcome {
	return Outcome{Action: ActionSnooze, Wait: wait, Failure: Failure{Reason: reason, Status: status}}
}

// skip is the outcome of an event that is not to be sent.
func skip(reason string) Outcome {
	return Outcome{Action: ActionSkip, Failure: Failure{Reason: reason}}
}
