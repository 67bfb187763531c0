package capi

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clickid/clickid"
)

// outgoing is an event of a Send and its result.
type outgoing struct {
	wireEvent
	event     *clickid.Event // cleaned, with its click resolved
	responses int            // verdicts of the platform so far
	again     bool           // the platform wants it again later
	isolated  *ResponseError // refuses it singly, without a word about it
	withheld  bool           // its user identities were left out for want of consent
	result    *clickid.Result
	response  *response // the response with its verdict, if any
}

// settle sets the result of the event.
func (o *outgoing) settle(verdict clickid.Verdict, reason string, err error) {
	o.result.Verdict, o.result.Reason, o.result.Err = verdict, reason, err
}

// fail sets the result to a failure.
func (o *outgoing) fail(err error) { o.settle(clickid.VerdictFailed, "", err) }

// prepare checks, resolves and encodes events. It returns a result for each,
// and those that are ready to be sent.
func (c *Client) prepare(ctx context.Context, events []clickid.QueuedEvent) (results []clickid.Result, ready []*outgoing) {
	results = make([]clickid.Result, len(events))
	prepared := make([]outgoing, len(events))
	one := func(i int) {
		prepared[i].responses, prepared[i].result = events[i].Responses, &results[i]
		c.prepareOne(ctx, &events[i].Event, &prepared[i])
	}
	workers := c.preparers(events)
	if workers == 1 {
		for i := range events {
			one(i)
		}
	} else {
		var next atomic.Int64
		var group sync.WaitGroup
		for range workers {
			group.Add(1)
			go func() {
				defer group.Done()
				for i := next.Add(1) - 1; i < int64(len(events)); i = next.Add(1) - 1 {
					one(int(i))
				}
			}()
		}
		group.Wait()
	}
	for i := range prepared {
		if results[i].Verdict == clickid.VerdictReady {
			ready = append(ready, &prepared[i])
		}
	}
	return results, ready
}

// preparers returns how many goroutines prepare the events: those that wait for
// the store share the time, and many share the processors. A single event stays
// on the caller's goroutine.
func (c *Client) preparers(events []clickid.QueuedEvent) int {
	const worthSharing = 100
	switch {
	case len(events) == 1:
		return 1
	case slices.ContainsFunc(events, func(q clickid.QueuedEvent) bool { return needsClick(&q.Event) }):
		return min(len(events), c.cfg.Concurrency)
	}
	return max(1, min(runtime.GOMAXPROCS(0), len(events)/worthSharing))
}

// needsClick reports whether the click is known only by its token.
func needsClick(e *clickid.Event) bool { return e.ClickToken != "" && e.Click.IsZero() }

// prepareOne makes o ready to be sent, or settles it.
func (c *Client) prepareOne(ctx context.Context, e *clickid.Event, o *outgoing) {
	if !c.clean(e, o) {
		return
	}
	if needsClick(o.event) {
		if err := c.resolve(ctx, o.event); err != nil {
			o.fail(err)
			return
		}
	}
	c.encode(o)
}

// clean checks e and sets o.event to the cleaned event. It reports whether the
// event may be sent.
func (c *Client) clean(e *clickid.Event, o *outgoing) bool {
	*o.result = clickid.Result{Type: e.Type, ID: e.ID, Destination: c.Name()}
	if e.Consent == clickid.ConsentDenied {
		o.settle(clickid.VerdictSkippedConsent, "the user has not consented", nil)
		return false
	}
	withholds := c.withholds(e)
	if withholds {
		anonymous := *e
		anonymous.User = e.User.WithoutIdentities()
		o.withheld = e.User.Identified()
		e = &anonymous
	}
	cleaned, warnings, err := e.Clean()
	if withholds {
		warnings = append(warnings, "the user identities were left out: the user's consent is unknown")
	}
	o.result.Warnings = warnings
	problems := &clickid.EventError{Type: cleaned.Type}
	if err != nil {
		_ = errors.As(err, &problems)
	}
	var r remarks
	c.cfg.Dialect.fit(&cleaned, &r)
	o.result.Warnings = append(o.result.Warnings, r.warnings...)
	problems.Fields = append(problems.Fields, r.refused...)
	if lost := c.lostIdentity(e, &cleaned, o.result.Warnings); lost != "" && err == nil {
		problems.Fields = append(problems.Fields, clickid.FieldError{Field: "user", Problem: lost})
	}
	if len(problems.Fields) > 0 {
		o.reject(problems)
		return false
	}
	if now := time.Now(); cleaned.Time.After(now) {
		// Clocks differ. An outbox holds the event until its time.
		cleaned.Time = now
		o.result.Warnings = append(o.result.Warnings, "time lies ahead of this machine's clock, so the event was sent with the current time")
	}
	o.event = &cleaned
	return true
}

// withholds reports whether the event is sent without its user identities.
func (c *Client) withholds(e *clickid.Event) bool {
	return e.Consent == clickid.ConsentUnknown && c.requiresConsent && !reflect.DeepEqual(e.User, e.User.WithoutIdentities())
}

// lostIdentity returns the reason why an event has no identity left although it
// had one that the dialect carries, or "".
func (c *Client) lostIdentity(given, cleaned *clickid.Event, warnings []string) string {
	had := given.ClickToken != "" || c.cfg.Dialect.identified(given)
	if !had || cleaned.ClickToken != "" || c.attributable(cleaned) {
		return ""
	}
	return "has nothing left to attribute the event by: " + strings.Join(warnings, "; ")
}

// reject sets the result to a refusal by validation.
func (o *outgoing) reject(err *clickid.EventError) {
	o.settle(clickid.VerdictRejected, err.Reason(), err)
}

// resolve looks up the click of the token. If it does not exist, the event has
// no click.
func (c *Client) resolve(ctx context.Context, e *clickid.Event) error {
	if c.cfg.Resolver == nil {
		return errors.New("capi: the event has only a ClickToken; set Config.Resolver to the Tracker")
	}
	click, err := c.askResolver(ctx, e.ClickToken)
	if err != nil && !errors.Is(err, clickid.ErrNotFound) && !errors.Is(err, clickid.ErrInvalid) {
		return fmt.Errorf("capi: look up click of ClickToken: %w", err)
	}
	e.Click, e.ClickToken = click, ""
	return nil
}

// askResolver calls the application's resolver. Its panic must not end the
// process.
func (c *Client) askResolver(ctx context.Context, token string) (click clickid.Click, err error) {
	defer func() {
		if p := recover(); p != nil {
			// The value of the panic may be personal, its place is not.
			c.cfg.Logger.ErrorContext(ctx, "capi: the Resolver panicked", "stack", string(debug.Stack()))
			err = errors.New("capi: the Resolver panicked")
		}
	}()
	return c.cfg.Resolver.Resolve(ctx, token)
}

// encode encodes the event and makes it ready, unless there is nothing to
// attribute it by or it is too large.
func (c *Client) encode(o *outgoing) {
	if !c.attributable(o.event) {
		if o.withheld {
			o.settle(clickid.VerdictSkippedConsent, "the user's consent is unknown, and the event has no click", nil)
			return
		}
		reason := "there is no click and no user identity to attribute it by"
		if o.event.User.Identified() {
			reason = "there is no click, and the dialect does not carry the user identities that the event has"
		}
		o.settle(clickid.VerdictSkippedOrganic, reason, nil)
		return
	}
	if problem := c.encodeWithin(o); problem != "" {
		o.reject(&clickid.EventError{Type: o.event.Type, Fields: []clickid.FieldError{{Field: "event", Problem: problem}}})
		return
	}
	o.settle(clickid.VerdictReady, "", nil)
}

// encodeWithin encodes the event. Where it is too large for a request, it
// leaves out the extra members of event and user, then the properties, the items
// and the page URL.
func (c *Client) encodeWithin(o *outgoing) (problem string) {
	warn := func(warning string) { o.result.Warnings = append(o.result.Warnings, warning) }
	page, warning := sentURL(o.event.PageURL, c.cfg.KeepPageQuery)
	if warning != "" {
		warn(warning)
	}
	for {
		wire, err := c.cfg.Dialect.encode(o.event, page)
		if err != nil {
			return "cannot be encoded as JSON"
		}
		size := c.overhead + len(wire.data)
		if size <= c.cfg.MaxBatchBytes {
			o.wireEvent = wire
			return ""
		}
		switch {
		case hasExtra(o.event):
			withoutExtra(o.event)
			warn("extra members were left out: with them, the event is larger than MaxBatchBytes")
		case len(o.event.Properties) > 0 && o.event.Type != clickid.WatchMilestone:
			o.event.Properties = nil
			warn("properties were left out: with them, the event is larger than MaxBatchBytes")
		case len(o.event.Items) > 0:
			o.event.Items = nil
			warn("items were left out: with them, the event is larger than MaxBatchBytes")
		case page != "":
			page = ""
			warn("page_url was left out: with it, the event is larger than MaxBatchBytes")
		default:
			return fmt.Sprintf("takes %d bytes, more than MaxBatchBytes", size)
		}
	}
}

// hasExtra reports whether event or user have extra members.
func hasExtra(e *clickid.Event) bool {
	return len(e.Extra) > 0 || len(e.User.Extra) > 0 ||
		slices.ContainsFunc(e.User.IDs, func(id clickid.UserID) bool { return len(id.Extra) > 0 }) ||
		slices.ContainsFunc(e.User.Addresses, func(a clickid.Address) bool { return len(a.Extra) > 0 })
}

// withoutExtra removes these members, without changing the given slices.
func withoutExtra(e *clickid.Event) {
	e.Extra, e.User.Extra = nil, nil
	e.User.IDs, e.User.Addresses = slices.Clone(e.User.IDs), slices.Clone(e.User.Addresses)
	for i := range e.User.IDs {
		e.User.IDs[i].Extra = nil
	}
	for i := range e.User.Addresses {
		e.User.Addresses[i].Extra = nil
	}
}

// attributable reports whether the event has something to attribute it by, or
// is sent without.
func (c *Client) attributable(e *clickid.Event) bool {
	return c.cfg.SendUnattributed || c.cfg.Dialect.identified(e)
}

// check returns the result that Send would have, without sending.
func (c *Client) check(e *clickid.Event) clickid.Result {
	o := &outgoing{result: &clickid.Result{}}
	if !c.clean(e, o) {
		return *o.result
	}
	if needsClick(o.event) {
		if c.cfg.Resolver == nil {
			o.fail(c.resolve(context.Background(), o.event))
			return *o.result
		}
		// The click may not exist.
		o.event.Click = placeholderClick
	}
	c.encode(o)
	return *o.result
}

// placeholderClick has the largest size of a click ID.
var placeholderClick = clickid.Click{ID: strings.Repeat("0", clickid.MaxIDLength)}

// newReport returns the report when all events are settled.
func newReport(results []clickid.Result, sent []*outgoing) clickid.Report {
	report := clickid.Report{Results: results}
	for _, result := range results {
		report.Warnings = append(report.Warnings, result.Warnings...)
	}
	var weighed, events float64
	seen := make(map[*response]bool)
	for _, o := range sent {
		if o.response == nil || seen[o.response] {
			continue
		}
		seen[o.response] = true
		report.Warnings = append(report.Warnings, o.response.warnings...)
		if quality := o.response.matchQuality; quality != nil {
			weighed += *quality * float64(o.response.events)
			events += float64(o.response.events)
		}
	}
	if events > 0 {
		quality := weighed / events
		report.MatchQuality = &quality
	}
	return report
}
