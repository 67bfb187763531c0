package outbox

import (
	"fmt"
	"time"

	"github.com/clickid/clickid"
)

// State is the state of an event in an outbox.
type State int

const (
	_ State = iota
	// StateQueued means that the event waits or is being sent.
	StateQueued
	// StateDelivered means that the platform has accepted the event.
	StateDelivered
	// StateSkipped means that the event is organic or without consent.
	StateSkipped
	// StateDeadLettered means that the event is not sent until an operator
	// replays it.
	StateDeadLettered
)

// String returns the state in lower case.
func (s State) String() string {
	switch s {
	case StateQueued:
		return "queued"
	case StateDelivered:
		return "delivered"
	case StateSkipped:
		return "skipped"
	case StateDeadLettered:
		return "dead letter"
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// MarshalText returns the text of String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Entry is what an outbox remembers of an event. It contains no personal data
// besides the event's ID.
type Entry struct {
	// Type and EventID are those of the event.
	Type    clickid.EventType `json:"type"`
	EventID string            `json:"event_id"`
	// State is the state of the event.
	State State `json:"state"`
	// Reason is the reason of a skip or of a dead letter, and why an event
	// waits until another one is accepted.
	Reason string `json:"reason,omitempty"`
	// Attribution is what a queued event or a dead letter is attributed by:
	// "click", "click token" or "user identity".
	Attribution string `json:"attribution,omitempty"`
	// Warnings are those of a delivered event: members that were left out, and
	// what the platform warned about if its request had no other event.
	Warnings []string `json:"warnings,omitempty"`
	// DeadLetterID identifies the dead letter for Replay and Discard.
	DeadLetterID string `json:"dead_letter_id,omitempty"`
	// Attempts are the latest failed requests, at most ten, the oldest first.
	// They are not kept for delivered and skipped events.
	Attempts []Attempt `json:"attempts,omitempty"`
	// QueuedAt is the time of queueing, in UTC. It is zero if it is not kept.
	QueuedAt time.Time `json:"queued_at,omitzero"`
	// EndedAt is the time of the delivery, the skip or the dead letter, in UTC.
	EndedAt time.Time `json:"ended_at,omitzero"`
}

// Entry returns the entry of a dead letter.
func (l DeadLetter) Entry() Entry {
	return Entry{
		Type: l.Type, EventID: l.EventID, State: StateDeadLettered, Reason: l.Reason,
		Attribution: attribution(l.Event), DeadLetterID: l.ID, Attempts: l.History, QueuedAt: l.QueuedAt, EndedAt: l.FailedAt,
	}
}

// attribution returns what an event is attributed by.
func attribution(e clickid.Event) string {
	switch {
	case e.Click.ID != "":
		return "click"
	case e.ClickToken != "":
		return "click token"
	case e.User.Identified():
		return "user identity"
	}
	return ""
}

// Search is what the Find of a queue looks for.
type Search struct {
	// EventID is the ID of the event, as records have it: bytes that are not UTF-8
	// are replaced.
	EventID string
	// Identities are the possible identities of the event with their types.
	Identities map[string]clickid.EventType
	// Key is one of [Record].Keys of the event, also of one that validation
	// refuses. Events with another ID may have it as well.
	Key string
}

// Search returns the search for the events with an ID. Beyond the documented
// types, it has the given ones.
func (d *Delivery) Search(eventID string, types ...clickid.EventType) Search {
	stored := storedID(eventID)
	s := Search{EventID: stored, Identities: make(map[string]clickid.EventType), Key: keyHash(clickid.OrderKey(stored))}
	for _, t := range append(clickid.EventTypes(), types...) {
		for _, id := range []string{eventID, stored} {
			e := clickid.Event{Type: t, ID: id}
			s.Identities[identity(d.cfg.Destination.Name(), e)] = t
			s.Identities[skippedIdentity(d.cfg.Destination.Name(), e)] = t
		}
	}
	return s
}

// Queued returns the entry of a record that is queued. It reports false for the
// record of another event.
func (s Search) Queued(r Record) (Entry, bool) {
	entry := Entry{State: StateQueued, Attempts: r.Progress.Attempts, QueuedAt: r.QueuedAt.UTC()}
	if r.Progress.Hold != nil {
		entry.Reason = reasonHeld
	}
	if e, err := r.Event(); err == nil {
		entry.Type, entry.EventID, entry.Attribution = e.Type, e.ID, attribution(e)
	} else if t, ok := s.Identities[r.Identity]; ok {
		entry.Type, entry.EventID = t, s.EventID
	}
	return entry, entry.EventID == s.EventID
}

// Delivered returns the entry of an identity that was delivered. It reports
// false for that of another event.
func (s Search) Delivered(identity string, at time.Time, warnings []string) (Entry, bool) {
	t, ok := s.Identities[identity]
	return Entry{Type: t, EventID: s.EventID, State: StateDelivered, Warnings: warnings, EndedAt: at.UTC()}, ok
}

// Skipped returns the entry of a skipped event. It reports false for another
// event.
func (s Search) Skipped(skip Skip) (Entry, bool) {
	return Entry{
		Type: clickid.EventType(skip.Type), EventID: s.EventID, State: StateSkipped, Reason: skip.Reason, EndedAt: skip.At.UTC(),
	}, skip.ID == VisibleID(s.EventID)
}

// Dead returns the entry of a dead letter. It reports false for that of another
// event.
func (s Search) Dead(l DeadLetter) (Entry, bool) { return l.Entry(), l.EventID == s.EventID }
