package clickid

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// outgoing is an event that is ready to be sent, and what becomes of it.
type outgoing struct {
	wireEvent
	event  *Event // with its click resolved
	result *Result
	answer *answer // the answer that accepted or refused it, if any
}

// settle records what became of the event.
func (o *outgoing) settle(verdict Verdict, reason string, err error) {
	o.result.Verdict, o.result.Reason, o.result.Err = verdict, reason, err
}

// fail records that the event was not accepted this time.
func (o *outgoing) fail(err error) { o.settle(Failed, "", err) }

// prepare checks, resolves and encodes events. It returns a result for each,
// those that are ready to be sent, and remarks on what was left out of them.
func (c *Client) prepare(ctx context.Context, events []Event) (results []Result, ready []*outgoing, warnings []string) {
	results = make([]Result, len(events))
	encoded := make([]*wireEvent, len(events))
	remarks := make([]string, len(events))
	checked := make([]*Event, len(events))
	one := func(i int) {
		e := events[i]
		checked[i] = &e
		results[i], encoded[i], remarks[i] = c.examine(&e)
		if results[i].Verdict == Ready && e.needsClick() {
			results[i], encoded[i], remarks[i] = c.resolve(ctx, &e)
		}
	}
	// Only resolving takes time worth sharing out.
	var group sync.WaitGroup
	slots := make(chan struct{}, c.cfg.Concurrency)
	for i := range events {
		if !events[i].needsClick() {
			one(i)
			continue
		}
		slots <- struct{}{}
		group.Add(1)
		go func() {
			defer group.Done()
			one(i)
			<-slots
		}()
	}
	group.Wait()
	for i := range results {
		if results[i].Verdict == Ready {
			ready = append(ready, &outgoing{wireEvent: *encoded[i], event: checked[i], result: &results[i]})
		}
		if remarks[i] != "" {
			warnings = append(warnings, remarks[i])
		}
	}
	return results, ready, warnings
}

// needsClick reports whether the click is known by its token alone.
func (e *Event) needsClick() bool { return e.ClickToken != "" && e.Click.IsZero() }

// resolve looks the click of an examined event up and examines it again.
func (c *Client) resolve(ctx context.Context, e *Event) (Result, *wireEvent, string) {
	click, err := c.cfg.Resolver.Resolve(ctx, e.ClickToken)
	switch {
	case err == nil && !click.IsZero():
		e.Click = click
	case err == nil, errors.Is(err, ErrNotFound), errors.Is(err, ErrInvalid):
		// A proven absence.
	default:
		return failure(e, fmt.Errorf("clickid: the click of the event's token cannot be looked up: %w", err)), nil, ""
	}
	e.ClickToken, e.lookupErr = "", nil
	return c.examine(e)
}

// examine returns what is to become of e, and e as it is sent, without any
// input or output.
func (c *Client) examine(e *Event) (result Result, encoded *wireEvent, remark string) {
	result = Result{Type: e.Type, ID: e.ID}
	if e.Consent == ConsentDenied {
		result.Verdict, result.Reason = SkippedConsent, "the person denied consent"
		return result, nil, ""
	}
	v := validation{}
	v.event(e)
	c.cfg.Dialect.check(e, v.properties, v.add)
	if len(v.fields) > 0 {
		return rejection(e, &v), nil, ""
	}
	page, remark := sentURL(e.PageURL, c.cfg.KeepPageQuery)
	wire, err := c.cfg.Dialect.encode(e, v.properties, page)
	if err != nil {
		v.add("event", "cannot be encoded as JSON")
	} else if size := len(c.cfg.Dialect.request([][]byte{wire.data}, 0)); size > c.cfg.MaxBatchBytes {
		v.add("event", fmt.Sprintf("takes %d bytes, more than MaxBatchBytes", size))
	}
	if len(v.fields) > 0 {
		return rejection(e, &v), nil, ""
	}
	switch {
	case e.Click.IsZero() && (e.ClickToken != "" || e.lookupErr != nil):
		if e.ClickToken == "" || c.cfg.Resolver == nil {
			return failure(e, unresolvable(e)), nil, ""
		}
	case !c.cfg.Dialect.identified(e) && !c.cfg.SendUnattributed:
		result.Verdict, result.Reason = SkippedOrganic, "there is no click and no user identity to attribute it by"
		if e.User.identified() {
			result.Reason = "there is no click, and the dialect does not carry the user identities that the event has"
		}
		return result, nil, ""
	}
	return result, &wire, remark
}

// unresolvable returns why the click behind an event's token stays unknown.
func unresolvable(e *Event) error {
	switch {
	case e.lookupErr != nil:
		return fmt.Errorf("clickid: the visitor's click could not be looked up: %w", e.lookupErr)
	default:
		return errors.New("clickid: the event has only a ClickToken, and the client has no Resolver: set ClientConfig.Resolver to the Tracker")
	}
}

func rejection(e *Event, v *validation) Result {
	err := v.err(e)
	return Result{Type: e.Type, ID: e.ID, Verdict: Rejected, Reason: err.problems(), Err: err}
}

func failure(e *Event, err error) Result {
	return Result{Type: e.Type, ID: e.ID, Verdict: Failed, Err: err}
}

// newReport puts a report together when all events are settled.
func newReport(results []Result, sent []*outgoing, warnings []string) Report {
	report := Report{Results: results, Warnings: warnings}
	var weighed, events float64
	seen := make(map[*answer]bool)
	for _, o := range sent {
		if o.answer == nil || seen[o.answer] {
			continue
		}
		seen[o.answer] = true
		report.Warnings = append(report.Warnings, o.answer.warnings...)
		if quality := o.answer.matchQuality; quality != nil {
			weighed += *quality * float64(o.answer.events)
			events += float64(o.answer.events)
		}
	}
	if events > 0 {
		quality := weighed / events
		report.MatchQuality = &quality
	}
	return report
}
