package outbox

import (
	"context"

	"github.com/clickid/clickid"
)

// Item is an event with the number of the platform's responses to it.
type Item = clickid.QueuedEvent

// Destination receives the events of an outbox. A capi.Client is a destination,
// and a client for another platform can be one. The folder examples/networks has
// a complete one, and outboxtest.RunDestination tests it.
//
// The outbox batches the events, retries, probes an unavailable platform and
// keeps dead letters. A destination only checks events, encodes them, sends them
// once and returns the platform's verdicts.
//
// Two methods are optional. Resolver() clickid.Resolver returns the resolver, a
// [clickid.Tracker], with which the outbox finds the clicks of tokens before
// Deliver. Without it, Check must refuse events that only have a token.
// MaxItems() int returns the maximum number of items of a Deliver. The default
// is 10,000.
//
// Implementations must be safe for concurrent use, and do not keep or change the
// events. A panic counts as a failed delivery.
type Destination interface {
	// Name identifies the destination, such as platform and account. It is part
	// of an event's identity and must not change with a restart.
	Name() string
	// Check returns the result that Deliver would have for e, without sending:
	// VerdictReady, VerdictSkippedOrganic, VerdictSkippedConsent,
	// VerdictRejected or VerdictFailed. An event with a ClickToken and no Click
	// is checked as if it had the click. [clickid.Event.Clean] finds what no
	// destination accepts.
	Check(e clickid.Event) clickid.Result
	// Deliver sends the items once, without retries, and returns a report with
	// a result for each item in their order, even if it fails. The items have
	// different identities. The error is non-nil exactly when an item was
	// rejected or failed.
	//
	// The outbox treats an item by its result:
	//
	//   - Accepted and skipped items are done.
	//   - A rejected item is refused itself and becomes a dead letter with the
	//     Reason of the result.
	//   - A failed item is sent again. Its Err may implement [clickid.SendError]:
	//     an error of the configuration raises an alert, one of the event makes a
	//     dead letter, and a refusal of unclear cause waits until another event
	//     is accepted. Other errors are temporary.
	//
	// Errors and reasons must not contain personal data, since they are logged.
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

// maxItemsOf returns the maximum number of items of a Deliver.
func maxItemsOf(d Destination) int {
	if m, ok := d.(interface{ MaxItems() int }); ok && m.MaxItems() > 0 {
		return m.MaxItems()
	}
	return defaultMaxItems
}
