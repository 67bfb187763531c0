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
	"github.com/clickid/clickid/internal/rawjson"
)

// outgoing is an event of a Send and its result.
type outgoing struct {
	wireEvent
	responses int            // verdicts of the platform so far
	namesakes int            // earlier events of the call with its ID and another type
	again     bool           // the platform wants it again later
	withheld  bool           // its user identities were left out for want of consent
	isolated  *ResponseError // refuses it singly, without a word about it
	result    *clickid.Result
	response  *response // the response with its verdict, if any
	masked    *outgoing // without personal data, for a dry run
}

// settle sets the result of the event.
func (o *outgoing) settle(verdict clickid.Verdict, reason string, err error) {
	o.result.Verdict, o.result.Reason, o.result.Err = verdict, reason, err
}

// fail sets the result to a failure.
func (o *outgoing) fail(err error) { o.settle(clickid.VerdictFailed, "", err) }

// source has the events of a call.
type source struct {
	length int
	at     func(i int) (e *clickid.Event, responses int)
}

func newEvents(events []clickid.Event) source {
	return source{len(events), func(i int) (*clickid.Event, int) { return &events[i], 0 }}
}

func queuedEvents(items []clickid.QueuedEvent) source {
	return source{len(items), func(i int) (*clickid.Event, int) { return &items[i].Event, items[i].Responses }}
}

// preparer prepares one event after the other in the same memory.
type preparer struct {
	*Client
	event   clickid.Event // cleaned, with its click resolved
	remarks remarks       // about the event
	now     time.Time     // when the clock was last read
	json    rawjson.Writer
	left    int // how many events are not prepared yet, at most
	// encoded is called for each event that is ready. Optional.
	encoded func(o *outgoing, e *clickid.Event)
}

// prepare checks, resolves and encodes events. It returns a result for each,
// and those that are ready to be sent. It calls encoded, if any, for each of
// these, concurrently.
func (c *Client) prepare(ctx context.Context, events source, encoded func(*outgoing, *clickid.Event)) (results []clickid.Result, ready []*outgoing) {
	results = make([]clickid.Result, events.length)
	prepared := make([]outgoing, events.length)
	workers := c.preparers(events)
	// A worker takes neighbours, whose results share cache lines.
	share := min(64, 1+events.length/(8*workers))
	var next atomic.Int64
	work := func() {
		p := &preparer{Client: c, encoded: encoded}
		for first := int(next.Add(int64(share))) - share; first < events.length; first = int(next.Add(int64(share))) - share {
			for i := first; i < min(first+share, events.length); i++ {
				e, responses := events.at(i)
				prepared[i].responses, prepared[i].result = responses, &results[i]
				p.left = events.length - i - 1
				p.prepare(ctx, e, &prepared[i])
			}
		}
	}
	var group sync.WaitGroup
	for range workers - 1 {
		group.Go(work)
	}
	work()
	group.Wait()
	ready = make([]*outgoing, 0, events.length)
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
func (c *Client) preparers(events source) int {
	const worthSharing = 100
	if events.length > 1 {
		for i := range events.length {
			if e, _ := events.at(i); needsClick(e) {
				return min(events.length, c.cfg.Concurrency)
			}
		}
	}
	return max(1, min(runtime.GOMAXPROCS(0), events.length/worthSharing))
}

// needsClick reports whether the click is known only by its token.
func needsClick(e *clickid.Event) bool { return e.ClickToken != "" && e.Click.IsZero() }

// prepare makes o ready to be sent, or settles it.
func (p *preparer) prepare(ctx context.Context, e *clickid.Event, o *outgoing) {
	if !p.clean(e, o) {
		return
	}
	if needsClick(&p.event) {
		if err := p.resolve(ctx, &p.event); err != nil {
			o.fail(err)
			return
		}
	}
	p.encode(o)
}

// clean checks e and sets the event to the cleaned one. It reports whether it
// may be sent.
func (p *preparer) clean(e *clickid.Event, o *outgoing) bool {
	o.result.Type, o.result.ID, o.result.Destination = e.Type, e.ID, p.name
	if e.Consent == clickid.ConsentDenied {
		o.settle(clickid.VerdictSkippedConsent, "the user has not consented", nil)
		return false
	}
	withholds := p.withholds(e)
	if withholds {
		anonymous := *e
		anonymous.User = e.User.WithoutIdentities()
		o.withheld = e.User.Identified()
		e = &anonymous
	}
	var err error
	r := &p.remarks
	r.refused = nil
	if p.event, r.warnings, err = e.Clean(); err != nil {
		invalid := (*clickid.EventError)(nil)
		_ = errors.As(err, &invalid)
		r.refused = invalid.Fields
	}
	if withholds {
		r.warnings = append(r.warnings, "the user identities were left out: the user's consent is unknown")
	}
	found := len(r.warnings)
	p.cfg.Dialect.fit(&p.event, r)
	if err != nil {
		r.warnings = r.warnings[:found] // nothing is sent in another form
	}
	if lost := p.lostIdentity(e, r.warnings); lost != "" && err == nil {
		r.refuse("user", lost)
	}
	o.result.Warnings = r.warnings
	if len(r.refused) > 0 {
		o.reject(&clickid.EventError{Type: p.event.Type, Fields: r.refused})
		return false
	}
	if p.event.Time.After(p.now) {
		p.now = time.Now()
	}
	if p.event.Time.After(p.now) {
		// Clocks differ. An outbox holds the event until its time.
		p.event.Time = p.now
		o.result.Warnings = append(o.result.Warnings, "time lies ahead of this machine's clock, so the event was sent with the current time")
	}
	return true
}

// withholds reports whether the event is sent without its user identities.
func (c *Client) withholds(e *clickid.Event) bool {
	return e.Consent == clickid.ConsentUnknown && c.requiresConsent && !reflect.DeepEqual(e.User, e.User.WithoutIdentities())
}

// lostIdentity returns the reason why the event has no identity left although it
// had one that the dialect carries, or "".
func (p *preparer) lostIdentity(given *clickid.Event, warnings []string) string {
	if p.event.ClickToken != "" || p.attributable(&p.event) || given.ClickToken == "" && !p.cfg.Dialect.identified(given) {
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
func (p *preparer) encode(o *outgoing) {
	if !p.attributable(&p.event) {
		if o.withheld {
			o.settle(clickid.VerdictSkippedConsent, "the user's consent is unknown, and the event has no click", nil)
			return
		}
		reason := "there is no click and no user identity to attribute it by"
		if p.event.User.Identified() {
			reason = "there is no click, and the dialect does not carry the user identities that the event has"
		}
		o.settle(clickid.VerdictSkippedOrganic, reason, nil)
		return
	}
	if problem := p.encodeWithin(o); problem != "" {
		o.reject(&clickid.EventError{Type: p.event.Type, Fields: []clickid.FieldError{{Field: "event", Problem: problem}}})
		return
	}
	o.settle(clickid.VerdictReady, "", nil)
	if p.encoded != nil {
		p.encoded(o, &p.event)
	}
}

// encodeWithin encodes the event. Where it is too large for a request, it
// leaves out the extra members of event and user, then the properties, the items
// and the page URL.
func (p *preparer) encodeWithin(o *outgoing) (problem string) {
	e := &p.event
	warn := func(warning string) { o.result.Warnings = append(o.result.Warnings, warning) }
	page, warning := sentURL(e.PageURL, p.cfg.KeepPageQuery)
	if warning != "" {
		warn(warning)
	}
	for {
		p.json.Reset()
		kind, id := p.cfg.Dialect.encode(&p.json, e, page)
		size := p.overhead + len(p.json.Bytes())
		if size <= p.cfg.MaxBatchBytes {
			o.wireEvent = wireEvent{kind: kind, id: id, data: p.json.Take(p.left)}
			return ""
		}
		switch {
		case hasExtra(e):
			withoutExtra(e)
			warn("extra members were left out: with them, the event is larger than MaxBatchBytes")
		case len(e.Properties) > 0 && e.Type != clickid.WatchMilestone:
			e.Properties = nil
			warn("properties were left out: with them, the event is larger than MaxBatchBytes")
		case len(e.Items) > 0:
			e.Items = nil
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
	p := &preparer{Client: c}
	if !p.clean(e, o) {
		return *o.result
	}
	if needsClick(&p.event) {
		if c.cfg.Resolver == nil {
			o.fail(c.resolve(context.Background(), &p.event))
			return *o.result
		}
		// The click may not exist.
		p.event.Click = placeholderClick
	}
	p.encode(o)
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
