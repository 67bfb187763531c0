package outbox

import (
	"fmt"
	"strings"
	"time"
)

// Action is the action of a queue after a delivery.
type Action int

// The actions of a queue.
const (
	// ActionRetry delivers the event again after the wait and uses an attempt.
	ActionRetry Action = iota
	// ActionDone means that the event is delivered. The queue keeps its
	// identity for the deduplication window.
	ActionDone
	// ActionSkip means that the event is organic or without consent. The queue
	// forgets its identity, so that the event can be sent with a later consent
	// or click.
	ActionSkip
	// ActionSnooze delivers the event again after the wait without using an
	// attempt: the platform, the network or a store is unavailable, a refusal
	// is provisional, or the process stops.
	ActionSnooze
	// ActionDeadLetter stores the event as a dead letter with its failure.
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

// Outcome is the outcome of a delivery. The zero value retries.
type Outcome struct {
	// Action is what the queue does with the event.
	Action Action
	// Wait is the wait of a snooze or retry; 0 means at once.
	Wait time.Duration
	// Failure is the reason why the event is not delivered. It is zero for a
	// delivered event.
	Failure Failure
	// Progress replaces that of the record, unless the event is done or
	// skipped. It is nil if it has not changed.
	Progress *Progress
	// Skip is the part of a skipped event that the queue keeps for the
	// deduplication window. It is nil for other actions, and if nothing is
	// kept.
	Skip *Skip
	// Warnings are those of a delivered event, at most three, each of at most
	// 200 bytes. The queue keeps them for the deduplication window.
	Warnings []string
}

// Failure describes an event that was not delivered. It contains no personal
// data.
type Failure struct {
	// Reason is a description for the operator.
	Reason string
	// Status is the platform's HTTP status, or 0.
	Status int
}

// Skip is the part of a skipped event that is kept. It contains no data of the
// user.
type Skip struct {
	// ID and Type are those of the event. The ID has the form of [VisibleID], or
	// is empty with [Config].HideEventIDs.
	ID   string `json:"id"`
	Type string `json:"type"`
	// Reason is why the event was skipped, and At when, in UTC.
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

func dead(reason string, status int) Outcome {
	return Outcome{Action: ActionDeadLetter, Failure: Failure{Reason: reason, Status: status}}
}

func snooze(wait time.Duration, reason string, status int) Outcome {
	return Outcome{Action: ActionSnooze, Wait: wait, Failure: Failure{Reason: reason, Status: status}}
}

// Limits of the warnings that a queue keeps of a delivered event.
const (
	keptWarnings  = 3
	keptWarnBytes = 200
)

// done returns the outcome of a delivered event.
func done(warnings []string) Outcome {
	var kept []string
	for _, w := range warnings[:min(len(warnings), keptWarnings)] {
		kept = append(kept, strings.ToValidUTF8(w[:min(len(w), keptWarnBytes)], ""))
	}
	return Outcome{Action: ActionDone, Warnings: kept}
}

// skip returns the outcome of an event that is skipped.
func skip(reason string) Outcome {
	return Outcome{Action: ActionSkip, Failure: Failure{Reason: reason}}
}
