package clickid

import (
	"context"
	"errors"
	"fmt"
)

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
