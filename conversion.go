package clickid

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/clickid/clickid/internal/errlist"
)

// DefaultConvertTimeout limits a call of [Convert].
const DefaultConvertTimeout = 10 * time.Second

// ConvertOption is an option of [Convert].
type ConvertOption func(*convertOptions)

type convertOptions struct {
	timeout time.Duration
}

// ConvertTimeout limits the call, including the lookup and all retries. It
// defaults to 10 seconds, also if d is not positive.
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

// Convert finds the visitor's click in ctx and sends the event with it to s. A
// shop calls it when an order completes.
//
// A Click or ClickToken in the event takes precedence over the visitor's. Behind
// several trackers, Convert uses the click and the consent of the outermost, and
// those of another tracker for a sender of its [Tracker.Bind]. An order without
// a click is organic: it is not sent, and the error is nil. A failed lookup never
// makes an order organic. If s resolves tokens later (see [Sender]), it gets the
// token without a lookup. Otherwise Convert looks up the click, and the verdict
// is [VerdictFailed] if the store is unavailable.
//
// The event of a visitor who has denied consent is skipped, and so is that of a
// visitor whose consent is unknown, unless [Config].SendUnknown is set. The events
// of other visitors have [ConsentGranted]. Consent in the event takes precedence
// over the visitor's.
//
// Convert outlives the visitor's connection: it ignores the cancellation of ctx
// but keeps its deadline, and ends within 10 seconds unless [ConvertTimeout]
// sets another limit. The error is that of the result.
func Convert(ctx context.Context, s Sender, e Event, options ...ConvertOption) (Result, error) {
	return convert(ctx, s, nil, e, options, fillFromVisit)
}

// ConvertFor is [Convert] with the click that is linked to a key of the
// application, such as the order of a payment webhook or a session. If the key
// has no link, it uses the tracker's click of the visitor in ctx, if any. For a
// sender of another tracker's [Tracker.Bind] it uses the links and the visitor's
// click of that tracker.
//
// The verdict is [VerdictFailed] if the linker or the store is unavailable. A
// webhook that returns the error is sent again.
func (t *Tracker) ConvertFor(ctx context.Context, k Key, s Sender, e Event, options ...ConvertOption) (Result, error) {
	return convert(ctx, s, t, e, options, func(ctx context.Context, t *Tracker, e *Event, later bool) error {
		err := t.fill(ctx, k, e, later)
		if errors.Is(err, ErrNotFound) {
			return fillFromVisit(ctx, t, e, later)
		}
		return err
	})
}

// finder sets the click of an event to that of a tracker, or of the outermost
// one if t is nil. With later it sets the token, for a sender that resolves it.
type finder func(ctx context.Context, t *Tracker, e *Event, later bool) error

// once returns a finder that calls find at most once for the same arguments, so
// that several senders share a lookup.
func (find finder) once() finder {
	type arguments struct {
		t     *Tracker
		later bool
	}
	type found struct {
		click Click
		token string
		err   error
	}
	kept := make(map[arguments]found)
	return func(ctx context.Context, t *Tracker, e *Event, later bool) error {
		f, known := kept[arguments{t, later}]
		if !known {
			var filled Event
			f.err = find(ctx, t, &filled, later)
			f.click, f.token = filled.Click, filled.ClickToken
			kept[arguments{t, later}] = f
		}
		e.Click, e.ClickToken = f.click, f.token
		return f.err
	}
}

// convert sets the click of e with find and sends e to s. t is nil for the
// outermost tracker.
func convert(ctx context.Context, s Sender, t *Tracker, e Event, options []ConvertOption, find finder) (Result, error) {
	o := convertOptions{timeout: DefaultConvertTimeout}
	for _, option := range options {
		option(&o)
	}
	ctx, cancel := detached(ctx, o.timeout)
	defer cancel()
	result := convertTo(ctx, s, t, e, find.once())
	return result, result.Err
}

func convertTo(ctx context.Context, s Sender, t *Tracker, e Event, find finder) Result {
	if b, ok := s.(bound); ok {
		return convertTo(ctx, b.sender, b.tracker, e, find)
	}
	if s == nil {
		return failed(&e, errNoSender)
	}
	if several, ok := s.(senders); ok && len(several) > 0 {
		parts := make([]Result, 0, len(several))
		several.each(ctx, func(ctx context.Context, part Sender) {
			parts = append(parts, convertTo(ctx, part, t, e, find))
		})
		return combine(&e, parts)
	}
	if v := visitorOf(ctx, t); v != nil && e.Consent == ConsentUnknown {
		switch consent := v.currentConsent(); {
		case consent != ConsentDenied && v.tracker == nil:
			// WithClick makes no statement about user identities.
		case consent == ConsentGranted, consent == ConsentUnknown && v.tracker.sendUnknown:
			e.Consent = ConsentGranted
		default:
			// The sender skips it, and an outbox keeps that it did.
			e.Consent, e.Click, e.ClickToken, e.User = ConsentDenied, Click{}, "", User{}
		}
	}
	var untraced *traceError
	if e.Click.IsZero() && e.ClickToken == "" && e.Consent != ConsentDenied {
		err := find(ctx, t, &e, resolvesTokens(s))
		if err != nil && !errors.Is(err, ErrNotFound) {
			return failed(&e, fmt.Errorf("clickid: looking up the click of the event: %w", err))
		}
		errors.As(err, &untraced)
	}
	result := send(ctx, s, e).Results[0]
	if untraced != nil && result.Verdict == VerdictSkippedOrganic {
		result.Reason += ": " + untraced.reason
	}
	return result
}

// send returns the report of s. It makes sure that there is a result with a
// verdict for each event.
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
		if len(events) == 1 {
			r.Warnings = appendNew(slices.Clip(r.Warnings), report.Warnings...)
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

// Sender accepts conversions. A capi.Client sends them now. An outbox stores
// them and sends them in the background.
//
// A sender that resolves tokens later, such as an outbox at delivery, has a
// method ResolvesTokens() bool that returns true. [Convert] then passes the
// visitor's token without calling the store.
//
// Implementations are safe for concurrent use, and do not keep or change the
// events after Send has returned. They skip an event with [ConsentDenied].
// [Convert] removes click and user from the event of a visitor without consent,
// and still passes it on, so that an outbox can record the skip.
type Sender interface {
	// Send accepts the events and returns a report with a result for each in
	// their order, even if it fails. The error is non-nil exactly when an event
	// was rejected or failed. It joins the errors of the results.
	Send(ctx context.Context, events ...Event) (Report, error)
}

// Senders returns a sender that sends every event to each sender of the list,
// for example to two platforms.
//
//	both := clickid.Senders(scope3.In(tx), other.In(tx))
//
// It calls them one after the other, since they may share a transaction. The
// remaining senders share the time until the context's deadline equally, so
// that a platform that hangs leaves time for others. A failure of one does not
// affect the others.
//
// The result of an event has the results of the senders in Parts, and the verdict
// and the reason of the worst part. From best to worst: accepted, queued, ready,
// skipped as organic, skipped for consent, dead letter, rejected, failed. If the
// verdict is failed, sending the event again may help; destinations that have
// accepted it count it once. Err joins the errors of the parts.
//
// [Convert] passes the token to senders that resolve tokens, and the click to
// others. A failed lookup only fails the latter. Each sender of [Tracker.Bind]
// gets the click of its own tracker.
//
// Later changes of the list have no effect. A nil sender in the list and an
// empty list fail every event.
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

// ResolvesTokens reports whether all senders resolve tokens. Convert calls it
// for each of them.
func (s senders) ResolvesTokens() bool {
	return len(s) > 0 && !slices.ContainsFunc(s, func(part Sender) bool { return !resolvesTokens(part) })
}

// each calls f for every sender with its share of the time.
func (s senders) each(ctx context.Context, f func(ctx context.Context, part Sender)) {
	for i, part := range s {
		if part == nil {
			part = failing{errNilInSenders}
		}
		withShare(ctx, len(s)-i, func(ctx context.Context) { f(ctx, part) })
	}
}

// withShare calls f with the share of ctx's time for each of n.
func withShare(ctx context.Context, n int, f func(ctx context.Context)) {
	if deadline, ok := ctx.Deadline(); ok && n > 1 {
		shared, cancel := context.WithTimeout(ctx, time.Until(deadline)/time.Duration(n))
		defer cancel()
		ctx = shared
	}
	f(ctx)
}

// failing fails every event, in place of a sender that is missing.
type failing struct{ err error }

func (f failing) Send(_ context.Context, events ...Event) (Report, error) {
	report := Report{Results: make([]Result, len(events))}
	for i := range events {
		report.Results[i] = failed(&events[i], f.err)
	}
	return report, report.Err()
}

// ResolvesTokens returns true, since the event fails without a lookup.
func (failing) ResolvesTokens() bool { return true }

// combine returns the result of an event from those of its destinations.
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

// appendNew appends the texts that are not in list.
func appendNew(list []string, texts ...string) []string {
	for _, text := range texts {
		if !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
}

// Report contains the results of a Send.
type Report struct {
	// Results has a result for each event in their order.
	Results []Result
	// Warnings are those of the results, and the platform's about accepted
	// events.
	Warnings []string
	// MatchQuality is the platform's estimate of how well it can attribute the
	// events, from 0 to 1, or nil.
	MatchQuality *float64
}

// Err joins the errors of the results. It is nil if no event was rejected or
// failed. [errors.Is] and [errors.As] find the error of every event. The text
// contains at most ten different texts and the number of the others.
func (r Report) Err() error {
	var all []error
	for _, result := range r.Results {
		if result.Err != nil {
			all = append(all, result.Err)
		}
	}
	return errlist.Join(all)
}

// Accepted reports whether every event was accepted or queued. It is false for
// a report without results.
func (r Report) Accepted() bool {
	for _, result := range r.Results {
		if result.Verdict != VerdictAccepted && result.Verdict != VerdictQueued {
			return false
		}
	}
	return len(r.Results) > 0
}

// Result is the result of an event.
type Result struct {
	// Type and ID are those of the event.
	Type EventType
	ID   string
	// Destination is the destination of the event, such as the data set or
	// event source, or "" if the sender does not set it.
	Destination string
	// Verdict is the outcome.
	Verdict Verdict
	// Reason is the reason why an event was skipped or refused, without
	// personal data.
	Reason string
	// Warnings are about fields that were left out and from the platform,
	// without personal data.
	Warnings []string
	// MatchQuality is the platform's estimate of how well it can attribute the
	// event, from 0 to 1, or nil.
	MatchQuality *float64
	// Responses is the number of verdicts of the platform on the event in this
	// call. An outbox adds it to [QueuedEvent].Responses.
	Responses int
	// Parts are the results of several senders (see [Senders]) in their order.
	// Destination, MatchQuality and Responses are set in the parts.
	Parts []Result
	// Err is non-nil exactly if the verdict is Rejected or Failed.
	Err error
}

// Verdict is the outcome of an event. No sender returns the zero value.
type Verdict int

// The verdicts on an event.
const (
	_ Verdict = iota
	// VerdictReady means that the event would be sent. Checks and dry runs
	// return it.
	VerdictReady
	// VerdictAccepted means that the platform has accepted the event, now or in
	// an earlier attempt.
	VerdictAccepted
	// VerdictQueued means that an outbox has stored the event and will send it.
	VerdictQueued
	// VerdictDeadLettered means that validation refuses the event and that an
	// outbox has stored it as a dead letter. It can be corrected. It is not an
	// error, since an error would roll the order back.
	VerdictDeadLettered
	// VerdictSkippedOrganic means that the event was not sent, since there is
	// nothing to attribute it by. It is not an error.
	VerdictSkippedOrganic
	// VerdictSkippedConsent means that the event was not sent, since the
	// consent does not allow it. It is not an error.
	VerdictSkippedConsent
	// VerdictRejected means that validation or the platform refuses this event.
	// Sending it again does not help.
	VerdictRejected
	// VerdictFailed means that the event was not accepted for a reason other
	// than the event. Sending it again may help.
	VerdictFailed
)

// bestToWorst is the order of verdicts for [Senders].
var bestToWorst = []Verdict{
	VerdictAccepted, VerdictQueued, VerdictReady, VerdictSkippedOrganic, VerdictSkippedConsent,
	VerdictDeadLettered, VerdictRejected, VerdictFailed,
}

// severity returns the position of the verdict in that order. Unknown verdicts
// are the worst.
func (v Verdict) severity() int {
	if i := slices.Index(bestToWorst, v); i >= 0 {
		return i
	}
	return len(bestToWorst)
}

var verdictTexts = [...]string{
	"none", "ready", "accepted", "queued", "dead letter", "skipped: organic", "skipped: consent", "rejected", "failed",
}

// String returns the verdict in lower case.
func (v Verdict) String() string {
	if v < 0 || int(v) >= len(verdictTexts) {
		return fmt.Sprintf("Verdict(%d)", int(v))
	}
	return verdictTexts[v]
}

// QueuedEvent is an event that an outbox delivers.
type QueuedEvent struct {
	Event Event // as it was sent to the outbox, with its click
	// Responses is the number of verdicts of the platform on the event. A
	// client derives the idempotency key of the request from it, since a
	// platform repeats its response to a known key.
	Responses int
}

// ErrInvalidEvent means that validation or the platform refuses an event.
var ErrInvalidEvent = errors.New("clickid: invalid event")

// SendError is the interface of the errors of clients. Use [errors.As] with a
// variable of this type. An outbox treats other errors of its destination as
// temporary.
//
// A method ErrorCode() string is optional. It returns the platform's code, which
// an outbox keeps with the attempts of an event.
type SendError interface {
	error
	// Kind returns the cause of the error.
	Kind() SendErrorKind
	// RetryAfter returns the wait that the platform asks for, or 0.
	RetryAfter() time.Duration
	// Status returns the HTTP status of the response, or 0 without a response.
	Status() int
}

// SendErrorKind is the cause of a [SendError].
type SendErrorKind int

// The causes of a [SendError].
const (
	// SendErrorTemporary means that the event may be accepted later.
	SendErrorTemporary SendErrorKind = iota
	// SendErrorConfiguration means that the platform accepts no event until the
	// configuration is fixed.
	SendErrorConfiguration
	// SendErrorEvent means that the platform refuses this event and names it or
	// its field. It is final.
	SendErrorEvent
	// SendErrorRefused means that the platform refuses the request and names
	// neither an event nor the configuration. It is provisional: keep the event
	// until another one is accepted.
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

// Resolver finds the click of a token. A [Tracker] is a resolver.
//
// A method RequiresConsent() bool is optional. If it returns true, senders leave
// out the user identities of events whose consent is unknown; see
// [Event].Consent.
type Resolver interface {
	// Resolve returns the click of a token. The error matches ErrNotFound or
	// ErrInvalid if there is certainly none. Any other error means that the
	// store is unavailable.
	Resolve(ctx context.Context, token string) (Click, error)
}
