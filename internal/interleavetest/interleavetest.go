// Package interleavetest stops an operation of an outbox before each of its
// statements, runs another operation in between, and checks that no event is lost,
// stuck, in two states or sent again. Of two deliveries it also stops the second one,
// before its request and each later statement, until the first one has ended.
package interleavetest

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
)

// Backend is the storage of the test, which is empty at first.
type Backend struct {
	// Open returns an outbox on the storage without starting it, whose statements
	// pass the gate. Run opens two.
	Open func(t testing.TB, cfg outbox.Config, gate *Gate) outbox.Drainer
	// Stored returns all that is stored.
	Stored func(t testing.TB) string
	// Expire ends the leases of the deliveries in progress, as if their process had
	// paused. Nil if only one instance delivers.
	Expire func(t testing.TB)
	// Unaware means that Send does not find known events.
	Unaware bool
	// Deliveries restricts the test to pairs of deliveries.
	Deliveries bool
	// Queued is called when an event has been queued for a delivery. Optional.
	Queued func(t testing.TB)
}

// lockWait returns the time after which an operation is taken for one that waits for a
// lock of the other one, which then goes on. The second of two deliveries must have the
// event before that: the first instance would deliver it twice itself.
func (c *interleaving) lockWait() time.Duration {
	if c.first.kind == delivers && c.second.kind == delivers {
		return 2 * time.Second
	}
	return 200 * time.Millisecond
}

// patience limits an operation and the settling of a case.
const patience = time.Minute

// Run runs every pair of operations, and stops the first one before every step.
func Run(t *testing.T, b Backend) {
	t.Helper()
	w := &world{TB: t, ctx: context.Background(), backend: b, gate: &Gate{}, secondGate: &Gate{},
		platform: &platform{accepted: make(map[string][]string), refused: make(map[string]bool)}}
	w.gated = w.open(w.gate)
	w.plain = w.open(nil)
	if b.Expire != nil {
		w.other = w.open(w.secondGate)
	}
	for _, first := range firsts {
		if b.Deliveries && first.kind != delivers {
			continue
		}
		t.Run(first.name, func(t *testing.T) {
			w.TB = t
			for _, second := range seconds {
				if second.applies(w, first) {
					w.pair(first, second)
				}
			}
		})
	}
}

// world is the state of all cases.
type world struct {
	testing.TB
	ctx          context.Context
	backend      Backend
	gate         *Gate
	secondGate   *Gate
	platform     *platform
	gated, plain *instance
	other        *instance // makes the second of two deliveries
	cases        int
}

// instance is an outbox with its destination.
type instance struct {
	outbox.Drainer
	destination *destination
}

func (w *world) open(gate *Gate) *instance {
	d := &destination{platform: w.platform, gate: gate, next: done}
	return &instance{w.backend.Open(w, outbox.Config{
		Destination: d, Logger: slog.New(slog.DiscardHandler), Linger: -1,
		MinSnooze: time.Millisecond, MaxSnooze: 5 * time.Millisecond,
	}, gate), d}
}

// pair runs two operations, once for each step of the first one. Of two deliveries it
// runs each step of the first one with each of the second one.
func (w *world) pair(first first, second second) {
	var cases []*interleaving
	last := 0 // the number of the second one's step
	for n := 1; ; {
		w.cases++
		c := &interleaving{world: w, id: eventID(w.cases), first: first, second: second}
		if second.kind == delivers && first.kind == delivers {
			last++
		}
		c.setUp()
		reached, secondReached := c.run(n, last)
		c.settle()
		cases = append(cases, c)
		if !reached {
			break
		}
		if !secondReached {
			n, last = n+1, 0
		}
	}
	for _, c := range cases {
		c.probe()
	}
	w.drain(w.plain)
	for _, c := range cases {
		if len(c.accepted()) == 0 {
			c.Errorf("the event was not accepted, and cannot be sent again")
		}
	}
}

// run runs both operations, and reports whether they have an n-th and an m-th step.
// The second one begins before the n-th step of the first one, or else at its end. It
// stops before its m-th step, if there is one, until the first one has ended.
func (c *interleaving) run(n, m int) (reached, secondReached bool) {
	arrived := c.gate.arm(n, "")
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	secondCtx, end := context.WithTimeout(c.ctx, patience)
	defer end()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.first.run(ctx, c)
	}()
	select {
	case c.step = <-arrived:
		reached = true
	case <-ended:
		c.step = "(the end)"
	}
	c.cancel = cancel
	var secondArrived <-chan string
	if m > 0 && reached {
		secondArrived = c.secondGate.arm(m, request)
	}
	secondEnded := make(chan struct{})
	go func() {
		defer close(secondEnded)
		c.second.run(secondCtx, c)
	}()
	select {
	case <-secondEnded:
	case c.secondStep = <-secondArrived:
		secondReached = true
	case <-time.After(c.lockWait()): // it waits for the first one
	}
	c.gate.resume()
	if secondReached {
		select {
		case <-ended:
		case <-time.After(c.lockWait()): // it waits for the second one
		}
	}
	c.secondGate.resume()
	<-ended
	<-secondEnded
	return reached, secondReached
}

// drain delivers until nothing is queued.
func (w *world) drain(ob *instance) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	for {
		stats, err := ob.Stats(ctx)
		if err == nil && stats.Queued == 0 {
			return
		}
		if err == nil {
			_, err = ob.Drain(ctx)
		}
		if err != nil {
			w.Fatalf("events stay queued: %v, %+v", err, stats)
		}
	}
}

// letters returns all dead letters.
func (w *world) letters() []outbox.DeadLetter {
	w.Helper()
	letters, err := w.plain.DeadLetters(w.ctx, outbox.Page{})
	if err != nil {
		w.Fatalf("DeadLetters: %v", err)
	}
	return letters
}

// lettersOf returns the dead letters of an event.
func (w *world) lettersOf(id string) (ids []string) {
	w.Helper()
	for _, letter := range w.letters() {
		if letter.EventID == id {
			ids = append(ids, letter.ID)
		}
	}
	return ids
}

// isErased reports whether nothing stored has a key of the event.
func (w *world) isErased(id string) bool {
	hash, err := outbox.KeyHash(clickid.CustomerKey(id))
	if err != nil {
		w.Fatal(err)
	}
	return !strings.Contains(w.backend.Stored(w), hash)
}
