package outboxtest_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/suitetest"
	"github.com/clickid/clickid/outbox"
	"github.com/clickid/clickid/outbox/outboxtest"
)

// fault describes how a destination violates the contract.
type fault string

const (
	correct        fault = ""
	renames        fault = "has another name after a restart"
	sendsInCheck   fault = "sends in Check"
	checksNothing  fault = "checks nothing"
	deliversAll    fault = "delivers what is not ready"
	acceptsTokens  fault = "accepts tokens that it cannot resolve"
	reorders       fault = "returns the results in another order"
	dropsSkipped   fault = "returns no results for skipped events"
	returnsNoError fault = "returns no error"
	namesNoEvent   fault = "leaves type and ID out of results"
	failsTogether  fault = "refuses all events with one"
	retries        fault = "retries"
	rejectsOutage  fault = "rejects events during an outage"
	optimistic     fault = "reports events as accepted during an outage"
	hidesKey       fault = "reports a refused key as temporary"
	ignoresContext fault = "ignores the context"
	cutsOff        fault = "sends only the first hundred items"
	changesEvents  fault = "changes the events"
	mixesCalls     fault = "returns the results of another call"
	tellsClicks    fault = "writes click IDs into errors"
	losesClicks    fault = "sends no click"
	unexplained    fault = "gives no reason"
	hopeful        fault = "reports a refused event as temporary"
)

// platform is a platform within the process.
type platform struct {
	mu        sync.Mutex
	behaviour outboxtest.Behaviour
	changed   chan struct{} // closed when the behaviour changes
	requests  int
	accepted  []outboxtest.AcceptedEvent
}

func (p *platform) behave(b outboxtest.Behaviour) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.behaviour = b
	close(p.changed)
	p.changed = make(chan struct{})
}

// sendError is the error of a request or of an event.
type sendError struct {
	kind clickid.SendErrorKind
	text string
}

func (e *sendError) Error() string               { return "model: " + e.text }
func (e *sendError) Kind() clickid.SendErrorKind { return e.kind }
func (e *sendError) RetryAfter() time.Duration   { return 0 }
func (e *sendError) Status() int                 { return 0 }

// receive returns the errors of the events, or that of the request.
func (p *platform) receive(ctx context.Context, events []outboxtest.AcceptedEvent) ([]error, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	for p.behaviour.Kind == outboxtest.BehaviourHangs {
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		p.mu.Lock()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	switch p.behaviour.Kind {
	case outboxtest.BehaviourUnavailable:
		return nil, errors.New("model: the platform is unavailable")
	case outboxtest.BehaviourRefusesConfiguration:
		return nil, &sendError{clickid.SendErrorConfiguration, "the key is wrong"}
	}
	errs := make([]error, len(events))
	for i, e := range events {
		if slices.Contains(p.behaviour.IDs, e.ID) {
			errs[i] = &sendError{clickid.SendErrorEvent, "the platform refuses the event"}
		} else if !slices.Contains(p.accepted, e) {
			p.accepted = append(p.accepted, e)
		}
	}
	return errs, nil
}

// model is a destination that follows the contract except for its fault.
type model struct {
	*platform
	fault    fault
	name     string
	resolver clickid.Resolver

	mu    sync.Mutex
	first []clickid.Result
}

func (m *model) Name() string               { return m.name }
func (m *model) Resolver() clickid.Resolver { return m.resolver }
func (m *model) is(f fault) bool            { return m.fault == f }

func (m *model) Check(e clickid.Event) clickid.Result {
	if m.is(sendsInCheck) {
		_, _ = m.receive(context.Background(), nil)
	}
	result := clickid.Result{Type: e.Type, ID: e.ID, Verdict: clickid.VerdictReady}
	if m.is(checksNothing) {
		return result
	}
	_, warnings, err := e.Clean()
	result.Warnings = warnings
	switch {
	case e.Consent == clickid.ConsentDenied:
		result.Verdict, result.Reason = clickid.VerdictSkippedConsent, "the user has not consented"
	case err != nil:
		result.Verdict, result.Reason, result.Err = clickid.VerdictRejected, err.Error(), err
	case !e.Click.IsZero():
	case e.ClickToken == "":
		result.Verdict, result.Reason = clickid.VerdictSkippedOrganic, "the event has no click"
	case m.resolver == nil && !m.is(acceptsTokens):
		err := errors.New("model: there is no resolver")
		result.Verdict, result.Reason, result.Err = clickid.VerdictRejected, err.Error(), err
	}
	return result
}

func (m *model) Deliver(ctx context.Context, items []outbox.Item) (clickid.Report, error) {
	if m.is(ignoresContext) {
		ctx = context.WithoutCancel(ctx)
	}
	results := make([]clickid.Result, len(items))
	var ready []int
	var sent []outboxtest.AcceptedEvent
	for i, item := range items {
		if results[i] = m.Check(item.Event); results[i].Verdict != clickid.VerdictReady && !m.is(deliversAll) {
			continue
		}
		e := outboxtest.AcceptedEvent{ID: item.Event.ID, ClickID: item.Event.Click.ID}
		if m.is(losesClicks) {
			e.ClickID = ""
		}
		if ready, sent = append(ready, i), append(sent, e); m.is(changesEvents) {
			items[i].Event.Items = nil
		}
		if m.is(cutsOff) && len(sent) == 100 {
			break
		}
	}
	if len(sent) > 0 {
		errs, err := m.receive(ctx, sent)
		for n := 0; m.is(retries) && err != nil && n < 2; n++ {
			errs, err = m.receive(ctx, sent)
		}
		for n, i := range ready {
			m.settle(&results[i], items[i].Event, err, errs, n)
		}
	}
	return m.report(results)
}

// settle sets the result of an item with the error of its request, or with that
// of the event among those of the request.
func (m *model) settle(r *clickid.Result, e clickid.Event, err error, errs []error, n int) {
	r.Verdict = clickid.VerdictAccepted
	if err != nil {
		r.Verdict, r.Err = clickid.VerdictFailed, err
		var refusal *sendError
		configuration := errors.As(err, &refusal)
		switch {
		case m.is(hidesKey) && configuration:
			r.Err = errors.New("model: it failed")
		case m.is(rejectsOutage) && !configuration:
			r.Verdict, r.Reason = clickid.VerdictRejected, "it failed"
		case m.is(optimistic) && !configuration:
			r.Verdict, r.Err = clickid.VerdictAccepted, nil
		}
	} else if refused := slices.IndexFunc(errs, func(err error) bool { return err != nil }); errs[n] != nil || m.is(failsTogether) && refused >= 0 {
		r.Verdict, r.Reason, r.Err = clickid.VerdictRejected, "the platform refuses the event", errs[max(refused, 0)]
		switch m.fault {
		case unexplained:
			r.Reason = ""
		case hopeful:
			r.Verdict, r.Err = clickid.VerdictFailed, errors.New("model: it failed")
		case tellsClicks:
			r.Err = fmt.Errorf("model: the click %s is unknown", e.Click.ID)
		}
	}
	if m.is(namesNoEvent) {
		r.Type, r.ID = "", ""
	}
}

func (m *model) report(results []clickid.Result) (clickid.Report, error) {
	switch m.fault {
	case reorders:
		slices.Reverse(results)
	case dropsSkipped:
		results = slices.DeleteFunc(results, func(r clickid.Result) bool { return r.Verdict == clickid.VerdictSkippedConsent })
	case mixesCalls:
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.first == nil {
			m.first = results
		}
		results = m.first
	}
	report := clickid.Report{Results: results}
	if m.is(returnsNoError) {
		return report, nil
	}
	return report, report.Err()
}

func runSuite(t *testing.T, f fault, patience time.Duration) {
	outboxtest.RunDestination(t, func(testing.TB) outboxtest.Platform {
		p := &platform{changed: make(chan struct{})}
		return outboxtest.Platform{
			Open: func(_ testing.TB, resolver clickid.Resolver) outbox.Destination {
				m := &model{platform: p, fault: f, name: "model", resolver: resolver}
				if f == renames {
					m.name = rand.Text()
				}
				return m
			},
			Behave: p.behave,
			Requests: func() int {
				p.mu.Lock()
				defer p.mu.Unlock()
				return p.requests
			},
			Accepted: func() []outboxtest.AcceptedEvent {
				p.mu.Lock()
				defer p.mu.Unlock()
				return slices.Clone(p.accepted)
			},
			Patience: patience,
		}
	})
}

func TestRunDestination_correct(t *testing.T) { runSuite(t, correct, 0) }

// TestFaultyDestination is run by TestRunDestination_faulty in another process.
func TestFaultyDestination(t *testing.T) {
	if f := suitetest.Fault(); f != "" {
		runSuite(t, fault(f), time.Second)
	}
}

// TestRunDestination_faulty checks that the suite fails for every fault.
func TestRunDestination_faulty(t *testing.T) {
	for _, row := range []struct {
		fault fault
		test  string // that must fail
	}{
		{renames, "the name is the same after a restart"},
		{sendsInCheck, "Check has the result of Deliver and sends nothing"},
		{checksNothing, "Check has the result of Deliver and sends nothing"},
		{deliversAll, "Check has the result of Deliver and sends nothing"},
		{acceptsTokens, "Check refuses a token that nothing resolves"},
		{reorders, "every item has a result in its order"},
		{dropsSkipped, "every item has a result in its order"},
		{returnsNoError, "every item has a result in its order"},
		{namesNoEvent, "every item has a result in its order"},
		{losesClicks, "every item has a result in its order"},
		{failsTogether, "a refused item does not affect the others"},
		{retries, "an unavailable platform fails the items after one request"},
		{rejectsOutage, "an unavailable platform fails the items after one request"},
		{optimistic, "an unavailable platform fails the items after one request"},
		{hidesKey, "a refused key is an error of the configuration"},
		{ignoresContext, "the end of the context ends Deliver"},
		{cutsOff, "Deliver sends MaxItems items"},
		{changesEvents, "Deliver and Check do not change the events"},
		{mixesCalls, "calls at once have their own results"},
		{tellsClicks, "errors and reasons hold no personal data"},
		{rejectsOutage, "an outbox delivers through an outage"},
		{optimistic, "an outbox delivers through an outage"},
		{losesClicks, "an outbox resolves tokens"},
		{unexplained, "an outbox keeps refused events as dead letters"},
		{hopeful, "an outbox keeps refused events as dead letters"},
		{hidesKey, "a refused configuration makes no dead letter"},
	} {
		t.Run(string(row.fault)+": "+row.test, func(t *testing.T) {
			t.Parallel()
			suitetest.Run(t, "TestFaultyDestination", row.test, string(row.fault))
		})
	}
}
