package outboxtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
)

// harness is a test with its backend, its receiver and its observations.
type harness struct {
	testing.TB
	backend  Backend
	platform *clickidtest.Server
	ctx      context.Context // ends after ten times the backend's patience

	mu       sync.Mutex
	observed []outbox.Observation
	open     []outbox.Outbox // stopped when the test ends
}

func newHarness(t *testing.T, b Backend) *harness {
	if b.Patience == 0 {
		b.Patience = defaultPatience
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*b.Patience)
	t.Cleanup(cancel)
	h := &harness{TB: t, backend: b, platform: clickidtest.NewServer(t), ctx: ctx}
	t.Cleanup(func() {
		for _, ob := range h.open {
			// A failed test may leave the outbox in any state.
			stopCtx, cancel := context.WithTimeout(context.Background(), time.Second)
			_, _ = ob.Stop(stopCtx)
			cancel()
		}
	})
	return h
}

// clientConfig returns the configuration of the client in config.
func (h *harness) clientConfig() capi.Config {
	return capi.Config{
		APIKey:  clickidtest.APIKey,
		BaseURL: h.platform.URL,
		Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
		Timeout: 10 * time.Second,
		Logger:  slog.New(slog.DiscardHandler),
	}
}

func (h *harness) client(edits ...func(*capi.Config)) *capi.Client {
	h.Helper()
	cfg := h.clientConfig()
	for _, edit := range edits {
		edit(&cfg)
	}
	c, err := capi.New(cfg)
	if err != nil {
		h.Fatal(err)
	}
	return c
}

// config returns a configuration with short waits and a single attempt, so that
// an attempt that is used by mistake leads to a dead letter.
func (h *harness) config(edits ...func(*capi.Config)) outbox.Config {
	h.Helper()
	return outbox.Config{
		Destination: h.client(edits...),
		Logger:      slog.New(slog.DiscardHandler),
		MaxAttempts: 1,
		MinSnooze:   20 * time.Millisecond,
		MaxSnooze:   200 * time.Millisecond,
		Linger:      10 * time.Millisecond,
		Hook: func(_ context.Context, o outbox.Observation) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.observed = append(h.observed, o)
		},
	}
}

// saw reports whether an observation of the kind was made.
func (h *harness) saw(kind outbox.Kind) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.observed, func(o outbox.Observation) bool { return o.Kind == kind })
}

// openOutbox opens an outbox that is not started.
func (h *harness) openOutbox(cfg outbox.Config) outbox.Outbox {
	h.Helper()
	ob := h.backend.Open(h, cfg)
	h.open = append(h.open, ob)
	return ob
}

// started opens an outbox and starts it.
func (h *harness) started(cfg outbox.Config) outbox.Outbox {
	h.Helper()
	ob := h.openOutbox(cfg)
	h.start(ob)
	return ob
}

func (h *harness) start(ob outbox.Outbox) {
	h.Helper()
	if err := ob.Start(h.ctx); err != nil {
		h.Fatalf("Start: %v", err)
	}
}

// stop stops the outbox within the patience and returns the number of remaining
// events.
func (h *harness) stop(ob outbox.Outbox) int {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.ctx, h.backend.Patience)
	defer cancel()
	remaining, err := ob.Stop(ctx)
	if err != nil {
		h.Fatalf("Stop: %v", err)
	}
	return remaining
}

// send sends events that must be queued.
func (h *harness) send(s clickid.Sender, events ...clickid.Event) {
	h.Helper()
	report, err := s.Send(h.ctx, events...)
	if err != nil {
		h.Fatalf("Send: %v", err)
	}
	for i, result := range report.Results {
		if result.Verdict != clickid.VerdictQueued {
			h.Fatalf("event %d is %v, want queued: %s", i, result.Verdict, result.Reason)
		}
	}
	if len(report.Results) != len(events) {
		h.Fatalf("%d results for %d events", len(report.Results), len(events))
	}
}

// event returns a complete event.
func event(id string) clickid.Event {
	now := time.Now().UTC().Truncate(time.Second)
	return clickid.Event{
		Type: clickid.Purchase, ID: id, Time: now.Add(-time.Minute), Value: clickid.Minor(14999, "USD"),
		Click: clickid.Click{ID: clickIDOf(id), Param: "clkid", At: now.Add(-time.Hour), Expires: now.Add(24 * time.Hour)},
	}
}

// clickIDOf returns the click ID of an event.
func clickIDOf(id string) string { return "click-of-" + strings.ReplaceAll(id, " ", "-") }

func events(prefix string, n int) []clickid.Event {
	all := make([]clickid.Event, n)
	for i := range all {
		all[i] = event(fmt.Sprintf("%s-%d", prefix, i))
	}
	return all
}

// accepted waits until n events have been accepted and returns them.
func (h *harness) accepted(n int) []clickidtest.Event {
	h.Helper()
	var got []clickidtest.Event
	err := h.patiently(h.platform.Count, func(ctx context.Context) (err error) {
		got, err = h.platform.Wait(ctx, n)
		return err
	})
	if err != nil {
		h.Fatalf("the platform has accepted %d events, want %d", h.platform.Count(), n)
	}
	return got
}

// requests waits until n requests have arrived.
func (h *harness) requests(n int) []clickidtest.Request {
	h.Helper()
	var got []clickidtest.Request
	arrived := func() int { return len(h.platform.Requests()) }
	err := h.patiently(arrived, func(ctx context.Context) (err error) {
		got, err = h.platform.WaitRequests(ctx, n)
		return err
	})
	if err != nil {
		h.Fatalf("%d requests have arrived, want %d", len(h.platform.Requests()), n)
	}
	return got
}

// onlyAccepted waits until the queue is empty and fails unless exactly the given
// events have been accepted and each was received once.
func (h *harness) onlyAccepted(ob outbox.Outbox, ids ...string) {
	h.Helper()
	h.acceptedInTheEnd(ob, ids...)
	h.receivedOnce()
}

// receivedOnce fails if an event was received more than once.
func (h *harness) receivedOnce() {
	h.Helper()
	for _, e := range h.platform.Accepted() {
		if e.Received != 1 {
			h.Errorf("event %s was received %d times", e.ID, e.Received)
		}
	}
}

// acceptedInTheEnd is onlyAccepted for events that may be received more than
// once.
func (h *harness) acceptedInTheEnd(ob outbox.Outbox, ids ...string) {
	h.Helper()
	h.empty(ob)
	var got []string
	for _, e := range h.platform.Accepted() {
		got = append(got, e.ID)
	}
	slices.Sort(got)
	slices.Sort(ids)
	if !slices.Equal(got, ids) {
		h.Errorf("accepted events: %v, want %v", got, ids)
	}
}

// empty waits until the queue is empty.
func (h *harness) empty(ob outbox.Outbox) {
	h.Helper()
	queued := func() int { return h.stats(ob).Queued }
	h.eventuallyWith(queued, "the queue becomes empty", func() bool { return queued() == 0 })
}

func (h *harness) stats(ob outbox.Outbox) outbox.Stats {
	h.Helper()
	stats, err := ob.Stats(h.ctx)
	if err != nil {
		h.Fatalf("Stats: %v", err)
	}
	stats.Platform = outbox.PlatformStats{} // depends on the receiver
	return stats
}

func (h *harness) failed(ob outbox.Outbox, page outbox.Page) []outbox.DeadLetter {
	h.Helper()
	letters, err := ob.DeadLetters(h.ctx, page)
	if err != nil {
		h.Fatalf("DeadLetters: %v", err)
	}
	return letters
}

// noDeadLetters fails if there are dead letters.
func (h *harness) noDeadLetters(ob outbox.Outbox) {
	h.Helper()
	for _, letter := range h.failed(ob, outbox.Page{}) {
		h.Errorf("dead letter: %s (status %d, attempts %d)", letter.Reason, letter.Status, letter.Attempts)
	}
}

// dead waits until there are n dead letters and returns them.
func (h *harness) dead(ob outbox.Outbox, n int) []outbox.DeadLetter {
	h.Helper()
	var letters []outbox.DeadLetter
	found := func() int { return len(letters) }
	h.eventuallyWith(found, fmt.Sprintf("there are %d dead letters", n), func() bool {
		letters = h.failed(ob, outbox.Page{Limit: n + 1})
		return len(letters) == n
	})
	return letters
}

// eventually waits until the condition is true.
func (h *harness) eventually(what string, condition func() bool) {
	h.Helper()
	h.eventuallyWith(func() int { return 0 }, what, condition)
}

// eventuallyWith is eventually with a measure of the progress.
func (h *harness) eventuallyWith(progress func() int, what string, condition func() bool) {
	h.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	err := h.patiently(progress, func(ctx context.Context) error {
		for !condition() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	if err != nil {
		h.Fatalf("not within %v: %s", h.backend.Patience, what)
	}
}

// patiently calls wait until it succeeds, or until there was no progress for the
// backend's patience: many events take long on a busy machine.
func (h *harness) patiently(progress func() int, wait func(context.Context) error) error {
	for {
		before := progress()
		ctx, cancel := context.WithTimeout(h.ctx, h.backend.Patience)
		err := wait(ctx)
		cancel()
		if err == nil || h.ctx.Err() != nil || progress() == before {
			return err
		}
	}
}

// equalEvents reports whether two events are stored as the same JSON.
func equalEvents(t testing.TB, a, b clickid.Event) bool {
	t.Helper()
	first, err := json.Marshal(a)
	second, err2 := json.Marshal(b)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return string(first) == string(second)
}
