package capi

import (
	"context"

	"github.com/clickid/clickid"
)

// Name returns what tells this destination from others: dialect, host,
// advertiser and the data set or event source, such as
// "logevent ping.scope3.com my-shop". An outbox makes it part of an event's
// identity.
func (c *Client) Name() string {
	if c == nil {
		return ""
	}
	return c.name
}

// Check validates e exactly as Send does and returns what Send would do with
// it, without any input or output: Ready, SkippedOrganic, SkippedConsent,
// Rejected, or Failed for an event whose click is known only by a token that
// this client cannot resolve.
//
// An event with a ClickToken is Ready, although its click may turn out to be
// gone and the event to be organic.
func (c *Client) Check(e clickid.Event) clickid.Result {
	if c == nil {
		return clickid.Result{Type: e.Type, ID: e.ID, Verdict: clickid.VerdictFailed, Err: errNilClient}
	}
	return c.check(&e)
}

// Deliver sends events for an outbox, which has retries of its own: each
// request is made once, and after one that fails for a while the rest is not
// sent. Otherwise it does what Send does.
func (c *Client) Deliver(ctx context.Context, items []clickid.QueuedEvent) (clickid.Report, error) {
	if c == nil {
		return failAll(items, errNilClient)
	}
	return c.send(ctx, Retry{Attempts: 1}, items)
}

// Resolver returns [Config].Resolver, by which an outbox looks the clicks of
// tokens up before it delivers. It is nil when there is none.
func (c *Client) Resolver() clickid.Resolver {
	if c == nil {
		return nil
	}
	return c.cfg.Resolver
}

// MaxItems returns how many events one Deliver takes: those of one request.
func (c *Client) MaxItems() int {
	if c == nil {
		return 1
	}
	return c.cfg.MaxBatchEvents
}
