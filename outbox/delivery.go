package outbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
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
	holds    *holds
	remarks  remarks
	observer

	stop        chan struct{}
	interrupted sync.Once
	newerSeen   atomic.Int64 // when KindNewerVersion was observed last
}

// sending is one event on its way through the collector.
type sending struct {
	identity string
	item     Item
	result   clickid.Result
	err      error // why there is no result
	beside   bool  // another event of the same batch was accepted
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
		holds:    newHolds(cfg.MaxAge / 10),
		stop:     make(chan struct{}),
	}
	d.platform = newBreaker(cfg.MinSnooze, min(cfg.MaxSnooze, maxProbeInterval), d.platformChanged)
	d.platform.patience = cfg.MaxAge / 10
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
// delivers them, and puts the records of those that are to be kept into q. It
// reports these as queued, or as dead letters when validation refuses them, and
// the others as they are: skipped or failed. When q returns an error, all that
// were to be kept failed with it.
func (d *Delivery) Sender(q Enqueuer) clickid.Sender {
	return sender{destination: d.cfg.Destination, metadata: d.cfg.Metadata, queue: q}
}

// Admit checks events as the destination does before it sends them, and returns
// the records of those that are to be queued, refused ones included. The report
// gives these as queued or dead letters, and the others as they are: skipped or
// failed. Events of the same identity share a record.
func (d *Delivery) Admit(ctx context.Context, events ...clickid.Event) (clickid.Report, []Record) {
	admitted := sender{destination: d.cfg.Destination, metadata: d.cfg.Metadata}.admit(ctx, events)
	return admitted.report, admitted.records
}

// Remember tells d that the destination has accepted events in an earlier
// process. A queue calls it when it starts and knows delivered events.
func (d *Delivery) Remember() { d.holds.remember() }

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
	ctx = withMetadata(ctx, r.Metadata)
	e, err := r.Event()
	outcome := d.deliver(ctx, r, e, err)
	if outcome.Action == ActionRetry {
		outcome.Wait = grow(d.cfg.MinSnooze, d.cfg.MaxSnooze, attempt)
		if attempt >= d.cfg.MaxAttempts {
			outcome.Action, outcome.Wait = ActionDeadLetter, 0
		}
	}
	if outcome.Action == ActionSkip && !d.cfg.ForgetSkips {
		outcome.Skip = &Skip{ID: d.visibleID(e.ID), Type: string(e.Type), Reason: outcome.Failure.Reason, At: time.Now().UTC()}
	}
	d.report(ctx, r, e, outcome)
	return outcome
}

// deliver is Deliver without the counting of attempts. damage is why the event
// could not be read.
func (d *Delivery) deliver(ctx context.Context, r Record, e clickid.Event, damage error) Outcome {
	switch {
	case r.Refused != "":
		return dead(r.Refused, 0)
	case time.Since(r.QueuedAt) > d.cfg.MaxAge:
		return dead(tooOld(r.Progress), 0)
	case damage != nil:
		return d.unreadable(ctx, r, damage)
	}
	if ahead := time.Until(e.Time); ahead > 0 && ahead <= maxAhead {
		return snooze(ahead, "the event's time lies ahead", 0)
	}
	if outcome, ok := d.held(ctx, r); !ok {
		return outcome
	}
	turn := d.platform.await(ctx, d.stop, holdLimit)
	switch {
	case turn.leave != nil:
		defer turn.leave()
	case turn.wait > 0:
		return snooze(spread(turn.wait), reasonUnavailable, 0)
	default:
		return snooze(0, reasonInterrupted, 0)
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if outcome, ok := d.lookUp(ctx, r, &e); !ok {
		return outcome
	}
	return d.send(ctx, r, e)
}

// maxAhead is how far ahead of this machine's clock an event's time may lie, so
// that the event waits for it. Validation refuses what lies further ahead of the
// machine that queued it.
const maxAhead = 20 * time.Minute

// tooOld is why an event dies of its age.
func tooOld(p Progress) string {
	reason := "it waited longer than the maximum event age"
	if n := len(p.Attempts); n > 0 {
		last := p.Attempts[n-1]
		reason += fmt.Sprintf("; the last attempt ended with status %d", last.Status)
		if last.Code != "" {
			reason += ", " + last.Code
		}
	}
	return reason
}

// held reports whether an event that was refused provisionally can be sent
// again, or else how it waits. It is sent when another event has been accepted
// since, when everything is held and it is its turn as a probe, or when it has
// waited for long.
func (d *Delivery) held(ctx context.Context, r Record) (Outcome, bool) {
	hold := r.Progress.Hold
	if hold == nil || d.holds.released(hold.At) || d.holds.add(hold.Code, r.Identity) {
		return Outcome{}, true
	}
	overdue, alert := d.holds.overdue(hold.At)
	if alert {
		d.observe(ctx, Observation{Kind: KindConfigurationRefused, Code: hold.Code,
			Reason: "an event was refused without a word about it, and no other event has been accepted since " + hold.At.Format(time.RFC3339)})
	}
	if overdue {
		return Outcome{}, true
	}
	return snooze(d.backoff(r), reasonHeld, 0), false
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
	reasonHeld        = "it was refused without a word about it, and waits until another event is accepted"
)

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
func (d *Delivery) report(ctx context.Context, r Record, e clickid.Event, outcome Outcome) {
	o := Observation{
		Type: e.Type, EventID: d.visibleID(e.ID),
		Reason: outcome.Failure.Reason, Status: outcome.Failure.Status, Latency: max(0, time.Since(r.QueuedAt)),
	}
	switch outcome.Action {
	case ActionDeadLetter:
		o.Kind = KindDeadLetter
	case ActionSkip:
		o.Kind = KindSkipped
	case ActionDone:
		o.Kind = KindDelivered
	default:
		return
	}
	d.observe(ctx, o)
}

// visibleID returns an event's ID as it may appear in logs.
func (d *Delivery) visibleID(id string) string {
	if d.cfg.HideEventIDs {
		return ""
	}
	return VisibleID(id)
}

// VisibleID returns an event's ID as it may appear in logs and tools: one that
// holds an e-mail address is replaced by "sha256:" and the first 12 digits of its
// hash.
func VisibleID(id string) string {
	if !strings.ContainsAny(id, "@\uff20") && !strings.Contains(strings.ToLower(id), "%40") {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "sha256:" + hex.EncodeToString(sum[:6])
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
