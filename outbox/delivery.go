package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/batch"
)

// Bounds of one delivery.
const (
	// MaxDuration is longer than any [Delivery.Deliver] takes: the shortest
	// time after which a queue may take a delivery for lost.
	MaxDuration = 90 * time.Second

	holdLimit   = 30 * time.Second // of waiting while the platform is unavailable
	sendTimeout = 50 * time.Second // of look-ups and the shared request
)

// Delivery is what all queues share: it admits events, delivers one, and
// decides what is to become of it. It lets the deliveries of one process share
// requests, and holds them back while the platform is unavailable.
//
// It is safe for concurrent use and starts no goroutine of its own.
type Delivery struct {
	cfg      Config
	resolver clickid.Resolver // or nil
	batches  *batch.Collector[*sending]
	platform *breaker
	lookups  *breaker
	observer

	stop        chan struct{}
	interrupted sync.Once
	newerSeen   atomic.Int64 // when KindNewerVersion was observed last
}

// sending is one event on its way through the collector.
type sending struct {
	item   Item
	result clickid.Result
	err    error // why there is no result
}

// NewDelivery checks the whole configuration and returns a delivery, or every
// problem at once. Later changes of cfg have no effect.
func NewDelivery(cfg Config) (*Delivery, error) {
	cfg, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	d := &Delivery{
		cfg:      cfg,
		resolver: resolverOf(cfg.Destination),
		observer: observer{hook: cfg.Hook, logger: cfg.Logger},
		stop:     make(chan struct{}),
	}
	d.platform = newBreaker(cfg.MinSnooze, min(cfg.MaxSnooze, maxProbeInterval), d.platformChanged)
	d.lookups = newBreaker(cfg.MinSnooze, cfg.MaxSnooze, d.lookupsChanged)
	batches := batch.Config[*sending]{MaxItems: maxItemsOf(cfg.Destination), MaxDelay: cfg.Linger, MinInterval: cfg.Linger, Run: d.sendBatch}
	if cfg.Linger < 0 {
		batches.MaxItems = 1
	}
	d.batches = batch.New(batches)
	return d, nil
}

// Destination returns where the events go.
func (d *Delivery) Destination() Destination { return d.cfg.Destination }

// Logger returns the configured logger, for what a queue itself has to report.
func (d *Delivery) Logger() *slog.Logger { return d.cfg.Logger }

// Sender returns a sender that checks events as the destination would before it
// delivers them, and puts the records of those that are to be sent into q. It
// reports these as queued, and the others as they are: skipped, rejected or
// failed. When q returns an error, they failed with it.
func (d *Delivery) Sender(q Enqueuer) clickid.Sender {
	return sender{destination: d.cfg.Destination, queue: q}
}

// Admit checks events as the destination does before it sends them, and returns
// the records of those that are to be queued. The report gives these as queued,
// and the others as they are: skipped, rejected or failed. Events of the same
// identity share a record.
func (d *Delivery) Admit(events ...clickid.Event) (clickid.Report, []Record) {
	return admit(d.cfg.Destination, events)
}

// ResolvesTokens reports whether the clicks of tokens are looked up at delivery.
// The senders of a queue have a method of this name; see [clickid.Sender].
func (d *Delivery) ResolvesTokens() bool { return d.resolver != nil }

// Deliver sends one event, together with those that other workers deliver at
// the same time, and decides what the queue does with it. attempt counts the
// deliveries of this event from 1; snoozes do not count.
//
// While the platform is unavailable it waits up to 30 seconds before it returns
// a snooze: the backlog stays in the queue instead of passing through the
// workers over and over, and is delivered as soon as the platform is back. A
// longer wait that the platform asked for is a snooze at once. Deliver returns
// within [MaxDuration].
//
// When ctx ends, or [Delivery.Interrupt] is called while it waits, the outcome
// is a snooze without a wait, which uses no attempt. A queue records the
// outcome with a context of its own.
func (d *Delivery) Deliver(ctx context.Context, r Record, attempt int) Outcome {
	outcome, kind := d.deliver(ctx, r)
	if outcome.Action == ActionRetry {
		outcome.Wait = grow(d.cfg.MinSnooze, d.cfg.MaxSnooze, attempt)
		if attempt >= d.cfg.MaxAttempts {
			outcome.Action, outcome.Wait = ActionDeadLetter, 0
		}
	}
	d.report(ctx, r, kind, outcome)
	return outcome
}

// deliver is Deliver without the counting of attempts. It also returns the
// event's type where the event was read.
func (d *Delivery) deliver(ctx context.Context, r Record) (Outcome, clickid.EventType) {
	if time.Since(r.QueuedAt) > d.cfg.MaxAge {
		e, _ := r.Event()
		return dead("it waited longer than the maximum event age", 0), e.Type
	}
	turn := d.platform.await(ctx, d.stop, holdLimit)
	switch {
	case turn.leave != nil:
		defer turn.leave()
	case turn.wait > 0:
		return snooze(spread(turn.wait), reasonUnavailable, 0), ""
	default:
		return snooze(0, reasonInterrupted, 0), ""
	}
	e, err := r.Event()
	if err != nil {
		return d.unreadable(ctx, r, err), ""
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if outcome, ok := d.lookUp(ctx, r, &e); !ok {
		return outcome, e.Type
	}
	return d.send(ctx, r, e), e.Type
}

// unreadable returns what becomes of a record that cannot be read.
func (d *Delivery) unreadable(ctx context.Context, r Record, err error) Outcome {
	if !errors.Is(err, ErrNewerVersion) {
		return dead("the stored event is damaged", 0)
	}
	now := time.Now().UnixNano()
	if last := d.newerSeen.Load(); now-last >= int64(alertInterval) && d.newerSeen.CompareAndSwap(last, now) {
		d.observe(ctx, Observation{Kind: KindNewerVersion, Err: err})
	}
	return snooze(d.backoff(r), "it was queued by a newer version of the library", 0)
}

const (
	reasonInterrupted = "the delivery was interrupted"
	reasonUnavailable = "the platform is unavailable"
	reasonLookup      = "the click or the consent cannot be looked up"
)

// send sends the event in a batch and judges the result.
func (d *Delivery) send(ctx context.Context, r Record, e clickid.Event) Outcome {
	s := &sending{item: Item{Event: e, Responses: r.Responses}}
	if err := d.batches.Do(ctx, []*sending{s})[0]; err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return snooze(0, reasonInterrupted, 0)
		}
		return snooze(spread(2*d.cfg.MinSnooze), "it was not sent in time", 0)
	}
	if s.err != nil {
		return d.judge(ctx, r, s.err)
	}
	switch s.result.Verdict {
	case clickid.VerdictAccepted:
		return Outcome{Action: ActionDone}
	case clickid.VerdictSkippedOrganic, clickid.VerdictSkippedConsent:
		return skip(s.result.Reason)
	case clickid.VerdictRejected:
		return dead(s.result.Reason, statusOf(s.result.Err))
	}
	return d.judge(ctx, r, s.result.Err)
}

// backoff returns a wait that grows with the time the event has waited already.
// It needs no counter, which queues would have to keep.
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

// report reports the outcome of an event, once it is settled.
func (d *Delivery) report(ctx context.Context, r Record, kind clickid.EventType, outcome Outcome) {
	o := Observation{Type: kind, Reason: outcome.Failure.Reason, Status: outcome.Failure.Status, Latency: max(0, time.Since(r.QueuedAt))}
	switch {
	case outcome.Action == ActionDeadLetter:
		o.Kind = KindDeadLetter
	case outcome.Action == ActionDone && outcome.Failure.Reason != "":
		o.Kind = KindSkipped
	case outcome.Action == ActionDone:
		o.Kind = KindDelivered
	default:
		return
	}
	d.observe(ctx, o)
}

// Interrupt makes every Deliver that waits for the platform return a snooze at
// once, now and later. Queues call it first when they stop, so that an outage
// does not use up the time they have for it; what is being sent goes on.
func (d *Delivery) Interrupt() {
	d.interrupted.Do(func() { close(d.stop) })
}

// Close interrupts, and returns when every request has ended, or with an error
// when ctx ends first. Later deliveries are snoozes. Closing twice is not an
// error.
func (d *Delivery) Close(ctx context.Context) error {
	d.Interrupt()
	if err := d.batches.Close(ctx); err != nil {
		return fmt.Errorf("outbox: closing: requests are still under way: %w", err)
	}
	return nil
}
