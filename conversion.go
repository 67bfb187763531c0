package clickid

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
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

// finder fills in the click of an event. With later the sender resolves tokens
// itself.
type finder func(ctx context.Context, e *Event, later bool) error

// once returns a finder that asks find at most once for each value of later, so
// that several senders cost one look-up.
func (find finder) once() finder {
	type found struct {
		asked bool
		click Click
		token string
		err   error
	}
	var kept [2]found
	return func(ctx context.Context, e *Event, later bool) error {
		f := &kept[0]
		if later {
			f = &kept[1]
		}
		if !f.asked {
			var filled Event
			f.err = find(ctx, &filled, later)
			f.asked, f.click, f.token = true, filled.Click, filled.ClickToken
		}
		e.Click, e.ClickToken = f.click, f.token
		return f.err
	}
}

// convert hands e to s after find has filled in its click.
func convert(ctx context.Context, s Sender, e Event, options []ConvertOption, find finder) (Result, error) {
	o := convertOptions{timeout: DefaultConvertTimeout}
	for _, option := range options {
		option(&o)
	}
	ctx, cancel := detached(ctx, o.timeout)
	defer cancel()
	result := convertTo(ctx, s, e, find.once())
	return result, result.Err
}

func convertTo(ctx context.Context, s Sender, e Event, find finder) Result {
	if s == nil {
		return failed(&e, errNoSender)
	}
	if several, ok := s.(senders); ok && len(several) > 0 {
		parts := make([]Result, 0, len(several))
		several.each(ctx, func(ctx context.Context, part Sender) {
			parts = append(parts, convertTo(ctx, part, e, find))
		})
		return combine(&e, parts)
	}
	if v := visitFrom(ctx); v != nil && e.Consent == ConsentUnknown {
		switch consent := v.currentConsent(); {
		case consent == ConsentDenied:
			e.Consent = ConsentDenied
		case consent == ConsentUnknown && !v.tracker.sendUnknown:
			return Result{
				Type: e.Type, ID: e.ID, Verdict: VerdictSkippedConsent,
				Reason: "the visitor's consent is unknown",
			}
		}
	}
	if e.Click.IsZero() && e.ClickToken == "" && e.Consent != ConsentDenied {
		if err := find(ctx, &e, resolvesTokens(s)); err != nil && !errors.Is(err, ErrNotFound) {
			return failed(&e, fmt.Errorf("clickid: the click of the event could not be looked up: %w", err))
		}
	}
	return send(ctx, s, e).Results[0]
}

// send returns the report of s. It has one result for each event, and none that
// means success without a verdict.
func send(ctx context.Context, s Sender, events ...Event) Report {
	report, err := s.Send(ctx, events...)
	if len(report.Results) != len(events) {
		results := make([]Result, len(events))
		for i := range events {
			results[i] = failed(&events[i], errors.Join(errNoResult, err))
		}
		return Report{Results: results}
	}
	report.Results = slices.Clone(report.Results)
	unexplained := err != nil && report.Err() == nil
	for i := range report.Results {
		r := &report.Results[i]
		switch {
		case unexplained:
			*r = failed(&events[i], err)
		case r.Verdict == 0:
			*r = failed(&events[i], errors.Join(errNoResult, r.Err))
		}
		if r.Warnings == nil && len(events) == 1 {
			r.Warnings = report.Warnings
		}
		if r.MatchQuality == nil {
			r.MatchQuality = report.MatchQuality
		}
	}
	return report
}

func failed(e *Event, err error) Result {
	return Result{Type: e.Type, ID: e.ID, Verdict: VerdictFailed, Err: err}
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

// Senders returns a sender that hands every event to each sender of the list:
// two platforms, or a platform and the shop's own analytics.
//
//	both := clickid.Senders(scope3.In(tx), other.In(tx))
//
// It calls them in turn, since they may share a transaction, and divides the
// time until the deadline of the context equally among those that are left, so
// that a platform that hangs leaves time for the others. A failure of one does
// not keep the event from the others.
//
// The result of an event has the result of each sender in Parts. Its verdict
// and reason are those of the worst part. From best to worst: accepted, queued,
// ready, skipped as organic, skipped for consent, dead letter, rejected, failed.
// So the verdict is failed when sending the event again can help at least one
// destination; the others know its ID and do not count it twice. Err joins the
// errors of the parts.
//
// [Convert] gives each sender what it needs: the token to one that resolves
// tokens, and the click to the others. A failed look-up fails only these.
//
// Later changes of the list have no effect. A nil sender in the list, and an
// empty list, fail every event.
func Senders(list ...Sender) Sender {
	s := make(senders, 0, len(list))
	for _, part := range list {
		if inner, ok := part.(senders); ok && len(inner) > 0 {
			s = append(s, inner...)
		} else {
			s = append(s, part)
		}
	}
	return s
}

type senders []Sender

var (
	errEmptySenders = errors.New("clickid: Senders needs at least one Sender; its list is empty")
	errNilInSenders = errors.New("clickid: a Sender in the list of Senders is nil; check the error of its constructor")
)

// Send implements [Sender].
func (s senders) Send(ctx context.Context, events ...Event) (Report, error) {
	results := make([]Result, len(events))
	if len(s) == 0 {
		for i := range events {
			results[i] = failed(&events[i], errEmptySenders)
		}
	}
	report := Report{Results: results}
	parts := make([][]Result, len(events)) // by event
	s.each(ctx, func(ctx context.Context, part Sender) {
		sent := send(ctx, part, events...)
		for i, result := range sent.Results {
			parts[i] = append(parts[i], result)
		}
		report.Warnings = appendNew(report.Warnings, sent.Warnings...)
	})
	for i := range parts {
		if len(s) > 0 {
			results[i] = combine(&events[i], parts[i])
		}
	}
	return report, report.Err()
}

// ResolvesTokens reports whether all of the senders resolve tokens. Convert
// asks each of them.
func (s senders) ResolvesTokens() bool {
	return len(s) > 0 && !slices.ContainsFunc(s, func(part Sender) bool { return !resolvesTokens(part) })
}

// each calls f for every sender, with its share of the time.
func (s senders) each(ctx context.Context, f func(ctx context.Context, part Sender)) {
	for i, part := range s {
		if part == nil {
			part = nilSender{}
		}
		withShare(ctx, len(s)-i, func(ctx context.Context) { f(ctx, part) })
	}
}

// withShare calls f with the share of ctx's time that each of n has.
func withShare(ctx context.Context, n int, f func(ctx context.Context)) {
	if deadline, ok := ctx.Deadline(); ok && n > 1 {
		shared, cancel := context.WithTimeout(ctx, time.Until(deadline)/time.Duration(n))
		defer cancel()
		ctx = shared
	}
	f(ctx)
}

// nilSender stands for a nil sender in a list.
type nilSender struct{}

func (nilSender) Send(_ context.Context, events ...Event) (Report, error) {
	report := Report{Results: make([]Result, len(events))}
	for i := range events {
		report.Results[i] = failed(&events[i], errNilInSenders)
	}
	return report, report.Err()
}

// ResolvesTokens spares the look-up for an event that fails anyway.
func (nilSender) ResolvesTokens() bool { return true }

// combine returns the result of an event with the results of its destinations.
func combine(e *Event, parts []Result) Result {
	r := Result{Type: e.Type, ID: e.ID, Parts: parts, Err: Report{Results: parts}.Err()}
	for i, part := range parts {
		if i == 0 || part.Verdict.severity() > r.Verdict.severity() {
			r.Verdict, r.Reason = part.Verdict, part.Reason
		}
		r.Warnings = appendNew(r.Warnings, part.Warnings...)
	}
	return r
}

// appendNew appends the texts that list does not have.
func appendNew(list []string, texts ...string) []string {
	for _, text := range texts {
		if !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
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

// Err joins the errors of the results. It is nil when no event was rejected or
// failed. [errors.Is] and [errors.As] find the error of every event; the text
// has at most ten different texts and the number of the others.
func (r Report) Err() error {
	var all []error
	for _, result := range r.Results {
		switch err := result.Err.(type) {
		case nil:
		case *sendErrors:
			all = append(all, err.all...)
		default:
			all = append(all, err)
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return &sendErrors{all}
}

// maxErrorTexts is the number of texts that the error of a report has: enough to
// see what is wrong, and short enough for a log.
const maxErrorTexts = 10

// sendErrors are the errors of several events.
type sendErrors struct{ all []error }

// Error returns the first texts, each once, and how many there are besides.
func (s *sendErrors) Error() string {
	var b strings.Builder
	seen := make(map[string]bool, len(s.all))
	for _, err := range s.all {
		text := err.Error()
		if seen[text] {
			continue
		}
		seen[text] = true
		if len(seen) > maxErrorTexts {
			continue
		}
		if len(seen) > 1 {
			b.WriteByte('\n')
		}
		b.WriteString(text)
	}
	if more := len(seen) - maxErrorTexts; more > 0 {
		fmt.Fprintf(&b, "\nand %d more", more)
	}
	return b.String()
}

// Unwrap returns the errors of all events.
func (s *sendErrors) Unwrap() []error { return s.all }

// Format prints Error for every verb, since %#v would print what the errors
// keep out of their text.
func (s *sendErrors) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.Error()) }

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
	// Parts are the results of the destinations, in the order of the list, when
	// several senders have the event (see [Senders]). Destination, MatchQuality
	// and Responses are then those of the parts.
	Parts []Result
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

// bestToWorst is the order in which the verdict of several senders is chosen;
// see [Senders].
var bestToWorst = []Verdict{
	VerdictAccepted, VerdictQueued, VerdictReady, VerdictSkippedOrganic, VerdictSkippedConsent,
	VerdictDeadLettered, VerdictRejected, VerdictFailed,
}

// severity returns the place of the verdict in that order. A verdict that is
// not known is worse than all others.
func (v Verdict) severity() int {
	if i := slices.Index(bestToWorst, v); i >= 0 {
		return i
	}
	return len(bestToWorst)
}

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
