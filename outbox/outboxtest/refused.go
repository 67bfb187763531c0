package outboxtest

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
)

// refusedEvent is an event that validation refuses.
func refusedEvent(id string) clickid.Event {
	e := event(id)
	e.Value = clickid.Decimal("149,99", "USD")
	return e
}

// sendRefused sends an event that must become a dead letter, and returns its
// result.
func (h *harness) sendRefused(s clickid.Sender, e clickid.Event) clickid.Result {
	h.Helper()
	report, err := s.Send(h.ctx, e)
	if err != nil {
		h.Fatalf("Send of an event that validation refuses: %v", err)
	}
	h.verdicts(report, clickid.VerdictDeadLettered)
	if report.Results[0].Reason == "" || report.Results[0].Err != nil {
		h.Errorf("the result has the reason %q and the error %v", report.Results[0].Reason, report.Results[0].Err)
	}
	return report.Results[0]
}

func testRefused(h *harness) {
	ob := h.started(h.config())
	again := refusedEvent("order")
	h.sendRefused(ob, again)
	again.Time = again.Time.Add(time.Second)
	h.sendRefused(ob, again) // a redelivered webhook
	letter := h.dead(ob, 1)[0]
	if letter.EventID != "order" || !strings.Contains(letter.Reason, "value") || letter.Status != 0 {
		h.Errorf("the dead letter is of %q: %s, status %d", letter.EventID, letter.Reason, letter.Status)
	}
	if n := len(h.platform.Requests()); n != 0 {
		h.Errorf("%d requests were made for it", n)
	}
	if !h.saw(outbox.KindDeadLetter) {
		h.Error("the hook was not called for the dead letter")
	}
	h.send(ob, event("order")) // corrected
	h.accepted(1)
	h.onlyAccepted(ob, "order")
	h.dead(ob, 1)
	nameless := refusedEvent("")
	if id := h.sendRefused(ob, nameless).ID; id == "" {
		h.Error("an event without an ID got none")
	} else if letters := h.dead(ob, 2); letters[0].EventID != id && letters[1].EventID != id {
		h.Errorf("no dead letter has the ID %s of the result", id)
	}
}

// testNotUTF8 has an event whose ID cannot be stored byte for byte. It is found,
// replayed, discarded and erased by its ID as the shop has it, and as it is shown.
func testNotUTF8(h *harness) {
	const raw, shown = "order-\xff\xfe-1", "order-\ufffd\ufffd-1"
	ob := h.started(h.config())
	h.sendRefused(ob, event(raw))
	letter := h.dead(ob, 1)[0]
	for _, id := range []string{raw, shown} {
		entries := h.find(ob, id)
		if len(entries) != 1 || entries[0].State != outbox.StateDeadLettered || entries[0].EventID != shown || entries[0].DeadLetterID != letter.ID {
			h.Errorf("Find of %q: %+v", id, entries)
		}
	}
	if n, err := ob.Erase(h.ctx, clickid.OrderKey(raw)); err != nil || n != 1 {
		h.Errorf("Erase: %d, %v", n, err)
	}
	h.dead(ob, 0)
}

// panics is a value whose encoding panics.
type panics struct{}

func (panics) MarshalJSON() ([]byte, error) { panic("a fault of the application") }

func testNotJSON(h *harness) {
	ob := h.started(h.config())
	e := refusedEvent("not-json")
	e.Properties = map[string]any{"ratio": math.NaN(), "broken": panics{}, "kept": "yes"}
	h.sendRefused(ob, e)
	letter := h.dead(ob, 1)[0]
	if letter.Event.Properties["kept"] != "yes" || letter.EventID != "not-json" {
		h.Errorf("the dead letter has the ID %q and the properties %v", letter.EventID, letter.Event.Properties)
	}
	for _, dropped := range []string{"properties.ratio", "properties.broken", "value"} {
		if !strings.Contains(letter.Reason, dropped) {
			h.Errorf("the reason does not name %s: %s", dropped, letter.Reason)
		}
	}
}

func testRefusedCommit(h *harness) {
	ob := h.started(h.config())
	if err := h.transact(ob, func(s clickid.Sender) error {
		h.sendRefused(s, refusedEvent("refused"))
		h.send(s, event("good"))
		return nil
	}); err != nil {
		h.Fatalf("commit: %v", err)
	}
	h.accepted(1)
	if letter := h.dead(ob, 1)[0]; letter.EventID != "refused" {
		h.Errorf("the dead letter is of %s", letter.EventID)
	}
}

func testKnown(h *harness) {
	ob := h.started(h.config())
	check := func(what string, e clickid.Event, warned string) {
		h.Helper()
		report, err := ob.Send(h.ctx, e)
		if err != nil {
			h.Fatalf("Send: %v", err)
		}
		result := report.Results[0]
		if h.backend.Unaware {
			return
		}
		if result.Verdict != clickid.VerdictQueued || result.Reason != "already known" {
			h.Errorf("%s: %v, %q", what, result.Verdict, result.Reason)
		}
		if warnings := strings.Join(result.Warnings, " "); (warned == "") != (warnings == "") || !strings.Contains(warnings, warned) {
			h.Errorf("%s: the warnings are %q, want %q", what, warnings, warned)
		}
	}
	h.send(ob, event("order"))
	h.accepted(1)
	h.empty(ob)
	other, click := event("order"), event("order")
	other.Value = clickid.Minor(1, "EUR")
	click.Click.ID = "another-click"
	check("the same event", event("order"), "")
	check("another value", other, "value and currency")
	check("another click", click, "click")
	h.onlyAccepted(ob, "order")
}

func testSkippedAgain(h *harness) {
	var granted atomic.Bool
	cfg := h.config()
	cfg.Consent = func(context.Context, clickid.Event) (clickid.Consent, error) {
		if granted.Load() {
			return clickid.ConsentGranted, nil
		}
		return clickid.ConsentUnknown, nil
	}
	ob := h.started(cfg)
	h.send(ob, event("order"))
	h.eventually("the event is skipped", func() bool {
		stats := h.stats(ob)
		return stats.Skipped == 1 && stats.Queued == 0
	})
	if stats := h.stats(ob); stats.Delivered != 0 {
		h.Errorf("%d events count as delivered", stats.Delivered)
	}
	granted.Store(true)
	h.send(ob, event("order"))
	h.accepted(1)
	h.onlyAccepted(ob, "order")
	h.noDeadLetters(ob)
}

func testSkipTrace(h *harness) {
	cfg := h.config()
	cfg.ForgetSkips = true
	cfg.Consent = func(context.Context, clickid.Event) (clickid.Consent, error) { return clickid.ConsentDenied, nil }
	ob := h.started(cfg)
	h.send(ob, event("order"))
	h.eventually("the event is skipped", func() bool { return h.saw(outbox.KindSkipped) && h.stats(ob).Queued == 0 })
	if n := h.stats(ob).Skipped; n != 0 {
		h.Errorf("%d skipped events are remembered", n)
	}
}

// testMetadata sends events with the traces of three orders: by Send, in a
// transaction if there are any, and of an event that is replayed.
func testMetadata(h *harness) {
	type traceKey struct{}
	order := func(trace string) context.Context { return context.WithValue(h.ctx, traceKey{}, trace) }
	var mu sync.Mutex
	atOutcome, inRequests := map[string]string{}, map[string]bool{}
	cfg := h.config(func(cfg *capi.Config) {
		cfg.Hook = func(ctx context.Context, _ capi.Attempt) {
			mu.Lock()
			defer mu.Unlock()
			for _, metadata := range outbox.MetadataOfRequest(ctx) {
				inRequests[metadata["traceparent"]] = true
			}
		}
	})
	cfg.Metadata = func(ctx context.Context) map[string]string {
		trace, _ := ctx.Value(traceKey{}).(string)
		return map[string]string{"traceparent": trace}
	}
	hook := cfg.Hook
	cfg.Hook = func(ctx context.Context, o outbox.Observation) {
		if o.Kind == outbox.KindDelivered || o.Kind == outbox.KindDeadLetter {
			mu.Lock()
			atOutcome[string(o.Kind)+" "+o.EventID] = outbox.MetadataFromContext(ctx)["traceparent"]
			mu.Unlock()
		}
		hook(ctx, o)
	}
	want := map[string]string{"delivered sent": "00-1-1-01", "dead letter refused": "00-1-2-01", "delivered refused": "00-1-2-01"}

	lift := h.refuse("refused")
	ob := h.started(cfg)
	queue := func(s clickid.Sender, trace, id string) error {
		_, err := s.Send(order(trace), event(id))
		return err
	}
	problem := errors.Join(queue(ob, "00-1-1-01", "sent"), queue(ob, "00-1-2-01", "refused"))
	if h.backend.Transact != nil {
		want["delivered paid"] = "00-1-3-01"
		problem = errors.Join(problem, h.backend.Transact(order("00-1-3-01"), ob, func(s clickid.Sender) error {
			return queue(s, "00-1-3-01", "paid")
		}))
	}
	if problem != nil {
		h.Fatalf("Send: %v", problem)
	}
	h.dead(ob, 1)
	lift()
	h.replay(ob, 1)
	h.accepted(len(want) - 1)
	h.eventually("the hook is called for every outcome", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(atOutcome) == len(want)
	})
	mu.Lock()
	defer mu.Unlock()
	for outcome, trace := range want {
		if atOutcome[outcome] != trace {
			h.Errorf("the metadata of %q is %q, want %q", outcome, atOutcome[outcome], trace)
		}
		if !inRequests[trace] {
			h.Errorf("no request has the metadata %q", trace)
		}
	}
}

func testDiscardedAgain(h *harness) {
	lift := h.refuse("order")
	ob := h.started(h.config())
	h.send(ob, event("order"))
	letter := h.dead(ob, 1)[0]
	if n, err := ob.Discard(h.ctx, letter.ID); n != 1 || err != nil {
		h.Fatalf("Discard returns %d, %v", n, err)
	}
	lift()
	corrected := event("order")
	corrected.Value = clickid.Minor(100, "USD")
	h.send(ob, corrected)
	h.accepted(1)
	h.onlyAccepted(ob, "order")
	h.noDeadLetters(ob)
}

func testReplayBesideSend(h *harness) {
	lift := h.refuse("order")
	ob := h.started(h.config())
	h.send(ob, event("order"))
	h.dead(ob, 1)
	lift()
	var group sync.WaitGroup
	group.Add(2)
	go func() {
		defer group.Done()
		if _, err := ob.Replay(h.ctx); err != nil {
			h.Errorf("Replay: %v", err)
		}
	}()
	go func() {
		defer group.Done()
		for range 5 {
			if _, err := ob.Send(h.ctx, event("order")); err != nil {
				h.Errorf("Send: %v", err)
			}
		}
	}()
	group.Wait()
	h.accepted(1)
	h.acceptedInTheEnd(ob, "order")
	h.noDeadLetters(ob)
}

func testProvisional(h *harness) {
	h.platform.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"odd"}, WholeRequest: true, Naming: clickidtest.NamingNone, Code: "INVALID_REQUEST"})
	ob := h.started(h.config())
	h.send(ob, event("first"))
	h.accepted(1)
	h.empty(ob)
	requests := len(h.platform.Requests())
	h.send(ob, event("odd"))
	h.requests(requests + 1)
	h.eventually("the event waits", func() bool { return h.stats(ob).Queued == 1 })
	time.Sleep(10 * h.config().MinSnooze) // it is taken several times meanwhile
	h.noDeadLetters(ob)
	if n := len(h.platform.Requests()); n != requests+1 {
		h.Errorf("it was sent %d times while it waits", n-requests)
	}
	h.send(ob, event("second"))
	h.accepted(2)
	letter := h.dead(ob, 1)[0]
	if letter.EventID != "odd" || letter.Status != 400 || len(letter.History) != 2 {
		h.Errorf("the dead letter is of %s with status %d after %d requests", letter.EventID, letter.Status, len(letter.History))
	}
	for i, attempt := range letter.History {
		if attempt.Status != 400 || attempt.Code != "INVALID_REQUEST" || attempt.At.IsZero() {
			h.Errorf("attempt %d has status %d, code %q and time %v", i, attempt.Status, attempt.Code, attempt.At)
		}
	}
	h.empty(ob)
}

func testNewKey(h *harness) {
	lift := h.platform.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"order"}, Code: "RATE_LIMITED", Recovery: "transient"})
	ob := h.started(h.config())
	h.send(ob, event("order"))
	h.requests(2)
	lift()
	h.accepted(1)
	h.onlyAccepted(ob, "order")
	h.noDeadLetters(ob)
}

func testEraseByNumber(h *harness) {
	ob := h.openOutbox(h.config())
	byOrderID := event("event-of-1002")
	byOrderID.OrderID = "1002"
	h.send(ob, event("1001"), byOrderID)
	for _, number := range []string{"1001", "1002"} {
		if n, err := ob.Erase(h.ctx, clickid.OrderKey(number)); n != 1 || err != nil {
			h.Errorf("Erase of order %s returns %d, %v", number, n, err)
		}
	}
	if n := h.stats(ob).Queued; n != 0 {
		h.Errorf("%d events are queued", n)
	}
}

func testKnownInTransaction(h *harness) {
	ob := h.started(h.config())
	h.send(ob, event("known"))
	h.accepted(1)
	h.empty(ob)
	if err := h.transact(ob, func(s clickid.Sender) error {
		h.send(s, event("known"))
		if h.backend.Exclusive {
			return nil
		}
		h.send(ob, events("other", 20)...)
		h.accepted(21)
		h.empty(ob)
		return nil
	}); err != nil {
		h.Fatalf("commit: %v", err)
	}
	h.empty(ob)
	if n := h.platform.Count(); h.backend.Exclusive && n != 1 {
		h.Errorf("%d events were accepted, want 1", n)
	}
}
