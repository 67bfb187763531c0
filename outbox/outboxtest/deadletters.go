package outboxtest

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
)

// refuse makes the platform refuse events.
func (h *harness) refuse(ids ...string) (lift func()) {
	return h.platform.RefuseEvents(clickidtest.EventRefusal{IDs: ids, WholeRequest: true, Code: "INVALID_REQUEST"})
}

func testPoison(h *harness) {
	const n = 1000
	h.refuse("order-41")
	ob := h.openOutbox(h.config())
	all := events("order", n)
	before := time.Now().Add(-time.Second)
	h.send(ob, all...)
	h.start(ob)
	h.accepted(n - 1)
	letter := h.dead(ob, 1)[0]
	h.empty(ob)
	switch {
	case letter.Type != clickid.Purchase || letter.EventID != "order-41":
		h.Errorf("the dead letter is %s %s", letter.Type, letter.EventID)
	case letter.ID == "":
		h.Error("the dead letter has no ID")
	case !strings.Contains(letter.Reason, "INVALID_REQUEST"):
		h.Errorf("the reason does not contain the platform's code: %s", letter.Reason)
	case letter.Status != 400:
		h.Errorf("the status is %d", letter.Status)
	case letter.Attempts != 1:
		h.Errorf("%d attempts", letter.Attempts)
	case !equalEvents(h, letter.Event, all[41]):
		h.Error("the dead letter's event is not the one that was sent")
	case letter.QueuedAt.Before(before) || letter.FailedAt.Before(letter.QueuedAt) || letter.FailedAt.After(time.Now().Add(time.Second)):
		h.Errorf("queued at %v, failed at %v", letter.QueuedAt, letter.FailedAt)
	case letter.QueuedAt.Location() != time.UTC || letter.FailedAt.Location() != time.UTC:
		h.Error("the times are not in UTC")
	}
	if !h.saw(outbox.KindDeadLetter) {
		h.Error("the hook was not called for the dead letter")
	}
}

func testPaging(h *harness) {
	const n = 5
	var ids []string
	for _, e := range events("bad", n) {
		ids = append(ids, e.ID)
	}
	h.refuse(ids...)
	ob := h.started(h.config())
	for i, e := range events("bad", n) {
		h.send(ob, e)
		h.dead(ob, i+1) // one at a time, so that their times differ
	}
	var listed []outbox.DeadLetter
	for offset := 0; offset < n+2; offset += 2 {
		page := h.failed(ob, outbox.Page{Limit: 2, Offset: offset})
		if len(page) > 2 {
			h.Fatalf("a page of 2 has %d", len(page))
		}
		listed = append(listed, page...)
	}
	if len(listed) != n {
		h.Fatalf("the pages list %d dead letters, want %d", len(listed), n)
	}
	seen := make(map[string]bool)
	for i, letter := range listed {
		if seen[letter.ID] {
			h.Errorf("a dead letter is listed twice")
		}
		seen[letter.ID] = true
		if i > 0 && letter.FailedAt.After(listed[i-1].FailedAt) {
			h.Errorf("dead letter %d is later than the one before it", i)
		}
	}
	if first := listed[0].EventID; first != fmt.Sprintf("bad-%d", n-1) {
		h.Errorf("the first one listed is %s", first)
	}
	if all := h.failed(ob, outbox.Page{}); len(all) != n {
		h.Errorf("without a limit %d are listed", len(all))
	}
}

func testReplay(h *harness) {
	lift := h.refuse("bad-0", "bad-1", "bad-2")
	ob := h.started(h.config())
	h.send(ob, events("bad", 3)...)
	letters := h.dead(ob, 3)
	if n, err := ob.Replay(h.ctx, "no-such-letter"); n != 0 || err != nil {
		h.Errorf("Replay of an unknown ID returns %d, %v", n, err)
	}
	// While the platform refuses it, a replayed event becomes a dead letter
	// again, with a new count of attempts.
	h.replay(ob, 1, letters[0].ID)
	h.eventually("the replayed event is dead again", func() bool {
		for _, letter := range h.failed(ob, outbox.Page{}) {
			if letter.EventID == letters[0].EventID {
				return letter.FailedAt.After(letters[0].FailedAt) && letter.Attempts == 1
			}
		}
		return false
	})
	lift()
	letters = h.dead(ob, 3)
	h.replay(ob, 1, letters[1].ID)
	h.accepted(1)
	h.dead(ob, 2)
	h.replay(ob, 2)
	h.accepted(3)
	h.empty(ob)
	h.noDeadLetters(ob)
	// The identity of a replayed event is known.
	h.send(ob, event("bad-0"))
	h.empty(ob)
	if n := h.platform.Count(); n != 3 {
		h.Errorf("%d events were accepted, want 3", n)
	}
}

// testReplayOfOne checks that a replay uses a new idempotency key. The platform
// repeats its response to a known key.
func testReplayOfOne(h *harness) {
	lift := h.platform.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"only"}, Code: "INVALID_REQUEST"})
	ob := h.started(h.config())
	h.send(ob, event("only"))
	h.dead(ob, 1)
	lift()
	h.replay(ob, 1)
	h.accepted(1)
	h.noDeadLetters(ob)
}

func (h *harness) replay(ob outbox.Outbox, want int, ids ...string) {
	h.Helper()
	if n, err := ob.Replay(h.ctx, ids...); n != want || err != nil {
		h.Fatalf("Replay returns %d, %v, want %d", n, err, want)
	}
}

func testDiscard(h *harness) {
	lift := h.refuse("bad-0", "bad-1")
	ob := h.started(h.config())
	h.send(ob, events("bad", 2)...)
	letters := h.dead(ob, 2)
	for _, test := range []struct {
		name string
		ids  []string
		want int
	}{
		{"nothing", nil, 0},
		{"an unknown ID", []string{"no-such-letter"}, 0},
		{"one of two", []string{letters[0].ID}, 1},
		{"the same again", []string{letters[0].ID}, 0},
	} {
		if n, err := ob.Discard(h.ctx, test.ids...); n != test.want || err != nil {
			h.Errorf("Discard of %s returns %d, %v, want %d", test.name, n, err, test.want)
		}
	}
	left := h.dead(ob, 1)
	if left[0].ID != letters[1].ID {
		h.Error("another dead letter was discarded")
	}
	lift()
	h.replay(ob, 1)
	h.accepted(1)
	h.onlyAccepted(ob, letters[1].EventID)
}

func testMaxAge(h *harness) {
	cfg := h.config()
	cfg.MaxAge = time.Nanosecond // times are kept in milliseconds: it has passed at once
	ob := h.started(cfg)
	h.send(ob, event("old"))
	letter := h.dead(ob, 1)[0]
	if letter.EventID != "old" || !strings.Contains(letter.Reason, "maximum event age") || letter.Status != 0 {
		h.Errorf("the dead letter is %s with status %d: %s", letter.EventID, letter.Status, letter.Reason)
	}
	h.onlyAccepted(ob)
	if h.backend.Forgets {
		return
	}
	h.stop(ob)
	// A replayed event gets a new age.
	ob = h.started(h.config())
	h.replay(ob, 1, letter.ID)
	h.accepted(1)
}

func testErase(h *harness) {
	lift := h.refuse("dead-hers", "dead-his")
	ob := h.started(h.config())
	hers, his := clickid.CustomerKey("her-number"), clickid.CustomerKey("his-number")
	order := clickid.OrderKey("her-order")
	of := func(id string, keys ...clickid.Key) clickid.Event {
		e := event(id)
		e.Keys = keys
		return e
	}
	h.send(ob, of("dead-hers", hers), of("dead-his", his))
	h.dead(ob, 2)
	h.stop(ob)
	// Erase also finds queued events, and events by the keys of their fields.
	byField := event("queued-by-field")
	byField.User.ExternalID = "her-number"
	byOrder := event("queued-by-order")
	byOrder.OrderID = "her-order"
	queue := h.openOutbox(h.config())
	h.send(queue, of("queued-hers", his, hers), byField, byOrder, of("queued-his", his), event("no-keys"))
	for _, test := range []struct {
		name string
		key  clickid.Key
		want int
	}{
		{"an unknown customer", clickid.CustomerKey("unknown"), 0},
		{"the same number of another kind", clickid.OrderKey("her-number"), 0},
		{"a customer", hers, h.alive(3, 2)},
		{"the same customer again", hers, 0},
		{"an order", order, 1},
	} {
		if n, err := queue.Erase(h.ctx, test.key); n != test.want || err != nil {
			h.Errorf("Erase of %s returns %d, %v, want %d", test.name, n, err, test.want)
		}
	}
	if _, err := queue.Erase(h.ctx, clickid.Key{}); !errors.Is(err, clickid.ErrInvalid) {
		h.Errorf("Erase of the zero key returns %v", err)
	}
	lift()
	h.start(queue)
	if !h.backend.Forgets {
		h.replay(queue, 1)
	}
	h.accepted(h.alive(3, 2))
	if h.backend.Forgets {
		h.onlyAccepted(queue, "queued-his", "no-keys")
	} else {
		h.onlyAccepted(queue, "queued-his", "no-keys", "dead-his")
	}
}

// alive returns remembered if the storage outlives an outbox, else forgotten.
func (h *harness) alive(remembered, forgotten int) int {
	if h.backend.Forgets {
		return forgotten
	}
	return remembered
}

func testStats(h *harness) {
	h.refuse("bad")
	ob := h.openOutbox(h.config())
	if stats := h.stats(ob); stats != (outbox.Stats{}) {
		h.Errorf("an empty outbox has %+v", stats)
	}
	h.send(ob, events("good", 3)...)
	h.send(ob, event("bad"))
	if stats := h.stats(ob); stats.Queued != 4 || stats.Delivered != 0 || stats.DeadLetters != 0 {
		h.Errorf("after four queued events Stats returns %+v", stats)
	}
	h.eventually("the oldest has an age", func() bool { return h.stats(ob).Oldest > 0 })
	h.start(ob)
	h.accepted(3)
	h.eventually("Stats reports an empty queue", func() bool { return h.stats(ob) == outbox.Stats{Delivered: 3, DeadLetters: 1} })
}

func testLost(h *harness) {
	ob := h.openOutbox(h.config())
	h.send(ob, event("lost"), event("kept"))
	h.backend.Lose(h, ob, h.records(h.config(), event("lost"))[0].Identity)
	h.start(ob)
	h.accepted(1)
	if letter := h.dead(ob, 1)[0]; letter.ID == "" || letter.Reason == "" {
		h.Errorf("the dead letter has the ID %q and the reason %q", letter.ID, letter.Reason)
	}
	h.onlyAccepted(ob, "kept")
	if stats := h.stats(ob); stats.Delivered != 1 {
		h.Errorf("%d events count as delivered, want 1", stats.Delivered)
	}
	if !h.saw(outbox.KindRecordLost) {
		h.Error("the hook was not called for the lost record")
	}
	h.send(ob, event("lost"))
	h.accepted(2)
	h.onlyAccepted(ob, "kept", "lost")
}

// interrupted is a transport whose first request waits and then fails.
type interrupted struct {
	entered, release chan struct{}
	once             sync.Once
}

func (i *interrupted) RoundTrip(r *http.Request) (*http.Response, error) {
	first := false
	i.once.Do(func() { first = true })
	if !first {
		return http.DefaultTransport.RoundTrip(r)
	}
	close(i.entered)
	<-i.release
	return nil, errors.New("the connection was lost")
}

// testEraseSending erases an event during its request.
func testEraseSending(h *harness) {
	transport := &interrupted{entered: make(chan struct{}), release: make(chan struct{})}
	ob := h.started(h.config(func(cfg *capi.Config) { cfg.HTTPClient = &http.Client{Transport: transport} }))
	h.send(ob, event("erased"))
	select {
	case <-transport.entered:
	case <-h.ctx.Done():
		h.Fatal("no request was made")
	}
	n, err := ob.Erase(h.ctx, clickid.OrderKey("erased"))
	close(transport.release)
	if n != 1 || err != nil {
		h.Errorf("Erase returns %d, %v", n, err)
	}
	h.empty(ob)
	h.states(ob, "erased")
	h.send(ob, event("sentinel"))
	h.accepted(1)
	h.onlyAccepted(ob, "sentinel")
	if stats := h.stats(ob); stats.Delivered != 1 {
		h.Errorf("%d events count as delivered, want 1", stats.Delivered)
	}
	h.send(ob, event("erased")) // its identity is free
	h.accepted(2)
}
