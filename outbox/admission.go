package outbox

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/clickid/clickid"
)

// sender checks the events of a Send as the destination would, and stores the
// records in a queue.
type sender struct {
	destination Destination
	metadata    func(context.Context) map[string]string // or nil
	queue       Enqueuer
	asksLater   bool // the consent is checked at delivery
	forgetSkips bool // a skipped event leaves no record
}

// ResolvesTokens reports whether the clicks of tokens are resolved at delivery.
// [clickid.Convert] then does not call the store.
func (s sender) ResolvesTokens() bool { return resolverOf(s.destination) != nil }

// Send implements [clickid.Sender].
func (s sender) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	a := s.admit(ctx, events)
	if len(a.records) > 0 {
		known, err := s.queue.Enqueue(ctx, a.records)
		if err != nil {
			a.fail(err)
		} else {
			a.addKnown(known)
		}
	}
	return a.report, a.report.Err()
}

// admission holds the results and records of a Send.
type admission struct {
	report  clickid.Report
	records []Record
	kept    []*Record // the record of each result, or nil
}

// admit checks events as the destination does before it sends them. Events of
// the same identity share a record.
func (s sender) admit(ctx context.Context, events []clickid.Event) *admission {
	a := &admission{
		report: clickid.Report{Results: make([]clickid.Result, len(events))},
		kept:   make([]*Record, len(events)),
	}
	known := make(map[string]bool)
	now := time.Now()
	metadata := s.metadataOf(ctx)
	for i, e := range events {
		record, result := s.admitOne(e, now)
		a.report.Results[i] = result
		a.report.Warnings = append(a.report.Warnings, result.Warnings...)
		if record == nil {
			continue
		}
		record.Metadata = metadata
		a.kept[i] = record
		if !known[record.Identity] {
			known[record.Identity] = true
			a.records = append(a.records, *record)
		}
	}
	return a
}

// admitOne returns the record of an event and its result. The record is nil if
// the event is not stored.
func (s sender) admitOne(e clickid.Event, now time.Time) (*Record, clickid.Result) {
	identified := e.User.Identified()
	withholds := s.withholds(e)
	if withholds {
		e = withoutIdentities(e)
	}
	result := s.check(e)
	if withholds {
		result.Warnings = append(result.Warnings, "the user identities were left out: the user's consent is unknown")
		if identified && result.Verdict == clickid.VerdictSkippedOrganic {
			result.Verdict, result.Reason = clickid.VerdictSkippedConsent, "the user's consent is unknown, and the event has no click"
		}
	}
	reason := result.Reason
	switch result.Verdict {
	case clickid.VerdictReady:
		record, err := newRecord(s.destination.Name(), e, now)
		if err != nil {
			// Decoration that has no JSON form is left out. The check has warned
			// of it, or refuses the event without it.
			kept, _ := storable(e)
			if s.check(kept).Verdict == clickid.VerdictReady {
				record, err = newRecord(s.destination.Name(), kept, now)
			}
		}
		if err == nil {
			result.Verdict = clickid.VerdictQueued
			return &record, result
		}
		reason = err.Error()
	case clickid.VerdictRejected:
	case clickid.VerdictSkippedOrganic, clickid.VerdictSkippedConsent:
		if s.forgetSkips {
			return nil, result
		}
		record, err := skippedRecord(s.destination.Name(), e, reason, now)
		if err != nil {
			return nil, result // it has no time that can be stored
		}
		return &record, result
	default:
		return nil, result
	}
	record, id := refusedRecord(s.destination.Name(), e, reason, now)
	result.Verdict, result.ID, result.Reason, result.Err = clickid.VerdictDeadLettered, id, record.Refused, nil
	return &record, result
}

// withholds reports whether the user identities of an event are left out, since
// the resolver requires consent and the event has none.
func (s sender) withholds(e clickid.Event) bool {
	if s.asksLater || e.Consent != clickid.ConsentUnknown {
		return false
	}
	r, ok := resolverOf(s.destination).(interface{ RequiresConsent() bool })
	return ok && r.RequiresConsent() && !reflect.DeepEqual(e.User, e.User.WithoutIdentities())
}

// withoutIdentities returns e without user identities. It can still be erased by
// the customer's key.
func withoutIdentities(e clickid.Event) clickid.Event {
	if e.User.ExternalID != "" {
		e.Keys = append(slices.Clone(e.Keys), clickid.CustomerKey(e.User.ExternalID))
	}
	e.User = e.User.WithoutIdentities()
	return e
}

// check calls the destination's Check. If it panics, for example in a
// MarshalJSON of the event, the event is refused.
func (s sender) check(e clickid.Event) (result clickid.Result) {
	defer func() {
		if recover() != nil {
			result = clickid.Result{Type: e.Type, ID: e.ID, Verdict: clickid.VerdictRejected, Reason: "checking the event panicked"}
		}
	}()
	if s.asksLater && e.Consent == clickid.ConsentUnknown {
		e.Consent = clickid.ConsentGranted // as at delivery, if it is sent
	}
	return s.destination.Check(e)
}

// metadataOf calls [Config].Metadata. It returns nil after a panic.
func (s sender) metadataOf(ctx context.Context) (metadata map[string]string) {
	if s.metadata == nil {
		return nil
	}
	defer func() {
		if recover() != nil {
			metadata = nil
		}
	}()
	return s.metadata(ctx)
}

// fail sets the result of every event with a record to the error of the queue.
func (a *admission) fail(err error) {
	for i, record := range a.kept {
		if record != nil {
			a.report.Results[i].Verdict, a.report.Results[i].Err = clickid.VerdictFailed, err
		}
	}
}

// addKnown adds to the results that an event was already known and how it
// differs from the stored one.
func (a *admission) addKnown(known map[string]string) {
	for i, record := range a.kept {
		if record == nil {
			continue
		}
		stored, ok := known[record.Identity]
		if !ok {
			continue
		}
		result := &a.report.Results[i]
		if result.Verdict == clickid.VerdictQueued {
			result.Reason = reasonKnown
		}
		if different := differences(stored, record.Fingerprint); len(different) > 0 {
			warning := knownDifferently(different)
			result.Warnings = append(result.Warnings, warning)
			a.report.Warnings = append(a.report.Warnings, warning)
		}
	}
}

func knownDifferently(different []string) string {
	return "the event is already known with another " + strings.Join(different, " and ") + ", and is not stored again"
}

const reasonKnown = "already known"

// EnqueueFunc is a function that implements [Enqueuer], such as an insertion in
// a transaction.
type EnqueueFunc func(ctx context.Context, records []Record) (known map[string]string, err error)

// Enqueue calls f.
func (f EnqueueFunc) Enqueue(ctx context.Context, records []Record) (map[string]string, error) {
	return f(ctx, records)
}
