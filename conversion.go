package clickid

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// DefaultConvertTimeout is how long [Convert] takes at most.
const DefaultConvertTimeout = 10 * time.Second

// ConvertOption changes one call of [Convert].
type ConvertOption func(*convertOptions)

type convertOptions struct {
	timeout time.Duration
}

// ConvertTimeout bounds the whole call, look-up and sending with all retries.
// Defaults to 10 seconds, as does a d that is not positive; a checkout that
// waits for it may want less.
func ConvertTimeout(d time.Duration) ConvertOption {
	return func(o *convertOptions) {
		if d > 0 {
			o.timeout = d
		}
	}
}

// errNoSender is what an order gets instead of a panic, which would break its
// page.
var errNoSender = errors.New("clickid: Convert was given no Sender: a Client or an outbox is missing")

// Convert is what a shop calls when an order completes: it finds the visitor's
// click in ctx and hands the event to s.
//
// A Click or ClickToken in the event wins over the visitor's. An order without
// a click is organic: nothing is sent, the report says so, and that is no
// error. When the look-up fails, the order is not mistaken for an organic one:
// the event keeps the visitor's token, which an outbox queues and resolves at
// delivery, and for which a [Client] returns the look-up's error.
//
// The event of a visitor who denied consent is skipped, and so is that of one
// who has not answered, unless [Config].SendUnknown is set. Consent in the
// event itself wins over the visitor's.
//
// The call outlives the visitor's connection: it ignores the cancellation of
// ctx, but not its deadline, and ends within 10 seconds unless
// [ConvertTimeout] says otherwise. A platform that asks to wait longer
// (Retry-After) makes it return at once with an error that says so. The error
// is non-nil exactly when the event failed.
func Convert(ctx context.Context, s Sender, e Event, options ...ConvertOption) (Report, error) {
	if s == nil {
		report := Report{Results: []Result{failure(&e, errNoSender)}}
		return report, report.Err()
	}
	o := convertOptions{timeout: DefaultConvertTimeout}
	for _, option := range options {
		option(&o)
	}
	ctx, cancel := detached(ctx, o.timeout)
	defer cancel()

	if v := visitFrom(ctx); v != nil && e.Consent == ConsentUnknown {
		switch consent := v.currentConsent(); {
		case consent == ConsentDenied:
			e.Consent = ConsentDenied
		case consent == ConsentUnknown && !v.tracker.sendUnknown:
			return Report{Results: []Result{{
				Type: e.Type, ID: e.ID, Verdict: SkippedConsent,
				Reason: "the visitor's consent is unknown",
			}}}, nil
		}
	}
	if e.Click.IsZero() && e.ClickToken == "" && e.Consent != ConsentDenied {
		click, err := Lookup(ctx)
		if !errors.Is(err, ErrNotFound) {
			// Beside a known click, the token tells an outbox whether the
			// click was deleted meanwhile.
			e.ClickToken, _ = Token(ctx)
			e.Click, e.lookupErr = click, err
		}
	}
	return s.Send(ctx, e)
}

// Sender takes conversions: a [Client] sends them now, an outbox stores them
// and sends them in the background. A user who moves from one to the other
// changes one constructor.
//
// Implementations are safe for concurrent use and do not keep or change the
// events after Send returns.
type Sender interface {
	// Send takes the events and returns a report with one result for each, in
	// their order, also when it fails. The error is non-nil exactly when at
	// least one event failed; it joins the results' errors.
	Send(ctx context.Context, events ...Event) (Report, error)
}

// Report is what became of the events of one Send.
type Report struct {
	// Results has one entry for each event, in the order of the events.
	Results []Result
	// Warnings are the platform's remarks on events that it accepted.
	Warnings []string
	// MatchQuality is the platform's estimate of how well it can attribute the
	// events, from 0 to 1, or nil when it gave none.
	MatchQuality *float64
}

// Err joins the errors of the results, each once; it is nil when no event
// failed.
func (r Report) Err() error {
	var failed []error
	seen := make(map[string]bool)
	for _, result := range r.Results {
		if result.Err == nil || seen[result.Err.Error()] {
			continue
		}
		seen[result.Err.Error()] = true
		failed = append(failed, result.Err)
	}
	if len(failed) == 1 {
		return failed[0]
	}
	return errors.Join(failed...)
}

// Accepted reports whether every event was accepted or queued: none failed and
// none was skipped. It is false for a report without results.
func (r Report) Accepted() bool {
	for _, result := range r.Results {
		if result.Verdict != Accepted && result.Verdict != Queued {
			return false
		}
	}
	return len(r.Results) > 0
}

// Result is what became of one event.
type Result struct {
	// Type and ID name the event as the caller did.
	Type EventType
	ID   string
	// Verdict is what became of it.
	Verdict Verdict
	// Reason says why an event was skipped or refused, in words for a person
	// and without personal data.
	Reason string
	// Err is non-nil exactly when the verdict is Rejected or Failed.
	Err error
}

// Verdict is what became of one event.
type Verdict int

const (
	// Ready: the event would be sent. Only [Client.Check] and a dry run return it.
	Ready Verdict = iota
	// Accepted: the platform has it, now or already from an earlier attempt.
	Accepted
	// Queued: an outbox has it and will send it.
	Queued
	// SkippedOrganic: there is nothing to attribute the event by, so it was
	// not sent. Not an error.
	SkippedOrganic
	// SkippedConsent: the person's consent does not allow it, so it was not
	// sent. Not an error.
	SkippedConsent
	// Rejected: this very event is refused, by validation or by the platform;
	// sending it again cannot help.
	Rejected
	// Failed: it was not accepted this time, through no fault of this event;
	// sending it again can help.
	Failed
)

// String returns the verdict in lower case words.
func (v Verdict) String() string {
	switch v {
	case Ready:
		return "ready"
	case Accepted:
		return "accepted"
	case Queued:
		return "queued"
	case SkippedOrganic:
		return "skipped: organic"
	case SkippedConsent:
		return "skipped: consent"
	case Rejected:
		return "rejected"
	case Failed:
		return "failed"
	}
	return fmt.Sprintf("Verdict(%d)", int(v))
}

// Resolver turns a token into its click. [Tracker] is one.
type Resolver interface {
	// Resolve returns the click of a token, an error that matches ErrNotFound
	// or ErrInvalid when there provably is none, and any other error when the
	// store cannot tell.
	Resolve(ctx context.Context, token string) (Click, error)
}
