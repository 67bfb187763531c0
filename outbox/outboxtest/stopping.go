package outboxtest

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
)

func testStartStop(h *harness) {
	ob := h.openOutbox(h.config())
	h.send(ob, event("waiting"))
	if remaining := h.stop(ob); remaining != 1 {
		h.Errorf("Stop without Start reports %d events, want 1", remaining)
	}
	ob = h.started(h.config())
	if err := ob.Start(h.ctx); err == nil {
		h.Error("a second Start returns no error")
	}
	if h.backend.Forgets {
		h.send(ob, event("waiting"))
	}
	h.accepted(1)
	h.empty(ob)
	if remaining := h.stop(ob); remaining != 0 {
		h.Errorf("%d events remain", remaining)
	}
}

func testCancelledStart(h *harness) {
	hold := make(chan struct{})
	h.platform.Always(clickidtest.Fault{Hold: hold})
	ob := h.openOutbox(h.config())
	ctx, cancel := context.WithCancel(h.ctx)
	if err := ob.Start(ctx); err != nil {
		h.Fatalf("Start: %v", err)
	}
	h.send(ob, event("under-way"))
	h.requests(1)
	cancel()
	close(hold)
	if remaining := h.stop(ob); remaining != 0 { // returns when the delivery has ended
		h.Errorf("%d events remain: Stop did not wait for the delivery", remaining)
	}
	if n := h.platform.Count(); n != 1 {
		h.Errorf("%d events were accepted, want 1", n)
	}
}

func testGracefulStop(h *harness) {
	const n = 50
	hold := make(chan struct{})
	h.platform.Always(clickidtest.Fault{Hold: hold})
	ob := h.started(h.config())
	h.send(ob, events("under-way", n)...)
	h.requests(1)
	type result struct {
		remaining int
		err       error
	}
	stopped := make(chan result)
	ctx, cancel := context.WithTimeout(h.ctx, h.backend.Patience)
	defer cancel()
	go func() {
		remaining, err := ob.Stop(ctx)
		stopped <- result{remaining, err}
	}()
	select {
	case r := <-stopped:
		h.Fatalf("Stop returned %d, %v during a request", r.remaining, r.err)
	case <-time.After(100 * time.Millisecond): // Stop seems to wait
	}
	close(hold)
	r := <-stopped
	if r.err != nil {
		h.Errorf("Stop: %v", r.err)
	}
	if accepted := h.platform.Count(); accepted+r.remaining != n {
		h.Errorf("of %d events %d were accepted and %d remain", n, accepted, r.remaining)
	}
	if h.platform.Count() == 0 {
		h.Error("Stop did not wait for the deliveries")
	}
	if h.backend.Forgets {
		return
	}
	h.started(h.config())
	h.accepted(n)
	h.receivedOnce()
}

// stopWithin stops with a deadline and fails if Stop takes much longer.
func (h *harness) stopWithin(ob outbox.Outbox, deadline time.Duration) (int, error) {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.ctx, deadline)
	defer cancel()
	start := time.Now()
	remaining, err := ob.Stop(ctx)
	// An interruption may take 5 seconds more, and a busy machine as long again.
	if took := time.Since(start); took > deadline+10*time.Second {
		h.Errorf("Stop with a deadline of %v took %v", deadline, took)
	}
	return remaining, err
}

func testStopInOutage(h *harness) {
	const n = 20
	h.platform.Always(clickidtest.Fault{Status: http.StatusServiceUnavailable})
	ob := h.started(h.config())
	h.send(ob, events("outage", n)...)
	h.requests(2)
	remaining, err := h.stopWithin(ob, 2*time.Second)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		h.Errorf("Stop: %v", err)
	}
	if remaining != n {
		h.Errorf("Stop reports %d remaining events, want %d", remaining, n)
	}
	h.deliveredAfterRestart(n)
}

func testStopInterrupts(h *harness) {
	const n = 20
	never := make(chan struct{})
	h.Cleanup(func() { close(never) })
	h.platform.Always(clickidtest.Fault{Hold: never})
	ob := h.started(h.config(func(cfg *capi.Config) { cfg.Timeout = time.Minute }))
	h.send(ob, events("hanging", n)...)
	h.requests(1)
	remaining, err := h.stopWithin(ob, 500*time.Millisecond)
	if !errors.Is(err, context.DeadlineExceeded) {
		h.Errorf("Stop past its deadline returns the error %v", err)
	}
	if remaining != n {
		h.Errorf("Stop reports %d remaining events, want %d", remaining, n)
	}
	h.deliveredAfterRestart(n)
}

// deliveredAfterRestart opens the storage again, without faults of the platform.
func (h *harness) deliveredAfterRestart(n int) {
	h.Helper()
	if h.backend.Forgets {
		return
	}
	h.platform.Always(clickidtest.Fault{})
	ob := h.started(h.config())
	h.accepted(n)
	h.empty(ob)
	h.noDeadLetters(ob)
	if got := h.platform.Count(); got != n {
		h.Errorf("%d events were accepted, want %d", got, n)
	}
}

func testIdentityAfterRestart(h *harness) {
	ob := h.started(h.config())
	h.send(ob, event("done"))
	h.accepted(1)
	h.empty(ob)
	h.stop(ob)
	ob = h.started(h.config())
	h.send(ob, event("done"))
	h.send(ob, event("new"))
	h.accepted(2)
	h.onlyAccepted(ob, "done", "new")
	if delivered := h.stats(ob).Delivered; delivered != 2 {
		h.Errorf("%d events count as delivered, want 2", delivered)
	}
}

func testRestart(h *harness) {
	const n = 30
	ob := h.openOutbox(h.config())
	h.send(ob, events("queued", n)...)
	if remaining := h.stop(ob); remaining != n {
		h.Errorf("Stop reports %d remaining events, want %d", remaining, n)
	}
	h.deliveredAfterRestart(n)
}

func testDeadLettersAfterRestart(h *harness) {
	lift := h.refuse("bad")
	ob := h.started(h.config())
	h.send(ob, event("bad"))
	before := h.dead(ob, 1)[0]
	h.stop(ob)
	lift()
	ob = h.started(h.config())
	after := h.dead(ob, 1)[0]
	if after.ID != before.ID || after.Reason != before.Reason || after.Status != before.Status ||
		after.Attempts != before.Attempts || !after.FailedAt.Equal(before.FailedAt) || !equalEvents(h, after.Event, before.Event) {
		h.Error("the dead letter has changed after the restart")
	}
	h.replay(ob, 1, after.ID)
	h.accepted(1)
}

func testInstances(h *harness) {
	const n = 200
	a, b := h.started(h.config()), h.started(h.config())
	all := events("shared", n)
	h.send(a, all[:n/2]...)
	h.send(b, all[n/2:]...)
	h.send(b, all[:n/2]...) // known from the other instance
	h.accepted(n)
	h.empty(a)
	h.empty(b)
	h.receivedOnce()
	if got := h.platform.Count(); got != n {
		h.Errorf("%d events were accepted, want %d", got, n)
	}
}

func testKill(h *harness) {
	const n = 30
	// The request of the killed instance is never processed.
	never := make(chan struct{})
	h.Cleanup(func() { close(never) })
	h.platform.Always(clickidtest.Fault{Hold: never})
	ob := h.started(h.config())
	h.send(ob, events("killed", n)...)
	h.requests(1)
	h.backend.Kill(h, ob)
	h.platform.Always(clickidtest.Fault{})
	next := h.started(h.config())
	h.accepted(n)
	h.empty(next)
	h.noDeadLetters(next)
	if got := h.platform.Count(); got != n {
		h.Errorf("%d events were accepted, want %d", got, n)
	}
}
