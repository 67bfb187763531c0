package outboxtest

import (
	"errors"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
)

func (h *harness) transact(ob outbox.Outbox, f func(s clickid.Sender) error) error {
	return h.backend.Transact(h.ctx, ob, f)
}

func testCommit(h *harness) {
	ob := h.started(h.config())
	err := h.transact(ob, func(s clickid.Sender) error {
		h.send(s, event("one"), event("two"))
		h.send(s, event("three"))
		h.send(s, event("one")) // the transaction has this identity
		return nil
	})
	if err != nil {
		h.Fatalf("commit: %v", err)
	}
	// A known identity, as of a redelivered webhook, does not fail the
	// transaction.
	if err := h.transact(ob, func(s clickid.Sender) error {
		h.send(s, event("two"), event("four"))
		return nil
	}); err != nil {
		h.Fatalf("commit: %v", err)
	}
	h.accepted(4)
	h.onlyAccepted(ob, "one", "two", "three", "four")
}

func testRollback(h *harness) {
	ob := h.started(h.config())
	cancelled := errors.New("the order fails")
	if err := h.transact(ob, func(s clickid.Sender) error {
		h.send(s, event("rolled-back"), event("never"))
		return cancelled
	}); !errors.Is(err, cancelled) {
		h.Fatalf("rollback: %v", err)
	}
	if queued := h.stats(ob).Queued; queued != 0 {
		h.Errorf("%d events are queued after the rollback", queued)
	}
	h.send(ob, event("sentinel"))
	h.accepted(1)
	// The order can be placed again.
	if err := h.transact(ob, func(s clickid.Sender) error {
		h.send(s, event("rolled-back"))
		return nil
	}); err != nil {
		h.Fatalf("commit: %v", err)
	}
	h.accepted(2)
	h.onlyAccepted(ob, "sentinel", "rolled-back")
}
