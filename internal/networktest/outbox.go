package networktest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/clickid/clickid/internal/reliabilitytest"
	"github.com/clickid/clickid/outbox"
)

// Outbox is a started outbox that delivers through a network.
type Outbox struct {
	outbox.Outbox
	mu       sync.Mutex
	observed []outbox.Kind
}

// Saw reports whether the outbox has made an observation.
func (o *Outbox) Saw(kind outbox.Kind) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Contains(o.observed, kind)
}

// Open opens an outbox without starting it.
type Open func(t *testing.T, cfg outbox.Config) outbox.Outbox

// named is a destination with a name of its own, so that several outboxes can share a
// database.
type named struct {
	*capi.Client
	name string
}

func (n named) Name() string { return n.name }

// NewOutbox starts an outbox whose destination has a name. A request may take timeout.
func NewOutbox(t *testing.T, n *Network, name string, timeout time.Duration, open Open) *Outbox {
	t.Helper()
	o := &Outbox{}
	client := n.Client(t, timeout, func(cfg *capi.Config) { cfg.Logger = slog.New(slog.DiscardHandler) })
	o.Outbox = open(t, outbox.Config{
		Destination: named{client, name},
		Logger:      slog.New(slog.DiscardHandler), MinSnooze: 300 * time.Millisecond, MaxSnooze: time.Second, Linger: time.Millisecond,
		Hook: func(_ context.Context, seen outbox.Observation) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.observed = append(o.observed, seen.Kind)
		},
	})
	if err := o.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.stop(t) })
	return o
}

func (o *Outbox) stop(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := o.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// Queue sends an event that must be queued.
func (o *Outbox) Queue(t *testing.T, id string) {
	t.Helper()
	e := platformtest.Purchase(id)
	e.Time = time.Now().Add(-time.Minute)
	report, err := o.Send(context.Background(), e)
	if err != nil || report.Results[0].Verdict != clickid.VerdictQueued {
		t.Fatalf("Send: %+v, %v", report, err)
	}
}

// Await waits until the event's entry fulfils the condition.
func (o *Outbox) Await(t *testing.T, id string, ready func(outbox.Entry) bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		entries, err := o.Find(context.Background(), id)
		if err == nil && len(entries) == 1 && ready(entries[0]) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %+v, %v", entries, err)
		}
	}
}

// IsDelivered is a condition of [Outbox.Await].
func IsDelivered(e outbox.Entry) bool { return e.State == outbox.StateDelivered }

// TestFaults queues an event while the network has a fault, for each of the faults. The
// event waits without using an attempt, a wrong configuration raises an alert, and after
// the fault the event is accepted once. The faults last at the same time, since queues
// look for due events once in a while.
func TestFaults(t *testing.T, open Open) {
	type broken struct {
		Fault
		network *Network
		outbox  *Outbox
	}
	var all []broken
	for i, fault := range Faults() {
		network := New(t)
		timeout := 20 * time.Second // a busy machine needs seconds
		if fault.Hangs {
			timeout = 500 * time.Millisecond
		}
		o := NewOutbox(t, network, fmt.Sprint("fault-", i), timeout, open)
		network.Break(t, fault)
		o.Queue(t, "1")
		all = append(all, broken{fault, network, o})
	}
	for _, b := range all {
		b.outbox.Await(t, "1", func(e outbox.Entry) bool { return e.State == outbox.StateQueued && len(e.Attempts) >= 2 })
		outcome := "waits"
		if b.outbox.Saw(outbox.KindConfigurationRefused) {
			outcome = "waits, alert"
		}
		reliabilitytest.Compare(t, b.Name, "every outbox", outcome)
		b.network.Heal()
	}
	for _, b := range all {
		b.outbox.Await(t, "1", IsDelivered)
		if b.outbox.Saw(outbox.KindDeadLetter) {
			t.Errorf("%s: the event was a dead letter", b.Name)
		}
		if n := b.network.Platform.Count(); n != 1 {
			t.Errorf("%s: the platform has %d events", b.Name, n)
		}
		// A busy machine may exceed the short timeout when the platform has the event.
		if n := b.network.Platform.Accepted()[0].Received; n != 1 && !b.Hangs {
			t.Errorf("%s: the event was sent %d times", b.Name, n)
		}
	}
	var group sync.WaitGroup // together, since each takes a while
	for _, b := range all {
		group.Go(func() { b.outbox.stop(t) })
	}
	group.Wait()
}
