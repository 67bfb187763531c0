package clickid

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// DefaultConvertTimeout bounds one call of [Convert].
const DefaultConvertTimeout = 10 * time.Second

// ConvertOption changes one call of [Convert].
type ConvertOption func(*convertOptions)

type convertOptions struct {
	timeout time.Duration
}

// ConvertTimeout bounds the whole call, look-up and sending with all retries.
// It defaults to 10 seconds, also for a d that is not positive.
func ConvertTimeout(d time.Duration) ConvertOption {
	return func(o *convertOptions) {
		if d > 0 {
			o.timeout = d
		}
	}
}

var (
	errNoSender = errors.New("clickid: Convert needs a Sender, such as a capi.Client or an outbox; it is nil")
	errNoResult = errors.New("clickid: the Sender returned no result for the event")
)

// Convert finds the visitor's click in ctx and hands the event to s. A shop
// calls it when an order completes.
//
// A Click or ClickToken in the event takes precedence over the visitor's. An
// order without a click is organic: it is not sent, the result tells why, and
// the error is nil. A failed look-up never makes an order organic. A sender
// that resolves tokens later (see [Sender]) takes the token without a look-up;
// for any other sender Convert looks the click up, and returns the verdict
// [VerdictFailed] when the store cannot tell.
//
// The event of a visitor who denied consent is skipped, and so is that of one
// who has not decided, unless [Config].SendUnknown is set. Consent in the event
// takes precedence over the visitor's.
//
// The call outlives the visitor's connection: it ignores the cancellation of
// ctx but keeps its deadline, and ends within 10 seconds unless
// [ConvertTimeout] sets another bound. The error is that of the result.
func Convert(ctx context.Context, s Sender, e Event, options ...ConvertOption) (Result, error) {
	return convert(ctx, s, e, options, func(ctx context.Context, e *Event, later bool) error {
		return visitFrom(ctx).fill(ctx, e, later)
	})
}

// ConvertFor is [Convert] for a click that was linked to the application's own
// key, such as the order or the session of a payment webhook. A key without a
// link leaves the visitor of ctx, if there is one.
//
// The verdict is [VerdictFailed] when the linker or the store cannot tell, so
// that a webhook that returns the error is delivered again.
func (t *Tracker) ConvertFor(ctx context.Context, k Key, s Sender, e Event, options ...ConvertOption) (Result, error) {
	return convert(ctx, s, e, options, func(ctx context.Context, e *Event, later bool) error {
		err := t.fill(ctx, k, e, later)
		if errors.Is(err, ErrNotFound) {
			return visitFrom(ctx).fill(ctx, e, later)
		}
		return err
	})
}

// convert hands e to s after find has filled in its click. With later the
// sender resolves tokens itself.
func convert(ctx context.Context, s Sender, e Event, options []ConvertOption, find func(ctx context.Context, e *Event, later bool) error) (Result, error) {
	if s == nil {
		return failed(&e, errNoSender)
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
			return Result{
				Type: e.Type, ID: e.ID, Verdict: VerdictSkippedConsent,
				Reason: "the visitor's consent is unknown",
			}, nil
		}
	}
	if e.Click.IsZero() && e.ClickToken == "" && e.Consent != ConsentDenied {
		if err := find(ctx, &e, resolvesTokens(s)); err != nil && !errors.Is(err, ErrNotFound) {
			return failed(&e, fmt.Errorf("clickid: the click of the event could not be looked up: %w", err))
		}
	}
	report, err := s.Send(ctx, e)
	if len(report.Results) != 1 {
		return failed(&e, errors.Join(errNoResult, err))
	}
	result := report.Results[0]
	if result.Warnings == nil {
		result.Warnings = report.Warnings
	}
	if result.MatchQuality == nil {
		result.MatchQuality = report.MatchQuality
	}
	return result, err
}

func failed(e *Event, err error) (Result, error) {
	return Result{Type: e.Type, ID: e.ID, Verdict: VerdictFailed, Err: err}, err
}

func resolvesTokens(s Sender) bool {
	r, ok := s.(interface{ ResolvesTokens() bool })
	return ok && r.ResolvesTokens()
}

// Sender takes conversions. A capi.Client sends them now; an outbox stores them
// and sends them in the background.
//
// A sender that looks the click of a token up later, as an outbox does at
// delivery, has a method ResolvesTokens() bool that returns true. [Convert]
// then gives it the visitor's token and does not ask the store.
//
// Implementations are safe for concurrent use and do not keep or change the
// events after Send returns.
type Sender interface {
	// Send takes the events and returns a report with one result for each, in
	// their order, also when it fails. The error is non-nil exactly when at
	// least one event was rejected or failed; it joins the results' errors.
	Send(ctx context.Context, events ...Event) (Report, error)
}

// Report tells what became of the events of one Send.
type Report struct {
	// Results has one entry for each event, in the order of the events.
	Results []Result
	// Warnings are the platform's remarks on events that it accepted.
	Warnings []string
	// MatchQuality is the platform's estimate of how well it can attribute the
	// events, from 0 to 1, or nil when it gave none.
	MatchQuality *float64
}

// Err joins the errors of the results, each once. It is nil when no event was
// rejected or failed.
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
		if result.Verdict != VerdictAccepted && result.Verdict != VerdictQueued {
			return false
		}
	}
	return len(r.Results) > 0
}

// Result tells what became of one event.
type Result struct {
	// Type and ID name the event as the caller did.
	Type EventType
	ID   string
	// Destination is where the event was to go, such as the data set or event
	// source, or "" when the sender does not tell.
	Destination string
	// Verdict is what became of the event.
	Verdict Verdict
	// Reason tells why an event was skipped or refused, without personal data.
	Reason string
	// Warnings name what was left out of the event and what the platform
	// remarked, without personal data.
	Warnings []string
	// MatchQuality is the platform's estimate of how well it can attribute the
	// event, from 0 to 1, or nil when it gave none.
	MatchQuality *float64
	// Responses counts the verdicts that the platform gave on the event in this
	// call. An outbox adds them to [QueuedEvent].Responses.
	Responses int
	// Err is non-nil exactly when the verdict is Rejected or Failed.
	Err error
}

// Verdict tells what became of one event. The zero value is none: no sender
// returns it.
type Verdict int

// Verdicts.
const (
	_ Verdict = iota
	// VerdictReady means that the event would be sent. A check and a dry run
	// return it.
	VerdictReady
	// VerdictAccepted means that the platform has the event, now or since an
	// earlier attempt.
	VerdictAccepted
	// VerdictQueued means that an outbox has the event and will send it.
	VerdictQueued
	// VerdictDeadLettered means that an outbox has stored the event as a dead
	// letter, since validation refuses it: it is kept and will not be sent until
	// it is corrected. Not an error, since an error would roll the order back.
	VerdictDeadLettered
	// VerdictSkippedOrganic means that there is nothing to attribute the event
	// by, so it was not sent. Not an error.
	VerdictSkippedOrganic
	// VerdictSkippedConsent means that the user's consent does not allow the
	// event, so it was not sent. Not an error.
	VerdictSkippedConsent
	// VerdictRejected means that validation or the platform refuses this very
	// event. Sending it again cannot help.
	VerdictRejected
	// VerdictFailed means that the event was not accepted this time, for a
	// reason outside of the event. Sending it again can help.
	VerdictFailed
)

// String returns the verdict in lower case words.
func (v Verdict) String() string {
	switch v {
	case VerdictReady:
		return "ready"
	case VerdictAccepted:
		return "accepted"
	case VerdictQueued:
		return "queued"
	case VerdictDeadLettered:
		return "dead letter"
	case VerdictSkippedOrganic:
		return "skipped: organic"
	case VerdictSkippedConsent:
		return "skipped: consent"
	case VerdictRejected:
		return "rejected"
	case VerdictFailed:
		return "failed"
	case 0:
		return "none"
	}
	return fmt.Sprintf("Verdict(%d)", int(v))
}

// QueuedEvent is an event that an outbox delivers.
type QueuedEvent struct {
	Event Event
	// Responses counts how often the platform has given a verdict on the event.
	// A client derives the idempotency key of the request from it, since a
	// platform repeats its response to a key that it knows.
	Responses int
}

// ErrInvalidEvent is matched by the error of an event that validation or the
// platform refuses.
var ErrInvalidEvent = errors.New("clickid: invalid event")

// SendError is implemented by the errors of a client, for callers who act on
// them. Use [errors.As] with a variable of this type. An outbox treats any
// other error of its destination as temporary.
type SendError interface {
	error
	// Kind tells what the error concerns.
	Kind() SendErrorKind
	// RetryAfter returns how long the platform asks to wait, or 0.
	RetryAfter() time.Duration
	// Status returns the HTTP status of the response, or 0 when there was none.
	Status() int
}

// SendErrorKind tells what a [SendError] concerns.
type SendErrorKind int

// Kinds of a [SendError].
const (
	// SendErrorTemporary means that the same event can be accepted later.
	SendErrorTemporary SendErrorKind = iota
	// SendErrorConfiguration means that the platform accepts no event at all
	// until the configuration is fixed.
	SendErrorConfiguration
	// SendErrorEvent means that this very event is refused: the platform names
	// it or one of its fields. It is final.
	SendErrorEvent
	// SendErrorRefused means that the request is refused and nothing tells
	// whether an event or the configuration is at fault. It is provisional: the
	// event can be kept until another one is accepted.
	SendErrorRefused
)

// String returns "temporary", "configuration", "event" or "refused".
func (k SendErrorKind) String() string {
	switch k {
	case SendErrorTemporary:
		return "temporary"
	case SendErrorConfiguration:
		return "configuration"
	case SendErrorEvent:
		return "event"
	case SendErrorRefused:
		return "refused"
	}
	return fmt.Sprintf("SendErrorKind(%d)", int(k))
}

// Resolver turns a token into its click. A [Tracker] is one.
type Resolver interface {
	// Resolve returns the click of a token, an error that matches ErrNotFound
	// or ErrInvalid when there provably is none, and any other error when the
	// store cannot tell.
	Resolve(ctx context.Context, token string) (Click, error)
}
