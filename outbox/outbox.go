// Package outbox is the queue-neutral part of durable delivery: what is
// queued, what one delivery means for an event, and an outbox table for any
// SQL database with the relay that feeds a queue from it.
//
// The queues are packages of their own: riveroutbox (River on PostgreSQL),
// sqliteoutbox (River on SQLite) and asynqoutbox (asynq on Redis). They own
// retries, schedules, leases and dead letters; this package tells them what to
// do with each event.
package outbox

import (
	"context"
	"time"

	"github.com/clickid/clickid"
)

// Outbox is what every durable sender offers, whatever its queue. Where the
// queue shares a database with the order, it has an In method for the
// transaction as well, whose type depends on the queue.
//
// Send returns once the events are stored durably ([clickid.VerdictQueued]). It
// checks them first. What would not be sent is skipped. What validation refuses
// is stored as a dead letter ([clickid.VerdictDeadLettered]), without an error and
// beside the corrected event. An event whose identity is known (destination, type
// and ID) is not stored again: its result is queued, with the reason "already
// known", and with a warning when value, currency or click differ. A delivered
// event is known for the deduplication window, [DefaultDeduplicationWindow] unless
// the queue is configured otherwise; a skipped or discarded one is not known.
//
// Implementations are safe for concurrent use. The suite in the outboxtest
// package checks every sentence written here.
type Outbox interface {
	clickid.Sender
	// Start begins to deliver in the background, and returns an error when the
	// queue cannot. Cancelling ctx stops the delivery as Stop without a
	// deadline would. Starting twice is an error.
	Start(ctx context.Context) error
	// Stop ends the delivery. It waits for what is under way until ctx ends,
	// and then interrupts it; nothing is lost either way. It returns how many
	// events remain queued, and an error when ctx ended first or the number
	// cannot be read. Stopping what was not started is no error.
	Stop(ctx context.Context) (remaining int, err error)
	// DeadLetters lists the dead letters, the latest first.
	DeadLetters(ctx context.Context, page Page) ([]DeadLetter, error)
	// Replay queues dead letters again, with fresh attempts and a fresh
	// maximum event age, and returns how many it found. Without IDs it takes
	// all of them.
	Replay(ctx context.Context, ids ...string) (int, error)
	// Discard removes dead letters for good and returns how many it found.
	// Without IDs it removes nothing.
	Discard(ctx context.Context, ids ...string) (int, error)
	// Erase removes the events of a user or order from queue and dead
	// letters, and returns how many they were. An event that is being sent at
	// this moment may still go out.
	Erase(ctx context.Context, k clickid.Key) (int, error)
	// Stats measures the queue.
	Stats(ctx context.Context) (Stats, error)
}

// Page bounds a listing.
type Page struct {
	// Limit is the largest number of entries. Defaults to 100.
	Limit int
	// Offset skips so many entries.
	Offset int
}

// WithDefaults returns p with its default limit, and without negative numbers.
func (p Page) WithDefaults() Page {
	if p.Limit <= 0 {
		p.Limit = defaultPageLimit
	}
	p.Offset = max(0, p.Offset)
	return p
}

const defaultPageLimit = 100

// DeadLetter is an event that will not be sent until an operator replays it.
type DeadLetter struct {
	// ID names it for Replay and Discard.
	ID string
	// Type and EventID are the event's own.
	Type    clickid.EventType
	EventID string
	// Reason says why in words for an operator, without personal data.
	Reason string
	// Status is the platform's last HTTP status, or 0 when there was none.
	Status int
	// Attempts counts the deliveries that failed through no outage.
	Attempts int
	// History has the latest requests without success, at most ten, the oldest
	// first.
	History []Attempt
	// QueuedAt and FailedAt are in UTC.
	QueuedAt, FailedAt time.Time
	// Event is what was queued. It holds personal data.
	Event clickid.Event
}

// NewDeadLetter returns what a queue's DeadLetters returns of a dead record. A
// record that cannot be read leaves the event's fields empty.
func NewDeadLetter(id string, r Record, f Failure, attempts int, failedAt time.Time) DeadLetter {
	event, _ := r.Event()
	return DeadLetter{
		ID: id, Type: event.Type, EventID: event.ID, Reason: f.Reason, Status: f.Status, Attempts: attempts,
		QueuedAt: r.QueuedAt.UTC(), FailedAt: failedAt.UTC(), Event: event, History: r.Progress.Attempts,
	}
}

// Stats measures a queue.
type Stats struct {
	// Queued counts the events that wait or are being sent.
	Queued int
	// Oldest is how long the oldest of them has been waiting, or 0.
	Oldest time.Duration
	// Delivered counts the events that the platform has accepted within the
	// deduplication window.
	Delivered int
	// Skipped counts the events that turned out to be organic or without consent
	// within the deduplication window, unless [Config].ForgetSkips is set.
	Skipped int
	// DeadLetters counts the dead letters.
	DeadLetters int
	// Platform is what the platform has remarked since this process started.
	Platform PlatformStats
}

// Defaults that all queues share.
const (
	// DefaultDeduplicationWindow is how long an outbox remembers an event it has delivered,
	// so that the same one is not sent again.
	DefaultDeduplicationWindow = 14 * 24 * time.Hour
	// DefaultMaxAge is how old an event may grow in the queue before it
	// becomes a dead letter: longer ago, no platform attributes it.
	DefaultMaxAge = 7 * 24 * time.Hour
)
