// Package outbox stores conversions durably and sends them in the background. It
// contains the parts that do not depend on the queue: the queued record, the
// delivery of an event with its outcome, and an outbox table for SQL databases
// with a relay that feeds a queue.
//
// An application begins with the package of its queue: riveroutbox (River) if the
// orders are in PostgreSQL, and sqliteoutbox (River on SQLite) if they are in
// SQLite or one process delivers. Its documentation shows how to open and start
// the outbox. The queue manages retries, schedules, leases and dead letters. This
// package decides the outcome of each delivery.
//
// A shop with another SQL database, such as MySQL, writes its conversions to an
// outbox table in the order's transaction, and a relay moves them to a queue, here
// to asynqoutbox (asynq on Redis):
//
//	table, err := outbox.NewTable(outbox.TableConfig{Database: outbox.DatabaseMySQL, Destination: client})
//	queue, err := asynqoutbox.New(asynqoutbox.Config{Delivery: outbox.Config{Destination: client}, Redis: redisClient})
//	ob, err := outbox.NewTableOutbox(queue, outbox.RelayConfig{DB: db, Table: table})
//	err = ob.Migrate(ctx)
//	err = ob.Start(ctx)
//	…
//	result, err := clickid.Convert(ctx, ob.In(tx), event) // and commit tx
//	ob.Notify()
//
// An error of Convert means that nothing was stored: roll the order back. The
// verdict [clickid.VerdictDeadLettered] comes without an error: validation refuses
// the event, and the outbox keeps it as a dead letter.
//
// Deployments without a process in the background, such as functions, call [Drain]
// instead of Start.
//
// [Outbox] is what all outboxes have in common, and [Config] how events are
// delivered. [Memory] is for examples and tests. [Delivery], [Record] and [Queue]
// are for authors of a queue, which package outboxtest checks.
package outbox

import (
	"context"
	"time"

	"github.com/clickid/clickid"
)

// Outbox is a durable sender. If its queue shares a database with the orders,
// it also has a method In for a transaction, whose type depends on the queue.
//
// Send returns when the events are stored durably ([clickid.VerdictQueued]). It
// checks them first. Events that would not be sent are skipped. Events that
// validation refuses are stored as dead letters
// ([clickid.VerdictDeadLettered]), without an error; the corrected event can be
// stored beside it. An event of a known identity (destination, type and ID) is
// not stored again: its result is queued with the reason "already known", and
// it has a warning if value, currency or click differ. The identity of a
// delivered event is known for the deduplication window,
// [DefaultDeduplicationWindow] unless configured otherwise. The identity of a
// skipped or discarded event is not known.
//
// Implementations are safe for concurrent use. Package outboxtest checks every
// sentence of this interface.
type Outbox interface {
	clickid.Sender
	// Start starts the delivery in the background. It returns an error if the
	// queue is unavailable. Cancelling ctx stops the delivery like Stop without
	// a deadline. A second Start is an error.
	Start(ctx context.Context) error
	// Stop ends the delivery. It waits for deliveries in progress until ctx
	// ends, and then interrupts them. No event is lost. It returns the number
	// of queued events, and an error if ctx ended first or the number cannot be
	// read. A skipped event counts as queued until a worker has recorded its
	// skip. Stop without Start is not an error.
	Stop(ctx context.Context) (remaining int, err error)
	// DeadLetters lists the dead letters, the latest first.
	DeadLetters(ctx context.Context, page Page) ([]DeadLetter, error)
	// Replay queues dead letters again, with new attempts and a new age, and
	// returns the number that it found. Without IDs it replays all of them.
	Replay(ctx context.Context, ids ...string) (int, error)
	// Discard deletes dead letters and returns the number that it found.
	// Without IDs it deletes none.
	Discard(ctx context.Context, ids ...string) (int, error)
	// Find returns the state of the events with an ID: those that are queued or
	// dead letters, and those that were delivered or skipped within the
	// deduplication window. Several events have the same ID if their types
	// differ, if one was refused by validation, or if one was skipped earlier.
	// Delivered events are found if their type is documented or one of types.
	Find(ctx context.Context, eventID string, types ...clickid.EventType) ([]Entry, error)
	// Erase erases the events of a user or order from queue and dead letters,
	// and returns their number. An event that is being sent may still arrive,
	// but is not sent again.
	Erase(ctx context.Context, k clickid.Key) (int, error)
	// Stats counts the events.
	Stats(ctx context.Context) (Stats, error)
}

// Page selects a part of a list.
type Page struct {
	// Limit is the maximum number of entries. Defaults to 100.
	Limit int
	// Offset is the number of entries to skip.
	Offset int
}

// WithDefaults returns p with its default limit and without negative numbers.
func (p Page) WithDefaults() Page {
	if p.Limit <= 0 {
		p.Limit = defaultPageLimit
	}
	p.Offset = max(0, p.Offset)
	return p
}

const defaultPageLimit = 100

// DeadLetter is an event that is not sent until an operator replays it.
type DeadLetter struct {
	// ID identifies the dead letter for Replay and Discard.
	ID string
	// Type and EventID are those of the event.
	Type    clickid.EventType
	EventID string
	// Reason describes the cause for the operator, without personal data.
	Reason string
	// Status is the platform's last HTTP status, or 0 without a response.
	Status int
	// Attempts is the number of failed deliveries that were not caused by an
	// outage.
	Attempts int
	// History contains the latest failed requests, at most ten, the oldest
	// first.
	History []Attempt
	// QueuedAt and FailedAt are in UTC.
	QueuedAt, FailedAt time.Time
	// Event is the queued event. It contains personal data.
	Event clickid.Event
}

// NewDeadLetter returns the dead letter of a record. If the record cannot be
// read, the fields of the event are empty.
func NewDeadLetter(id string, r Record, f Failure, attempts int, failedAt time.Time) DeadLetter {
	event, _ := r.Event()
	return DeadLetter{
		ID: id, Type: event.Type, EventID: event.ID, Reason: f.Reason, Status: f.Status, Attempts: attempts,
		QueuedAt: r.QueuedAt.UTC(), FailedAt: failedAt.UTC(), Event: event, History: r.Progress.Attempts,
	}
}

// Stats are the numbers of an outbox.
type Stats struct {
	// Queued is the number of events that wait or are being sent.
	Queued int
	// Oldest is the age of the oldest of them, or 0.
	Oldest time.Duration
	// Delivered is the number of events that the platform has accepted within
	// the deduplication window.
	Delivered int
	// Skipped is the number of organic events and events without consent within
	// the deduplication window, unless [Config].ForgetSkips is set.
	Skipped int
	// DeadLetters is the number of dead letters.
	DeadLetters int
	// Estimated means that the numbers above 2,000 are estimates from a sample.
	// Smaller ones are exact. Oldest is an estimate if more than 1,000 events wait.
	Estimated bool
	// Platform contains the platform's warnings since this process started.
	Platform PlatformStats
}

// The defaults that all queues share.
const (
	// DefaultDeduplicationWindow is how long an outbox keeps the identity of a
	// delivered event.
	DefaultDeduplicationWindow = 14 * 24 * time.Hour
	// DefaultMaxAge is the age at which a queued event becomes a dead letter.
	DefaultMaxAge = 7 * 24 * time.Hour
)
