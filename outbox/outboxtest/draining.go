package outboxtest

import (
	"context"
	"errors"
	"net/http"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
)

// drain drains ob without an error.
func (h *harness) drain(ob outbox.Outbox) outbox.Drained {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.ctx, h.backend.Patience)
	defer cancel()
	drained, err := outbox.Drain(ctx, ob)
	if err != nil {
		h.Fatalf("Drain: %v", err)
	}
	return drained
}

func testDrain(h *harness) {
	ob := h.openOutbox(h.config())
	if _, ok := ob.(outbox.Drainer); !ok {
		return
	}
	if got := h.drain(ob); got != (outbox.Drained{}) {
		h.Errorf("draining an empty outbox returned %+v", got)
	}
	h.send(ob, events("first", 3)...)
	if got := h.drain(ob); got != (outbox.Drained{Settled: 3}) {
		h.Errorf("draining three events returned %+v", got)
	}
	if n := h.platform.Count(); n != 3 {
		h.Errorf("the platform has accepted %d events when Drain returns, want 3", n)
	}

	lift := h.platform.Always(clickidtest.Fault{Status: http.StatusServiceUnavailable})
	h.send(ob, events("second", 2)...)
	if got := h.drain(ob); got != (outbox.Drained{Remaining: 2}) {
		h.Errorf("draining in an outage returned %+v", got)
	}
	lift()
	h.eventually("draining delivers the events of the outage", func() bool { return h.drain(ob).Remaining == 0 })

	h.send(ob, event("third"))
	ended, cancel := context.WithCancel(h.ctx)
	cancel()
	if _, err := outbox.Drain(ended, ob); err == nil {
		h.Error("Drain with an ended context returned no error")
	}
	h.eventually("the event of an interrupted drain is delivered", func() bool { return h.drain(ob).Remaining == 0 })
	h.onlyAccepted(ob, "first-0", "first-1", "first-2", "second-0", "second-1", "third")
	h.noDeadLetters(ob)
}

func testDrainAndStart(h *harness) {
	ob := h.openOutbox(h.config())
	if _, ok := ob.(outbox.Drainer); !ok {
		return
	}
	h.drain(ob)
	h.start(ob)
	if _, err := outbox.Drain(h.ctx, ob); !errors.Is(err, outbox.ErrStarted) {
		h.Errorf("Drain of a started outbox returned %v, want ErrStarted", err)
	}
	h.send(ob, event("1"))
	h.onlyAccepted(ob, "1")
}

// testDrainAfterRestart checks that what another process left behind is drained.
func testDrainAfterRestart(h *harness) {
	h.send(h.openOutbox(h.config()), events("e", 5)...)
	ob := h.openOutbox(h.config())
	if _, ok := ob.(outbox.Drainer); !ok {
		return
	}
	if got := h.drain(ob); got != (outbox.Drained{Settled: 5}) {
		h.Errorf("draining the events of an earlier process returned %+v", got)
	}
	h.receivedOnce()
}
