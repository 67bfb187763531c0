package clickid

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Lookup is [Lookup] with the click of this tracker, for a site with a tracker
// for each of several ad networks.
func (t *Tracker) Lookup(ctx context.Context) (Click, error) { return t.visitor(ctx).find(ctx) }

// Token is [Token] with the click of this tracker.
func (t *Tracker) Token(ctx context.Context) (token string, ok bool) {
	return t.visitor(ctx).sendable(ctx)
}

// Bind returns a sender that fills the empty click of an event from this tracker
// and checks the consent by its [Config] before it sends the event to s.
// With several ad networks, each destination gets the ID of its own network:
//
//	both := clickid.Senders(scope3.Bind(client), other.Bind(otherClient))
//	result, err := clickid.Convert(ctx, both, event)
//
// [Tracker.ConvertFor] finds the links of each bound tracker, which therefore
// needs a [Linker]. The tracker need not be around the handler of the request,
// if any other is.
//
// A resolver of s, such as that of an outbox, must be this tracker. Send sends
// the events one after the other.
func (t *Tracker) Bind(s Sender) Sender {
	if t == nil {
		s = failing{errNilTracker}
	}
	return bound{t, s}
}

// errNilTracker is the error of a nil tracker.
var errNilTracker = errors.New("clickid: the tracker is nil and captures no clicks; check the error of clickid.New")

// logNilTracker logs errNilTracker at the first page of a process.
var logNilTracker = sync.OnceFunc(func() { slog.Error(errNilTracker.Error()) })

// bound is a sender of Bind. Convert calls the inner one.
type bound struct {
	tracker *Tracker
	sender  Sender
}

// Send implements [Sender].
func (b bound) Send(ctx context.Context, events ...Event) (Report, error) {
	report := Report{Results: make([]Result, len(events))}
	for i, e := range events {
		report.Results[i] = convertTo(ctx, b, nil, e, fillFromVisit)
		report.Warnings = appendNew(report.Warnings, report.Results[i].Warnings...)
	}
	return report, report.Err()
}

// ResolvesTokens reports whether the inner sender does.
func (b bound) ResolvesTokens() bool { return resolvesTokens(b.sender) }

// networkOf returns the ad network of a tracker with the parameters: "" for the
// platform, or the first parameter.
func networkOf(params []string) string {
	for _, param := range params {
		if strings.EqualFold(param, "clkid") || strings.EqualFold(param, "sc3clid") {
			return ""
		}
	}
	return strings.ToLower(params[0])
}

// ownKey returns the key of t's link. Trackers of several ad networks can share
// a linker, and each has its link of an order.
func (t *Tracker) ownKey(k Key) Key {
	if t.network == "" {
		return k
	}
	return k.within(t.network)
}

// fillFromVisit is the finder that only knows the visitor.
func fillFromVisit(ctx context.Context, t *Tracker, e *Event, later bool) error {
	return visitorOf(ctx, t).fill(ctx, e, later)
}

// visitorOf returns the visit of t, or of the outermost tracker if t is nil. It
// is nil if ctx has none.
func visitorOf(ctx context.Context, t *Tracker) *visit {
	if t == nil {
		return outermost(ctx)
	}
	return t.visitor(ctx)
}

// visitor returns the visit in ctx that conversions of t use, or nil.
func (t *Tracker) visitor(ctx context.Context) *visit {
	v := visitFrom(ctx)
	switch {
	case t == nil || v == nil:
		return nil
	case v.tracker == nil && (v.click.Param == "" || slices.Contains(t.params.Names(), v.click.Param)):
		return v // the click of WithClick
	}
	return t.join(v, nil)
}

// visitOf returns the visit of t in ctx, or nil.
func (t *Tracker) visitOf(ctx context.Context) *visit {
	for v := visitFrom(ctx); v != nil; v = v.next.Load() {
		if v.tracker == t {
			return v
		}
	}
	return nil
}

// join returns the visit of t among those that begin with v, or adds one for the
// request r, which is nil for that of another visit. It returns nil without any
// request.
//
// The visits of a request form a list, since the contexts of some frameworks
// only hold the first.
func (t *Tracker) join(v *visit, r *http.Request) *visit {
	for ; v.tracker != t; v = v.next.Load() {
		if v.tracker != nil && v.tracker.jar.name == t.jar.name && !t.conflict.Swap(true) {
			t.observe(v.request.Context(), Observation{Kind: KindCookieConflict, Reason: ReasonCookieName})
		}
		if r == nil {
			r = v.request
		}
		if v.next.Load() != nil {
			continue
		}
		if r == nil {
			return nil
		}
		v.next.CompareAndSwap(nil, &visit{tracker: t, request: r, lines: r.Header["Cookie"]})
	}
	return v
}

// outermost returns the visit of the outermost tracker, or nil. That one leaves
// none on a page without a click of its own.
func outermost(ctx context.Context) *visit {
	v := visitFrom(ctx)
	if v == nil || v.tracker == nil {
		return v
	}
	if outer := v.tracker.outer.Load(); outer != nil {
		return outer.join(v, nil)
	}
	return v
}

// surround tells the trackers directly inside of t that it is around them.
func (t *Tracker) surround(next http.Handler) {
	for h, ok := next.(*handler); ok; h, ok = h.next.(*handler) {
		if h.tracker == t { // wrapped twice
			t.outer.Store(nil)
		} else {
			h.tracker.outer.Store(t)
		}
	}
}
