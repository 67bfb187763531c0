// Package interleavetest stops an operation of an outbox before each of its
// statements, runs another operation in between, and checks that no event is lost,
// stuck, in two states or sent again.
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
}

// lockWait returns the time after which the second operation is taken for one that
// waits for a lock of the first one, which then goes on. Two deliveries of one event
// hardly ever lock each other out, and the second one must be at its end: the
// invariants do not hold if both note their outcomes at the same moment.
func (c *interleaving) lockWait() time.Duration {
	if c.first.kind == delivers && c.second.kind == delivers {
		return 10 * time.Second
	}
	return 200 * time.Millisecond
}

// patience limits an operation and the settling of a case.
const patience = time.Minute

// Run runs every pair of operations, and stops the first one before every step.
func Run(t *testing.T, b Backend) {
	t.Helper()
	w := &world{TB: t, ctx: context.Background(), backend: b, gate: &Gate{},
		platform: &platform{accepted: make(map[string][]string), refused: make(map[string]bool)}}
	w.gated = w.open(w.gate)
	w.plain = w.open(nil)
	for _, first := range firsts {
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
	platform     *platform
	gated, plain *instance
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

// pair runs two operations, once for each step of the first one.
func (w *world) pair(first first, second second) {
	var cases []*interleaving
	for n := 1; ; n++ {
		w.cases++
		c := &interleaving{world: w, id: eventID(w.cases), first: first, second: second}
		c.setUp()
		reached := c.run(n)
		c.settle()
		cases = append(cases, c)
		if !reached {
			break
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

// run runs both operations, and reports whether the first one has an n-th step. The
// second one begins before this step, or else at the end of the first.
func (c *interleaving) run(n int) (reached bool) {
	arrived := c.gate.arm(n)
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
	secondEnded := make(chan struct{})
	go func() {
		defer close(secondEnded)
		c.second.run(secondCtx, c)
	}()
	timer := time.NewTimer(c.lockWait())
	defer timer.Stop()
	select {
	case <-secondEnded:
	case <-timer.C: // it waits for the first one
	}
	c.gate.resume()
	<-ended
	<-secondEnded
	return reached
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
