package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clickid/clickid"
)

// Bounds of one delivery.
const (
	// MaxDuration is longer than any [Delivery.Deliver] takes: the shortest
	// time after which an engine may give a delivery up for lost.
	MaxDuration = 90 * time.Second

	holdLimit      = 30 * time.Second // of waiting for the platform's return
	sendTimeout    = 50 * time.Second // of look-ups and the shared request
	consentTimeout = 5 * time.Second
)

// Delivery is what all engines share: it admits events to the queue, delivers
// one, and says what is to become of it. It holds the batcher that lets the
// deliveries of one process share requests, and the breaker that keeps them
// back while the platform is away.
//
// It is safe for concurrent use and starts no goroutine of its own.
type Delivery struct {
	cfg      Config
	batcher  *clickid.Batcher
	platform *breaker
	lookups  *breaker
	observer

	stop        chan struct{}
	interrupted sync.Once
	newerSeen   atomic.Int64 // when NewerVersion was observed last
}

// NewDelivery checks the whole configuration and returns a delivery, or every
// problem at once. Later changes of cfg have no effect.
func NewDelivery(cfg Config) (*Delivery, error) {
	cfg, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	d := &Delivery{cfg: cfg, observer: observer{hook: cfg.Hook, logger: cfg.Logger}, stop: make(chan struct{})}
	d.platform = newBreaker(cfg.MinSnooze, min(cfg.MaxSnooze, maxProbeInterval), d.platformChanged)
	d.lookups = newBreaker(cfg.MinSnooze, cfg.MaxSnooze, d.lookupsChanged)
	client := cfg.Client.WithRetry(clickid.Retry{Attempts: 1}).WithGuard(d.guard)
	d.batcher, err = clickid.NewBatcher(client, clickid.BatcherConfig{MaxDelay: cfg.Linger})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Admit checks events exactly as the client does before it sends them, and
// returns the records of those that are to be queued. The report gives these
// as queued, and the others as they are: skipped, rejected or failed. Events
// of the same identity share a record.
func (d *Delivery) Admit(events ...clickid.Event) (clickid.Report, []Record) {
	return admit(d.cfg.Client, events)
}

// Send is an engine's Send: it admits the events and puts their records into
// q. When q returns an error, they failed with it.
func (d *Delivery) Send(ctx context.Context, q Queue, events ...clickid.Event) (clickid.Report, error) {
	return send(ctx, d.cfg.Client, q, events)
}

// Deliver sends one event, together with those that other workers deliver at
// the same time, and says what the engine is to do with it. attempt counts the
// deliveries of this event from 1; snoozes do not count.
//
// While the platform is away it waits for its return, up to 30 seconds, before
// it answers with a snooze: the backlog stays in the queue instead of passing
// through the workers over and over, and leaves as soon as the platform is
// back. A longer wait that the platform asked for is a snooze at once. It
// returns within [MaxDuration].
//
// When ctx ends, or [Delivery.Interrupt] is called while it waits, the verdict
// is a snooze without a wait: nothing is lost and no attempt is used. An
// engine writes the verdict down with a context of its own.
func (d *Delivery) Deliver(ctx context.Context, r Record, attempt int) Outcome {
	outcome, kind := d.deliver(ctx, r)
	if outcome.Verdict == Retry {
		outcome.Wait = grow(d.cfg.MinSnooze, d.cfg.MaxSnooze, attempt)
		if attempt >= d.cfg.MaxAttempts {
			outcome.Verdict, outcome.Wait = Dead, 0
		}
	}
	d.report(ctx, r, kind, outcome)
	return outcome
}

// deliver is Deliver without the counting of attempts. It returns the event's
// type as well, where it came to read it.
func (d *Delivery) deliver(ctx context.Context, r Record) (Outcome, clickid.EventType) {
	if time.Since(r.QueuedAt) > d.cfg.Horizon {
		e, _ := r.Event()
		return dead("it waited longer than the acceptance horizon", 0), e.Type
	}
	leave, wait, ok := d.platform.await(ctx, d.stop, holdLimit)
	if !ok && wait == 0 {
		return snooze(0, reasonInterrupted, 0), ""
	}
	if !ok {
		return snooze(spread(wait), reasonAway, 0), ""
	}
	defer leave()
	e, err := r.Event()
	if err != nil {
		return d.unreadable(ctx, r, err), ""
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if d.recheck(&e); !d.needsLookup(e) {
		outcome, _ := d.send(ctx, r, e)
		return outcome, e.Type
	}
	done, ok := d.lookups.allow()
	if !ok {
		return d.lookupFailed(r), e.Type
	}
	outcome, end := d.lookUpAndSend(ctx, r, e)
	if done(end); end.health == failing {
		outcome = d.lookupFailed(r) // waits as long as the others
	}
	return outcome, e.Type
}

// unreadable returns what becomes of a record that cannot be read.
func (d *Delivery) unreadable(ctx context.Context, r Record, err error) Outcome {
	if !errors.Is(err, ErrNewerVersion) {
		return dead("the stored event is damaged", 0)
	}
	now := time.Now().UnixNano()
	if last := d.newerSeen.Load(); now-last >= int64(alarmInterval) && d.newerSeen.CompareAndSwap(last, now) {
		d.observe(ctx, Observation{Kind: NewerVersion, Err: err})
	}
	return snooze(d.backoff(r), "it was queued by a newer version of the library", 0)
}

const (
	reasonInterrupted = "the delivery was interrupted"
	reasonAway        = "the platform is away"
	reasonLookup      = "the click or the consent cannot be looked up"
)

// recheck makes the click of e be looked up again where that is asked for.
func (d *Delivery) recheck(e *clickid.Event) {
	if d.cfg.RecheckClick && e.ClickToken != "" && time.Now().Before(e.Click.Expires) {
		e.Click = clickid.Click{}
	}
}

// needsLookup reports whether a delivery of e asks a system of the application.
func (d *Delivery) needsLookup(e clickid.Event) bool {
	return d.cfg.Consent != nil || e.Click.IsZero() && e.ClickToken != ""
}

// lookUpAndSend asks for the consent and sends the event. The ending is that of
// the look-ups.
func (d *Delivery) lookUpAndSend(ctx context.Context, r Record, e clickid.Event) (Outcome, ending) {
	if d.cfg.Consent != nil {
		consent, err := d.consent(ctx, e)
		switch {
		case errors.Is(err, errPanicked):
			return Outcome{Verdict: Retry, Failure: Failure{Reason: "the Consent function panicked"}}, ending{}
		case err != nil && ctx.Err() != nil:
			return snooze(0, reasonInterrupted, 0), ending{health: unknown}
		case err != nil:
			return d.lookupFailed(r), ending{health: failing, err: err}
		case consent != clickid.ConsentGranted:
			return Outcome{Verdict: Done, Failure: Failure{Reason: "the person's consent is " + consent.String()}}, ending{}
		}
		e.Consent = consent
	}
	return d.send(ctx, r, e)
}

var errPanicked = errors.New("clickid: the function panicked")

// consent asks the application. A panic of its function must not end the
// process that serves the shop.
func (d *Delivery) consent(ctx context.Context, e clickid.Event) (c clickid.Consent, err error) {
	ctx, cancel := context.WithTimeout(ctx, consentTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			// The value of the panic may be personal, its place is not.
			d.logger.ErrorContext(ctx, "clickid: outbox: the Consent function panicked", "stack", string(debug.Stack()))
			err = errPanicked
		}
	}()
	return d.cfg.Consent(ctx, e)
}

// lookupFailed returns what becomes of an event while look-ups fail.
func (d *Delivery) lookupFailed(r Record) Outcome {
	if wait, open := d.lookups.remaining(); open {
		return snooze(spread(max(wait, d.cfg.MinSnooze)), reasonLookup, 0)
	}
	return snooze(d.backoff(r), reasonLookup, 0)
}

// send sends the event and judges the result. The ending is that of the
// look-up of its click.
func (d *Delivery) send(ctx context.Context, r Record, e clickid.Event) (Outcome, ending) {
	report, _ := d.batcher.Send(ctx, e)
	result := report.Results[0]
	switch result.Verdict {
	case clickid.Accepted:
		return Outcome{Verdict: Done}, ending{}
	case clickid.SkippedOrganic, clickid.SkippedConsent:
		return Outcome{Verdict: Done, Failure: Failure{Reason: result.Reason}}, ending{}
	case clickid.Rejected:
		return dead(result.Reason, statusOf(result.Err)), ending{}
	}
	return d.judge(ctx, r, result.Err)
}

// judge says what becomes of an event that was not accepted this time. What is
// no error of sending is one of looking the click up.
func (d *Delivery) judge(ctx context.Context, r Record, err error) (Outcome, ending) {
	refusal := (*clickid.ResponseError)(nil)
	switch {
	case errors.As(err, &refusal) && !refusal.Temporary() && !refusal.Configuration():
		return Outcome{Verdict: Retry, Failure: Failure{Reason: reason(err), Status: refusal.Status}}, ending{}
	case refusal != nil:
		return snooze(d.patience(r, refusal.RetryAfter), reason(err), refusal.Status), ending{}
	case errors.Is(err, errAway):
		return snooze(d.patience(r, 0), reasonAway, 0), ending{}
	case errors.Is(ctx.Err(), context.Canceled):
		return snooze(0, reasonInterrupted, 0), ending{health: unknown}
	case errors.As(err, new(*clickid.TransportError)):
		return snooze(d.patience(r, 0), reason(err), 0), ending{}
	case ctx.Err() != nil, errors.Is(err, clickid.ErrNotSent):
		// There was no room for it under the client's own limits, or the
		// delivery is closed.
		return snooze(spread(2*d.cfg.MinSnooze), "its turn did not come", 0), ending{health: unknown}
	}
	return d.lookupFailed(r), ending{health: failing, err: err}
}

// reason returns the text of the platform's refusal or silence as a failure's.
func reason(err error) string {
	if refusal := (*clickid.ResponseError)(nil); errors.As(err, &refusal) {
		err = refusal
	} else if silence := (*clickid.TransportError)(nil); errors.As(err, &silence) {
		err = silence
	}
	return strings.TrimPrefix(err.Error(), "clickid: ")
}

// patience returns how long an event waits that an outage stopped.
func (d *Delivery) patience(r Record, asked time.Duration) time.Duration {
	wait, open := d.platform.remaining()
	if !open {
		wait = d.backoff(r)
	}
	return spread(max(wait, asked, d.cfg.MinSnooze))
}

// backoff returns a wait that grows with the time the event has waited
// already: as exponential as counting, without a counter that engines would
// have to keep.
func (d *Delivery) backoff(r Record) time.Duration {
	wait := min(max(time.Since(r.QueuedAt), d.cfg.MinSnooze), d.cfg.MaxSnooze)
	return wait - rand.N(wait/2+1)
}

// spread lengthens a wait by up to a tenth, at most ten seconds, so that not
// everything is due at once.
func spread(wait time.Duration) time.Duration {
	return wait + rand.N(min(wait/10, 10*time.Second)+1)
}

// grow returns the wait after the given number of attempts.
func grow(shortest, longest time.Duration, attempt int) time.Duration {
	wait := shortest
	for i := 1; i < attempt && wait < longest; i++ {
		wait *= 2
	}
	wait = min(wait, longest)
	return wait - rand.N(wait/2+1)
}

func dead(reason string, status int) Outcome {
	return Outcome{Verdict: Dead, Failure: Failure{Reason: reason, Status: status}}
}

func snooze(wait time.Duration, reason string, status int) Outcome {
	return Outcome{Verdict: Snooze, Wait: wait, Failure: Failure{Reason: reason, Status: status}}
}

func statusOf(err error) int {
	if re := (*clickid.ResponseError)(nil); errors.As(err, &re) {
		return re.Status
	}
	return 0
}

// report tells what became of an event, once it is settled.
func (d *Delivery) report(ctx context.Context, r Record, kind clickid.EventType, outcome Outcome) {
	o := Observation{Type: kind, Reason: outcome.Failure.Reason, Status: outcome.Failure.Status, Latency: max(0, time.Since(r.QueuedAt))}
	switch {
	case outcome.Verdict == Dead:
		o.Kind = DeadLettered
	case outcome.Verdict == Done && outcome.Failure.Reason != "":
		o.Kind = Skipped
	case outcome.Verdict == Done:
		o.Kind = Delivered
	default:
		return
	}
	d.observe(ctx, o)
}

var errAway = fmt.Errorf("clickid: %s", reasonAway)

// guard lets a request of the client pass or not.
func (d *Delivery) guard() (func(error), error) {
	done, ok := d.platform.allow()
	if !ok {
		return nil, errAway
	}
	return func(err error) { done(diagnose(err)) }, nil
}

// diagnose returns what the end of a request says about the platform.
func diagnose(err error) ending {
	end := ending{err: err}
	refusal := (*clickid.ResponseError)(nil)
	switch {
	case errors.As(err, &refusal):
		end.wait = refusal.RetryAfter
		switch {
		case refusal.Configuration():
			end.health = refusing
		case refusal.Temporary() && (refusal.Status == http.StatusTooManyRequests || refusal.RetryAfter > 0):
			end.health = pausing
		case refusal.Temporary():
			end.health = failing
		}
	case errors.Is(err, context.Canceled):
		end.health = unknown
	case err != nil:
		end.health = failing
	}
	return end
}

func (d *Delivery) platformChanged(state breakerState, err error) {
	kinds := map[breakerState]Kind{breakerOpened: PlatformAway, breakerRefused: ConfigurationRefused, breakerClosed: PlatformBack}
	d.observe(context.Background(), Observation{Kind: kinds[state], Status: statusOf(err), Err: err})
}

func (d *Delivery) lookupsChanged(state breakerState, err error) {
	kind := LookupsFailing
	if state == breakerClosed {
		kind = LookupsBack
	}
	d.observe(context.Background(), Observation{Kind: kind, Err: err})
}

// Interrupt makes every Deliver that waits for the platform's return answer
// with a snooze at once, now and later. Engines call it first when they stop,
// so that an outage does not use up the time they have for it; what is being
// sent goes on.
func (d *Delivery) Interrupt() {
	d.interrupted.Do(func() { close(d.stop) })
}

// Close interrupts, and returns when every request has ended, or with an error
// when ctx ends first. Later deliveries are snoozes. Closing twice is no error.
func (d *Delivery) Close(ctx context.Context) error {
	d.Interrupt()
	return d.batcher.Close(ctx)
}
