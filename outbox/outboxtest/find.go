package outboxtest

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
)

// find returns the entries of an event, one state after the other.
func (h *harness) find(ob outbox.Outbox, eventID string) []outbox.Entry {
	h.Helper()
	entries, err := ob.Find(h.ctx, eventID)
	if err != nil {
		h.Fatalf("Find: %v", err)
	}
	slices.SortFunc(entries, func(a, b outbox.Entry) int { return int(a.State) - int(b.State) })
	return entries
}

// states fails unless the entries of an event have the given states.
func (h *harness) states(ob outbox.Outbox, eventID string, want ...outbox.State) []outbox.Entry {
	h.Helper()
	entries := h.find(ob, eventID)
	var got []outbox.State
	for _, entry := range entries {
		got = append(got, entry.State)
		if entry.EventID != eventID || entry.Type != clickid.Purchase {
			h.Errorf("an entry of %s is of %s %q", eventID, entry.Type, entry.EventID)
		}
	}
	if !slices.Equal(got, want) {
		h.Errorf("%s is %v, want %v", eventID, got, want)
	}
	return entries
}

func testFind(h *harness) {
	h.refuse("refused")
	cfg := h.config()
	cfg.Consent = func(_ context.Context, e clickid.Event) (clickid.Consent, error) {
		if e.ID == "denied" {
			return clickid.ConsentDenied, nil
		}
		return clickid.ConsentGranted, nil
	}
	ob := h.openOutbox(cfg)
	sameOrder := event("another")
	sameOrder.OrderID = "good"
	warned := event("warned")
	warned.Items = []clickid.Item{{Name: "without an ID"}}
	before := time.Now().Add(-time.Second)
	h.send(ob, warned, event("good"), event("refused"), event("denied"), sameOrder)
	h.sendRefused(ob, refusedEvent("corrected"))
	h.send(ob, event("corrected"))
	h.states(ob, "unknown")
	for _, entry := range h.states(ob, "good", outbox.StateQueued) {
		if entry.QueuedAt.Before(before) || entry.QueuedAt.After(time.Now().Add(time.Second)) || !entry.EndedAt.IsZero() {
			h.Errorf("the queued event was queued at %v and ended at %v", entry.QueuedAt, entry.EndedAt)
		}
	}
	h.start(ob)
	h.accepted(4)
	letters := h.dead(ob, 2)
	h.empty(ob)
	late := time.Now().Add(time.Second)
	for _, entry := range h.states(ob, "good", outbox.StateDelivered) {
		if entry.EndedAt.Before(before) || entry.EndedAt.After(late) {
			h.Errorf("the event was delivered at %v", entry.EndedAt)
		}
	}
	for id, warns := range map[string]bool{"good": false, "warned": true} {
		for _, entry := range h.states(ob, id, outbox.StateDelivered) {
			if len(entry.Warnings) > 0 != warns {
				h.Errorf("the delivered event %s has the warnings %q", id, entry.Warnings)
			}
		}
	}
	again, err := ob.Send(h.ctx, warned)
	if err != nil || len(again.Results[0].Warnings) != 1 {
		h.Errorf("a delivered event with warnings is another one: %+v, %v", again.Results, err)
	}
	h.empty(ob)
	for _, entry := range h.states(ob, "refused", outbox.StateDeadLettered) {
		if !slices.ContainsFunc(letters, func(l outbox.DeadLetter) bool { return l.ID == entry.DeadLetterID && l.EventID == "refused" }) {
			h.Errorf("the ID %q is not that of the dead letter", entry.DeadLetterID)
		}
		if !strings.Contains(entry.Reason, "INVALID_REQUEST") || len(entry.Attempts) != 1 || entry.Attempts[0].Status != 400 {
			h.Errorf("the dead letter has the reason %q and the attempts %v", entry.Reason, entry.Attempts)
		}
	}
	for _, entry := range h.states(ob, "denied", outbox.StateSkipped) {
		if !strings.Contains(entry.Reason, "denied") || entry.EndedAt.Before(before) || entry.EndedAt.After(late) {
			h.Errorf("the event was skipped at %v: %q", entry.EndedAt, entry.Reason)
		}
	}
	h.states(ob, "corrected", outbox.StateDelivered, outbox.StateDeadLettered)
}

// testSkippedAtOnce sends events that are skipped without a delivery.
func testSkippedAtOnce(h *harness) {
	ob := h.started(h.config())
	organic, denied := event("order"), event("denied")
	organic.Click = clickid.Click{}
	denied.Consent = clickid.ConsentDenied
	for range 2 { // a redelivered webhook
		report, err := ob.Send(h.ctx, organic, denied)
		if err != nil {
			h.Fatalf("Send: %v", err)
		}
		h.verdicts(report, clickid.VerdictSkippedOrganic, clickid.VerdictSkippedConsent)
		h.eventually("the skips are recorded", func() bool { return h.stats(ob).Queued == 0 })
	}
	for _, id := range []string{"order", "denied"} {
		entries := h.find(ob, id)
		if len(entries) == 0 {
			h.Errorf("%s is not found", id)
		}
		for _, entry := range entries {
			if entry.State != outbox.StateSkipped || entry.Reason == "" {
				h.Errorf("%s is %v: %q", id, entry.State, entry.Reason)
			}
		}
	}
	h.send(ob, event("order"))
	h.accepted(1)
	h.onlyAccepted(ob, "order")
	h.noDeadLetters(ob)
}

func testHours(h *harness) {
	h.refuse("refused")
	ob := h.started(h.config())
	from := time.Now().Truncate(time.Hour)
	organic := event("organic")
	organic.Click = clickid.Click{}
	h.send(ob, event("refused"))
	h.send(ob, events("good", 5)...)
	if _, err := ob.Send(h.ctx, organic); err != nil {
		h.Fatalf("Send: %v", err)
	}
	h.accepted(5)
	h.empty(ob)
	counter, ok := ob.(outbox.HourCounter)
	if !ok {
		h.Fatal("the outbox is not an HourCounter")
	}
	count := func(from, to time.Time) (total int) {
		hours, err := counter.DeliveredByHour(h.ctx, from, to)
		if err != nil {
			h.Fatalf("DeliveredByHour: %v", err)
		}
		for i, hour := range hours {
			total += hour.Delivered
			if !hour.Hour.Equal(hour.Hour.Truncate(time.Hour)) || hour.Hour.Before(from) || !hour.Hour.Before(to) || i > 0 && !hours[i-1].Hour.Before(hour.Hour) {
				h.Errorf("the hour %v is not a full hour of the period, or not in order", hour.Hour)
			}
		}
		return total
	}
	// The clock of a server may be another, by less than an hour.
	if n := count(from.Add(-time.Hour), from.Add(3*time.Hour)); n != 5 {
		h.Errorf("%d deliveries, want 5", n)
	}
	if n := count(from.Add(-48*time.Hour), from.Add(-time.Hour)) + count(from.Add(3*time.Hour), from.Add(48*time.Hour)); n != 0 {
		h.Errorf("%d deliveries in other hours", n)
	}
}

// testAdministration opens the storage as a tool does, without a client.
func testAdministration(h *harness) {
	lift := h.refuse("bad-0", "bad-1")
	ob := h.started(h.config())
	h.send(ob, events("bad", 2)...)
	h.dead(ob, 2)
	h.stop(ob)
	lift()
	tool := h.openOutbox(outbox.Config{Destination: outbox.Administration(h.client().Name()), Logger: h.config().Logger})
	if err := tool.Start(h.ctx); err == nil {
		h.Error("Start without a client returns no error")
	}
	if _, err := outbox.Drain(h.ctx, tool); err == nil {
		h.Error("Drain without a client returns no error")
	}
	if report, err := tool.Send(h.ctx, event("new")); err == nil || report.Results[0].Verdict != clickid.VerdictFailed {
		h.Errorf("Send without a client returns %v", report.Results)
	}
	entries := h.states(tool, "bad-0", outbox.StateDeadLettered)
	if len(entries) != 1 {
		return
	}
	h.replay(tool, 1, entries[0].DeadLetterID)
	h.states(tool, "bad-0", outbox.StateQueued)
	if n, err := tool.Discard(h.ctx, h.dead(tool, 1)[0].ID); n != 1 || err != nil {
		h.Errorf("Discard returns %d, %v", n, err)
	}
	h.states(tool, "bad-1")
	ob = h.started(h.config())
	h.accepted(1)
	h.onlyAccepted(ob, "bad-0")
}
