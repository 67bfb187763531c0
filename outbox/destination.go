package outbox

import (
	"context"

	"github.com/clickid/clickid"
)

// Item is an event that is delivered, and how often the platform has responded
// to it.
type Item = clickid.QueuedEvent

// Destination is where an outbox delivers its events. A capi.Client is one; a
// client for another platform can be one.
//
// Two methods are optional. Resolver() clickid.Resolver returns what looks up
// the clicks of tokens before Deliver; without one, events that carry only a
// token are refused by Check. MaxItems() int bounds the items of one Deliver;
// without it they are at most 10,000.
//
// Implementations are safe for concurrent use. A panic of theirs becomes a
// failed delivery.
type Destination interface {
	// Name tells this destination from others. It is part of an event's
	// identity and must be the same after a restart.
	Name() string
	// Check reports what Deliver would do with e, without input or output:
	// VerdictReady, VerdictSkippedOrganic, VerdictSkippedConsent,
	// VerdictRejected or VerdictFailed. An event with a ClickToken and no Click
	// is checked as if it had the click.
	Check(e clickid.Event) clickid.Result
	// Deliver sends the items once, without retries of its own, and returns a
	// report with one result for each, in their order, also when it fails. The
	// items are of different identities. The error is non-nil exactly when an
	// item was rejected or failed. Errors that implement [clickid.SendError]
	// tell what is to be done; any other is temporary. Rejected means that this
	// very event is refused, and makes it a dead letter.
	Deliver(ctx context.Context, items []Item) (clickid.Report, error)
}

// resolverOf returns the resolver of a destination, or nil.
func resolverOf(d Destination) clickid.Resolver {
	if r, ok := d.(interface{ Resolver() clickid.Resolver }); ok {
		return r.Resolver()
	}
	return nil
}

const defaultMaxItems = 10_000

// maxItemsOf returns how many items one Deliver takes.
func maxItemsOf(d Destination) int {
	if m, ok := d.(interface{ MaxItems() int }); ok && m.MaxItems() > 0 {
		return m.MaxItems()
	}
	return defaultMaxItems
}
