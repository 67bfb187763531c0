package interleavetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
)

// interleaving is a case: two operations on one event.
type interleaving struct {
	*world
	id     string
	first  first
	second second
	step   string // before which the second operation begins
	cancel context.CancelFunc
	letter string // of the dead event at the beginning

	secondStep string // before which the second operation stops, or ""

	mu     sync.Mutex
	sent   int      // number of Sends
	fresh  []string // values of Sends that did not know the event
	ended  bool     // by an effective Discard or Erase
	after  bool     // a Send began after that
	found  []outbox.Entry
	looked bool
}

// prior is the state of the event before the first operation.
type prior int

const (
	absent prior = iota
	queued
	dead
)

// first is an operation that is stopped.
type first struct {
	name  string
	prior prior
	run   func(ctx context.Context, c *interleaving)
	kind  kind
}

// second is an operation that runs before the first one goes on.
type second struct {
	name string
	run  func(ctx context.Context, c *interleaving)
	kind kind
}

type kind int

const (
	sends kind = iota
	delivers
	replays
	discards
	erases
	discardsAndSends
	erasesAndSends
	finds
	cancels
)

var firsts = []first{
	{"a delivery that is done", queued, delivery(done), delivers},
	{"a delivery that skips", queued, delivery(skipped), delivers},
	{"a delivery that retries", queued, delivery(retried), delivers},
	{"a delivery that makes a dead letter", queued, delivery(refused), delivers},
	{"a replay", dead, func(ctx context.Context, c *interleaving) { c.replay(ctx, c.gated, c.letter) }, replays},
	{"a replay of all", dead, func(ctx context.Context, c *interleaving) { c.replay(ctx, c.gated) }, replays},
	{"a discard", dead, func(ctx context.Context, c *interleaving) { c.discard(ctx, c.gated, c.letter) }, discards},
	{"an erasure of a queued event", queued, func(ctx context.Context, c *interleaving) { c.erase(ctx, c.gated) }, erases},
	{"an erasure of a dead event", dead, func(ctx context.Context, c *interleaving) { c.erase(ctx, c.gated) }, erases},
	{"a new event", absent, func(ctx context.Context, c *interleaving) { c.send(ctx, c.gated) }, sends},
	{"a known event", dead, func(ctx context.Context, c *interleaving) { c.send(ctx, c.gated) }, sends},
	{"a search of a queued event", queued, func(ctx context.Context, c *interleaving) { c.find(ctx, c.gated) }, finds},
	{"a search of a dead event", dead, func(ctx context.Context, c *interleaving) { c.find(ctx, c.gated) }, finds},
}

var seconds = []second{
	{"a Send", func(ctx context.Context, c *interleaving) { c.send(ctx, c.plain) }, sends},
	{"a delivery", anotherDelivery(done), delivers},
	{"a delivery that skips", anotherDelivery(skipped), delivers},
	{"a delivery that retries", anotherDelivery(retried), delivers},
	{"a delivery that makes a dead letter", anotherDelivery(refused), delivers},
	{"a replay", func(ctx context.Context, c *interleaving) { c.replay(ctx, c.plain, c.lettersOf(c.id)...) }, replays},
	{"a discard", func(ctx context.Context, c *interleaving) { c.discard(ctx, c.plain, c.lettersOf(c.id)...) }, discards},
	{"a discard and a Send", func(ctx context.Context, c *interleaving) {
		c.discard(ctx, c.plain, c.lettersOf(c.id)...)
		c.send(ctx, c.plain)
	}, discardsAndSends},
	{"an erasure", func(ctx context.Context, c *interleaving) { c.erase(ctx, c.plain) }, erases},
	{"an erasure and a Send", func(ctx context.Context, c *interleaving) {
		c.erase(ctx, c.plain)
		c.send(ctx, c.plain)
	}, erasesAndSends},
	{"an interruption", func(_ context.Context, c *interleaving) { c.cancel() }, cancels},
}

// applies reports whether a pair can have an effect.
func (s second) applies(w *world, f first) bool {
	if w.backend.Deliveries && s.kind != delivers {
		return false
	}
	switch s.kind {
	case delivers:
		if f.kind == delivers {
			return w.backend.Expire != nil
		}
		return !strings.Contains(s.name, "skips") && !strings.Contains(s.name, "retries") // as one that is done
	case replays, discards, discardsAndSends:
		return f.prior == dead || f.kind == delivers
	case cancels:
		return f.kind == delivers
	case erases, erasesAndSends:
		return f.kind != finds
	case sends:
		return f.kind != finds
	}
	return true
}

func eventID(n int) string { return fmt.Sprintf("order-%d", n) }

// setUp stores the event in its prior state.
func (c *interleaving) setUp() {
	c.Helper()
	if c.first.prior == absent {
		return
	}
	c.send(c.ctx, c.plain)
	if c.first.prior == queued {
		if c.backend.Queued != nil {
			c.backend.Queued(c)
		}
		return
	}
	c.plain.destination.respond(refused)
	c.world.drain(c.plain)
	letters := c.lettersOf(c.id)
	if len(letters) != 1 {
		c.Fatalf("the event has %d dead letters, want 1", len(letters))
	}
	c.letter = letters[0]
}

func (c *interleaving) Errorf(format string, args ...any) {
	c.Helper()
	step, stopped := oneLine(c.step), ""
	if c.secondStep != "" {
		stopped = fmt.Sprintf(", stopped before %.300q", oneLine(c.secondStep))
	}
	c.TB.Errorf("%s; %s before the step %.300q%s: %s", c.first.name, c.second.name, step, stopped, fmt.Sprintf(format, args...))
}

// oneLine returns a statement in one line.
func oneLine(statement string) string { return strings.Join(strings.Fields(statement), " ") }

// failed reports the error of an operation that was not interrupted.
func (c *interleaving) failed(what string, err error) {
	if err != nil && c.second.kind != cancels {
		c.Errorf("%s: %v", what, err)
	}
}

// event returns the event with a value that no other Send has.
func (c *interleaving) event() clickid.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent++
	return clickid.Event{
		Type: clickid.Purchase, ID: c.id, Time: time.Now().Add(-time.Minute), Value: clickid.Decimal(valueOf(c.sent), "USD"),
		Click: clickid.Click{ID: "click", Param: "clkid"}, Keys: []clickid.Key{clickid.CustomerKey(c.id)},
	}
}

func (c *interleaving) send(ctx context.Context, ob *instance) {
	e := c.event()
	c.mu.Lock()
	after := c.ended
	c.mu.Unlock()
	report, err := ob.Send(ctx, e)
	c.failed("Send", err)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && report.Results[0].Verdict != clickid.VerdictQueued {
		c.Errorf("the event is %v: %s", report.Results[0].Verdict, report.Results[0].Reason)
	}
	if err == nil && report.Results[0].Reason == "" && (!c.backend.Unaware || after || c.sent == 1) {
		c.fresh = append(c.fresh, e.Value.Number())
	}
	c.after = c.after || after
}

func delivery(o outcome) func(context.Context, *interleaving) {
	return func(ctx context.Context, c *interleaving) {
		c.gated.destination.respond(o)
		_, err := c.gated.Drain(ctx)
		c.gated.destination.respond(done)
		c.failed("Drain", err)
	}
}

// anotherDelivery is a delivery by another instance, which takes what the first delivers.
func anotherDelivery(o outcome) func(context.Context, *interleaving) {
	return func(ctx context.Context, c *interleaving) {
		ob := c.plain
		if c.first.kind == delivers {
			c.backend.Expire(c)
			ob = c.other
		}
		ob.destination.respond(o)
		_, err := ob.Drain(ctx)
		ob.destination.respond(done)
		c.failed("Drain", err)
	}
}

func (c *interleaving) replay(ctx context.Context, ob *instance, ids ...string) {
	if len(ids) == 0 && c.first.prior != dead {
		return
	}
	_, err := ob.Replay(ctx, ids...)
	c.failed("Replay", err)
}

func (c *interleaving) discard(ctx context.Context, ob *instance, ids ...string) {
	n, err := ob.Discard(ctx, ids...)
	c.failed("Discard", err)
	c.end(n)
}

func (c *interleaving) erase(ctx context.Context, ob *instance) {
	n, err := ob.Erase(ctx, clickid.CustomerKey(c.id))
	c.failed("Erase", err)
	c.end(n)
}

func (c *interleaving) end(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = c.ended || n > 0
}

func (c *interleaving) find(ctx context.Context, ob *instance) {
	entries, err := ob.Find(ctx, c.id)
	c.failed("Find", err)
	c.found, c.looked = entries, true
}

func (c *interleaving) accepted() []string {
	c.platform.mu.Lock()
	defer c.platform.mu.Unlock()
	return slices.Clone(c.platform.accepted[c.id])
}

// isOf reports whether one of the operations is of a kind.
func (c *interleaving) isOf(kinds ...kind) bool {
	return slices.Contains(kinds, c.first.kind) || slices.Contains(kinds, c.second.kind)
}

// settle checks what both operations have left, and delivers the rest.
func (c *interleaving) settle() {
	c.Helper()
	erased := c.isOf(erases) && !c.isOf(sends, discardsAndSends, erasesAndSends)
	if erased && !c.isErased(c.id) {
		c.Errorf("data of the event is left after the erasure:\n%s", c.backend.Stored(c))
	}
	if c.looked && len(c.found) == 0 && !c.isOf(discards, discardsAndSends) {
		c.Errorf("Find did not find the event")
	}
	before := len(c.accepted())
	c.drain(c.plain)
	if erased && len(c.accepted()) > before {
		c.Errorf("the event was sent after its erasure")
	}
	c.states()
	for _, id := range c.lettersOf(c.id) {
		if n, err := c.plain.Replay(c.ctx, id); n != 1 || err != nil {
			c.Errorf("Replay of the dead letter returns %d, %v", n, err)
		}
		c.drain(c.plain)
	}
	c.survived()
	if left := c.letters(); len(left) > 0 {
		c.Fatalf("%s; %s before the step %q: a dead letter is left: %+v", c.first.name, c.second.name, c.step, left)
	}
}

// states checks that the reports of the outbox agree.
func (c *interleaving) states() {
	c.Helper()
	stats, err := c.plain.Stats(c.ctx)
	if err != nil {
		c.Fatal(err)
	}
	letters := c.letters()
	if stats.DeadLetters != len(letters) {
		c.Errorf("Stats counts %d dead letters, and %d are listed", stats.DeadLetters, len(letters))
	}
	entries, err := c.plain.Find(c.ctx, c.id)
	if err != nil {
		c.Fatal(err)
	}
	entries = slices.DeleteFunc(entries, func(e outbox.Entry) bool { return e.State == outbox.StateSkipped })
	accepted := c.accepted()
	switch {
	case len(entries) > 1:
		c.Errorf("the event has two states: %+v", entries)
	case len(entries) == 1 && entries[0].State == outbox.StateDeadLettered && len(accepted) > 0 && !c.isOf(erasesAndSends, discardsAndSends):
		c.Errorf("the event was accepted and is a dead letter")
	case len(entries) == 0 && len(accepted) > 0 && !c.ended && !(c.repeats() && c.skips()):
		c.Errorf("the event was accepted, and Find does not find it")
	}
}

// survived checks that nothing was lost that Send has stored and nothing removed.
func (c *interleaving) survived() {
	c.Helper()
	accepted := c.accepted()
	c.mu.Lock()
	defer c.mu.Unlock()
	mayEnd := c.ended || c.first.kind == erases || c.skips()
	// Two Sends at the same time may both store the event, and the delivery removes one.
	// An erased event may arrive, and the one that is sent after it is then known.
	either := c.second.kind == erasesAndSends || c.first.kind == sends && (c.second.kind == sends || c.backend.Unaware)
	if either && len(accepted) == 0 && !c.isOf(erases) {
		c.Errorf("the event was lost that was sent twice")
	}
	for _, value := range c.fresh {
		if value == valueOf(1) && mayEnd || c.isOf(erases) || either {
			continue
		}
		if !slices.Contains(accepted, value) {
			c.Errorf("the event with the value %s was lost; accepted are %v", value, accepted)
		}
	}
	if c.after && len(accepted) == 0 && !c.isOf(erases) && c.first.kind != discards {
		c.Errorf("the event that was sent again is lost")
	}
	if most := len(c.fresh); len(accepted) > most && !c.isOf(erases, erasesAndSends) && !c.repeats() && !c.backend.Unaware {
		c.Errorf("the event was accepted %d times, and stored %d times", len(accepted), most)
	}
	c.platform.mu.Lock()
	defer c.platform.mu.Unlock()
	if repeated := c.platform.repeated; len(repeated) > 0 {
		if !c.repeats() {
			c.Errorf("a refused request was repeated: %v", repeated)
		}
		c.platform.repeated = nil
	}
}

// repeats reports whether a request may be repeated: two instances deliver the event,
// or a delivery was interrupted.
func (c *interleaving) repeats() bool {
	return c.first.kind == delivers && (c.second.kind == delivers || c.second.kind == cancels)
}

// skips reports whether one of the operations skips the event.
func (c *interleaving) skips() bool { return strings.Contains(c.first.name+c.second.name, "skips") }

// probe sends the event once more.
func (c *interleaving) probe() {
	c.Helper()
	if _, err := c.plain.Send(c.ctx, c.event()); err != nil {
		c.Errorf("Send: %v", err)
	}
}
