package capi

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/clickid/clickid"
)

// Name identifies the destination by dialect, host, advertiser, and data set or
// event source, such as "logevent ping.scope3.com my-shop". It is part of an
// event's identity in an outbox.
func (c *Client) Name() string {
	if c == nil {
		return ""
	}
	return c.name
}

func destinationName(d Dialect, host string) string {
	parts := []string{d.name(), host, d.advertiser(), d.destination()}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}

// DestinationName returns the Name of a client of cfg, which needs no APIKey. It
// is for tools that look into an outbox; see outbox.Administration.
func DestinationName(cfg Config) (string, error) {
	cfg.Dialect = dialectValue(cfg.Dialect)
	if cfg.Dialect == nil {
		return "", errors.New("capi: Dialect is required: LogEvent or ECAPI")
	}
	base, err := baseURL(&cfg)
	if err := errors.Join(append(cfg.Dialect.problems(), err)...); err != nil {
		return "", err
	}
	return destinationName(cfg.Dialect, base.Hostname()), nil
}

// Check validates e exactly as Send does and returns what Send would do with
// it, without any input or output: Ready, SkippedOrganic, SkippedConsent,
// Rejected, or Failed for an event whose click is known only by a token that
// this client cannot resolve.
//
// An event with a ClickToken is Ready even if its click may not be found and
// the event may be organic.
func (c *Client) Check(e clickid.Event) clickid.Result {
	if c == nil {
		return clickid.Result{Type: e.Type, ID: e.ID, Verdict: clickid.VerdictFailed, Err: errNilClient}
	}
	return c.check(&e)
}

// Deliver sends events for an outbox. It makes each request once, and sends no
// more after a temporary failure, since the outbox retries. Otherwise it is
// like Send.
func (c *Client) Deliver(ctx context.Context, items []clickid.QueuedEvent) (clickid.Report, error) {
	if c == nil {
		return failAll(queuedEvents(items), errNilClient)
	}
	return c.send(ctx, Retry{Attempts: 1}, queuedEvents(items))
}

// Resolver returns [Config].Resolver. An outbox uses it to find the clicks of
// tokens before delivery. It may be nil.
func (c *Client) Resolver() clickid.Resolver {
	if c == nil {
		return nil
	}
	return c.cfg.Resolver
}

// MaxItems returns the number of events that Deliver sends in one request.
func (c *Client) MaxItems() int {
	if c == nil {
		return 1
	}
	return c.cfg.MaxBatchEvents
}
