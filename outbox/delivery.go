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
	"github.com/clickid/clickid/internal/personaldata"
)

// MaxDuration is longer than any [Delivery.Deliver]. A queue may treat a delivery
// as lost after this time, but not earlier.
const MaxDuration = 90 * time.Second

// Limits of a delivery, which are less than MaxDuration together.
const (
	holdLimit   = 30 * time.Second // of waiting during an outage
	sendTimeout = 50 * time.Second // of lookups and the request
)

// Delivery is the part that all queues share. It checks and delivers events and
// decides their outcome. Concurrent deliveries share requests and wait while
// the platform is unavailable.
//
// It is safe for concurrent use and starts no goroutine.
type Delivery struct {
	cfg      Config
	resolver clickid.Resolver // or nil
	batches  *batch.Collector[*sending]
	platform *breaker
	lookups  *breaker
	holds    *holds
	remarks  remarks
	tokenAge time.Duration
	observer

	stop        chan struct{}
	interrupted sync.Once
	newerSeen   atomic.Int64 // time of the last KindNewerVersion
	othersSeen  atomic.Int64 // time of the last KindOtherDestination
}

// sending is an event in the collector.
type sending struct {
	identity string
	metadata map[string]string
	item     Item
	result   clickid.Result
	err      error // why the result is missing
	beside   bool  // another event of the batch was accepted
}

// NewDelivery returns a delivery. Its error joins all problems of cfg. Later
// changes of cfg have no effect.
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
		tokenAge: tokenAge,
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

// Destination returns the destination of the events.
func (d *Delivery) Destination() Destination { return d.cfg.Destination }

// Logger returns the configured logger for the messages of a queue.
func (d *Delivery) Logger() *slog.Logger { return d.cfg.Logger }

// Sender returns a sender that checks events as the destination would and
// stores their records in q. It reports them as queued, as dead letters if
// validation refuses them, or as skipped. If q returns an error, all events with
// a record have failed.
func (d *Delivery) Sender(q Enqueuer) clickid.Sender {
	return d.sender(q)
}

func (d *Delivery) sender(q Enqueuer) sender {
	return sender{destination: d.cfg.Destination, metadata: d.cfg.Metadata, queue: q, asksLater: d.cfg.Consent != nil, forgetSkips: d.cfg.ForgetSkips}
}

// Admit checks events as the destination does before it sends them, and returns
// the records to store, including those of refused and of skipped events. The
// report has the verdicts queued, dead-lettered and skipped for them, and failed
// for other events. Events of the same identity share a record.
func (d *Delivery) Admit(ctx context.Context, events ...clickid.Event) (clickid.Report, []Record) {
	admitted := d.sender(nil).admit(ctx, events)
	return admitted.report, admitted.records
}

// Remember records that the destination has accepted events in an earlier
// process. A queue with delivered events calls it at its start.
func (d *Delivery) Remember() { d.holds.remember() }

// ResolvesTokens reports whether the clicks of tokens are resolved at delivery;
// see [clickid.Sender].
func (d *Delivery) ResolvesTokens() bool { return d.resolver != nil }

// Deliver delivers an event, together with those of other workers, and returns
// the outcome for the queue. attempt counts the deliveries of this event from
// 1, without snoozes.
//
// While the platform is unavailable, Deliver waits up to 30 seconds before it
// returns a snooze, so that the backlog stays in the queue and is delivered as
// soon as the platform recovers. If the platform asked for a longer wait, it
// returns at once. Deliver returns within [MaxDuration].
//
// If ctx ends, or [Delivery.Interrupt] is called during a wait, the outcome is
// a snooze without a wait. It uses no attempt. A queue must store the outcome
// with another context.
func (d *Delivery) Deliver(ctx context.Context, r Record, attempt int) Outcome {
	ctx = withMetadata(ctx, r.Metadata)
	e, err := r.Event()
	var took time.Duration
	outcome := d.deliver(ctx, r, e, err, &took)
	if outcome.Action == ActionRetry {
		outcome.Wait = grow(d.cfg.MinSnooze, d.cfg.MaxSnooze, attempt)
		if attempt >= d.cfg.MaxAttempts {
			outcome.Action, outcome.Wait = ActionDeadLetter, 0
		}
	}
	if outcome.Action == ActionSkip && !d.cfg.ForgetSkips {
		outcome.Skip = &Skip{ID: d.visibleID(e.ID), Type: string(e.Type), Reason: outcome.Failure.Reason, At: time.Now().UTC()}
	}
	d.report(ctx, r, e, outcome, took)
	drainOf(ctx).settle(outcome.Action)
	return outcome
}

// deliver is Deliver without the counting of attempts. damage is the reason why
// the event cannot be read. took is set to the time of lookups and request.
func (d *Delivery) deliver(ctx context.Context, r Record, e clickid.Event, damage error, took *time.Duration) Outcome {
	switch {
	case r.Refused != "":
		return dead(r.Refused, 0)
	case r.Skipped != "":
		return skip(r.Skipped)
	case time.Since(r.QueuedAt) > d.cfg.MaxAge:
		return dead(tooOld(r.Progress), 0)
	case damage != nil:
		return d.unreadable(ctx, r, damage)
	case r.Fingerprint != "" && r.Identity != identity(d.cfg.Destination.Name(), e):
		return d.misplaced(ctx, r)
	}
	if ahead := time.Until(e.Time); ahead > 0 && ahead <= maxAhead {
		return snooze(ahead, "the event's time lies ahead", 0)
	}
	if outcome, ok := d.held(ctx, r); !ok {
		return outcome
	}
	turn := d.platform.await(ctx, d.stop, drainOf(ctx).holdLimit())
	switch {
	case turn.leave != nil:
		defer turn.leave()
	case turn.wait > 0:
		return snooze(spread(turn.wait), reasonUnavailable, 0)
	default:
		return snooze(0, reasonInterrupted, 0)
	}
	defer func(start time.Time) { *took = time.Since(start) }(time.Now())
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if outcome, ok := d.lookUp(ctx, r, &e); !ok {
		return outcome
	}
	return d.send(ctx, r, e)
}

// maxAhead is the largest time by which an event may be ahead of this machine's
// clock. The event waits for its time. Validation has compared it with the clock
// of the machine that queued it, so that one of the clocks is wrong, often by
// hours.
const maxAhead = 24 * time.Hour

// tooOld returns the reason of a dead letter that exceeds the maximum event
// age.
func tooOld(p Progress) string {
	reason := "it exceeded the maximum event age"
	if n := len(p.Attempts); n > 0 {
		last := p.Attempts[n-1]
		reason += fmt.Sprintf("; the last attempt ended with status %d", last.Status)
		if last.Code != "" {
			reason += ", " + last.Code
		}
	}
	return reason
}

// held reports whether an event after a provisional refusal may be sent again,
// or else returns its wait. It may be sent if another event was accepted since,
// if it is the next probe of a hold, or if it has waited for a tenth of the
// maximum age.
func (d *Delivery) held(ctx context.Context, r Record) (Outcome, bool) {
	hold := r.Progress.Hold
	if hold == nil || d.holds.released(hold.At) || d.holds.add(hold.Code, r.Identity) {
		return Outcome{}, true
	}
	overdue, alert := d.holds.overdue(hold.At)
	if alert {
		d.observe(ctx, Observation{Kind: KindConfigurationRefused, Code: hold.Code,
			Reason: "the platform refuses events without naming a field, and has accepted no other event since " + hold.At.Format(time.RFC3339)})
	}
	if overdue {
		return Outcome{}, true
	}
	return snooze(d.backoff(r), reasonHeld, 0), false
}

// unreadable returns the outcome of a record that cannot be read.
func (d *Delivery) unreadable(ctx context.Context, r Record, err error) Outcome {
	if !errors.Is(err, ErrNewerVersion) {
		return dead("the stored event is damaged", 0)
	}
	if d.isDue(&d.newerSeen) {
		d.observe(ctx, Observation{Kind: KindNewerVersion, Err: err})
	}
	return snooze(d.backoff(r), "it was queued by a newer version of the library", 0)
}

// misplaced returns the outcome of an event of another destination in the same
// queue, such as that of an earlier configuration. It is for an instance that has
// this destination. Refused events have other identities, and no fingerprint.
func (d *Delivery) misplaced(ctx context.Context, r Record) Outcome {
	if d.isDue(&d.othersSeen) {
		d.observe(ctx, Observation{Kind: KindOtherDestination,
			Reason: "events of another destination are in the queue; start an outbox with that destination to deliver them, or keep the name of the destination"})
	}
	return snooze(d.backoff(r), "it is for another destination", 0)
}

// isDue reports whether an observation that repeats is due, and sets the time of the
// last one.
func (d *Delivery) isDue(last *atomic.Int64) bool {
	now, before := time.Now().UnixNano(), last.Load()
	return now-before >= int64(alertInterval) && last.CompareAndSwap(before, now)
}

const (
	reasonInterrupted = "the delivery was interrupted"
	reasonUnavailable = "the platform is unavailable"
	reasonLookup      = "the lookup of the click or the consent failed"
	reasonYoung       = "the click was not found, but its token is younger than a minute"
	reasonHeld        = "the platform refused it without naming a field; it waits until another event is accepted"
)

// backoff returns a wait that grows with the age of the event. Queues need not
// keep a counter.
func (d *Delivery) backoff(r Record) time.Duration {
	wait := min(max(time.Since(r.QueuedAt), d.cfg.MinSnooze), d.cfg.MaxSnooze)
	return wait - rand.N(wait/2+1)
}

// spread lengthens a wait by up to a tenth, at most ten seconds, to spread the
// load.
func spread(wait time.Duration) time.Duration {
	return wait + rand.N(min(wait/10, 10*time.Second)+1)
}

// grow returns the wait after a number of attempts.
func grow(shortest, longest time.Duration, attempt int) time.Duration {
	wait := shortest
	for i := 1; i < attempt && wait < longest; i++ {
		wait *= 2
	}
	wait = min(wait, longest)
	return wait - rand.N(wait/2+1)
}

// report reports a final outcome.
func (d *Delivery) report(ctx context.Context, r Record, e clickid.Event, outcome Outcome, took time.Duration) {
	o := Observation{
		Type: e.Type, EventID: d.visibleID(e.ID),
		Reason: outcome.Failure.Reason, Status: outcome.Failure.Status, Latency: max(0, time.Since(r.QueuedAt)), Duration: took,
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

// visibleID returns the form of an event's ID for logs.
func (d *Delivery) visibleID(id string) string {
	if d.cfg.HideEventIDs {
		return ""
	}
	return VisibleID(id)
}

// VisibleID returns the form of an event's ID for logs and tools. An ID that
// contains an e-mail address is replaced with "sha256:" and the first 12 digits
// of its hash.
func VisibleID(id string) string {
	if !strings.ContainsAny(id, "@\uff20") && !strings.Contains(strings.ToLower(id), "%40") && personaldata.ProblemOfEmail(id) == "" {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "sha256:" + hex.EncodeToString(sum[:6])
}

// Interrupt makes every Deliver that waits during an outage return a snooze at
// once, now and later. Requests in progress continue. Queues call it first when
// they stop.
func (d *Delivery) Interrupt() {
	d.interrupted.Do(func() { close(d.stop) })
}

// Close interrupts and waits until every request has ended. It returns an error
// if ctx ends first. Later deliveries are snoozes. A second call has no effect.
func (d *Delivery) Close(ctx context.Context) error {
	d.Interrupt()
	if err := d.batches.Close(ctx); err != nil {
		return fmt.Errorf("outbox: closing: requests are in progress: %w", err)
	}
	return nil
}
