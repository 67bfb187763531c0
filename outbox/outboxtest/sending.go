package outboxtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/extension"
	"github.com/clickid/clickid/outbox"
)

func testDelivery(h *harness) {
	ob := h.openOutbox(h.config())
	h.send(ob, event("before"))
	h.start(ob)
	h.accepted(1)
	h.send(ob, event("after"))
	h.accepted(2)
	h.onlyAccepted(ob, "before", "after")
	h.noDeadLetters(ob)
	if !h.saw(outbox.KindDelivered) {
		h.Error("the hook was not called for the deliveries")
	}
}

// testExactness compares the events that arrive through the outbox with those
// that the client sends directly.
func testExactness(h *harness) {
	e := event("exact")
	e.Value = clickid.Decimal("123456789012345.123456789", "KWD")
	e.Source = clickid.SourceWebsite
	e.User = clickid.User{ExternalID: "customer-7f3a", IDs: []clickid.UserID{clickid.RampID("ramp-token"), clickid.ID5("id5-token")}}
	e.OrderID = "order-über-1"
	e.Items = []clickid.Item{{ID: "sku", Brand: "Brand <&> \u2028", Quantity: 3, Price: clickid.Decimal("0.10", "KWD")}}
	e.PageURL = "https://shop.example/thanks?session=dropped"
	e.Properties = map[string]any{"large": json.Number("12345678901234567890"), "ratio": 0.1, "list": []any{"a", true, nil}, "nul": "a\x00b"}
	e.Keys = []clickid.Key{clickid.SessionKey("session")}
	direct := clickidtest.NewServer(h)
	h.send(accepting{h.client(func(cfg *capi.Config) { cfg.BaseURL = direct.URL })}, e)
	ob := h.started(h.config())
	h.send(ob, e)
	got, want := h.accepted(1)[0].Raw, direct.Accepted()[0].Raw
	if !bytes.Equal(got, want) {
		h.Errorf("through the outbox:\n%s\ndirectly:\n%s", got, want)
	}
}

// accepting is a client that reports accepted events as queued.
type accepting struct{ clickid.Sender }

func (a accepting) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	report, err := a.Sender.Send(ctx, events...)
	for i := range report.Results {
		if report.Results[i].Verdict == clickid.VerdictAccepted {
			report.Results[i].Verdict = clickid.VerdictQueued
		}
	}
	return report, err
}

func testSharing(h *harness) {
	const n = 400
	cfg := h.config()
	cfg.Linger = 200 * time.Millisecond
	ob := h.openOutbox(cfg)
	h.send(ob, events("shared", n)...)
	h.start(ob)
	h.accepted(n)
	h.empty(ob)
	if requests := len(h.platform.Requests()); requests > n/4 {
		h.Errorf("%d events took %d requests", n, requests)
	}
}

func testSameIdentity(h *harness) {
	ob := h.openOutbox(h.config())
	h.send(ob, event("same"), event("same")) // in one call
	h.send(ob, event("same"))                // while it is queued
	if queued := h.stats(ob).Queued; queued != 1 {
		h.Errorf("%d events are queued, want 1", queued)
	}
	h.start(ob)
	h.accepted(1)
	h.empty(ob)
	h.send(ob, event("same")) // after its delivery
	h.send(ob, event("next"))
	h.accepted(2)
	h.onlyAccepted(ob, "same", "next")
}

func testTypeIdentity(h *harness) {
	ob := h.started(h.config())
	purchase, lead := event("one-id"), event("one-id")
	lead.Type = clickid.Lead
	h.send(ob, purchase)
	h.send(ob, lead)
	h.accepted(2)
	h.onlyAccepted(ob, "one-id", "one-id")
}

func testChecks(h *harness) {
	ob := h.started(h.config())
	organic, denied, invalid := event("organic"), event("denied"), event("invalid")
	organic.Click = clickid.Click{}
	denied.Consent = clickid.ConsentDenied
	invalid.Time = time.Time{}
	report, err := ob.Send(h.ctx, organic, denied)
	if err != nil {
		h.Errorf("skipped events return the error %v", err)
	}
	want := []clickid.Verdict{clickid.VerdictSkippedOrganic, clickid.VerdictSkippedConsent}
	h.verdicts(report, want...)
	report, err = ob.Send(h.ctx, organic, invalid, denied, event("valid"))
	if err != nil {
		h.Errorf("an invalid event returns the error %v", err)
	}
	h.verdicts(report, clickid.VerdictSkippedOrganic, clickid.VerdictDeadLettered, clickid.VerdictSkippedConsent, clickid.VerdictQueued)
	if report, err = ob.Send(h.ctx); err != nil || len(report.Results) != 0 {
		h.Errorf("Send without events returns %d results and the error %v", len(report.Results), err)
	}
	h.accepted(1)
	h.onlyAccepted(ob, "valid")
	if letter := h.dead(ob, 1)[0]; letter.EventID != "invalid" {
		h.Errorf("the dead letter is of %s", letter.EventID)
	}
}

func (h *harness) verdicts(report clickid.Report, want ...clickid.Verdict) {
	h.Helper()
	if len(report.Results) != len(want) {
		h.Fatalf("%d results for %d events", len(report.Results), len(want))
	}
	for i, result := range report.Results {
		if result.Verdict != want[i] {
			h.Errorf("event %d is %v, want %v", i, result.Verdict, want[i])
		}
	}
}

func testEndedContext(h *harness) {
	ob := h.openOutbox(h.config())
	ctx, cancel := context.WithCancel(h.ctx)
	cancel()
	report, err := ob.Send(ctx, event("late"))
	if !errors.Is(err, context.Canceled) {
		h.Errorf("Send with a cancelled context returns %v", err)
	}
	h.verdicts(report, clickid.VerdictFailed)
	if _, err := ob.Stats(ctx); err == nil {
		h.Error("Stats with a cancelled context returns no error")
	}
	// The same event can be sent again.
	h.start(ob)
	h.send(ob, event("late"))
	h.accepted(1)
	h.onlyAccepted(ob, "late")
}

// resolver stands in for a tracker. Its store can be unavailable.
type resolver struct {
	failing atomic.Bool
	gone    atomic.Bool
	called  atomic.Int32
}

func (r *resolver) Resolve(_ context.Context, token string) (clickid.Click, error) {
	r.called.Add(1)
	if r.failing.Load() {
		return clickid.Click{}, errors.New("the store is unavailable")
	}
	if r.gone.Load() || token == "gone" {
		return clickid.Click{}, fmt.Errorf("%w: it was deleted", clickid.ErrNotFound)
	}
	now := time.Now().UTC().Truncate(time.Second)
	return clickid.Click{ID: "click-of-" + token, Param: "clkid", At: now.Add(-time.Hour), Expires: now.Add(time.Hour)}, nil
}

func testToken(h *harness) {
	r := &resolver{}
	r.failing.Store(true)
	ob := h.openOutbox(h.config(func(cfg *capi.Config) { cfg.Resolver = r }))
	known, unknown := event("known"), event("unknown")
	known.Click, known.ClickToken = clickid.Click{}, "token-known"
	unknown.Click, unknown.ClickToken = clickid.Click{}, "gone"
	h.send(ob, known, unknown)
	h.start(ob)
	h.eventually("the store was called", func() bool { return r.called.Load() >= 2 })
	r.failing.Store(false)
	if got := h.accepted(1)[0].ClickID; got != "click-of-token-known" {
		h.Errorf("the event was sent with the click %q", got)
	}
	h.onlyAccepted(ob, "known") // the other one is organic
	h.noDeadLetters(ob)
}

// testYoungToken delivers an event whose click is not yet on the server that
// responds, as on a replica.
func testYoungToken(h *harness) {
	token, err := extension.NewToken(time.Now().Add(-50 * time.Second))
	if err != nil {
		h.Fatal(err)
	}
	ob := h.started(h.config(func(cfg *capi.Config) { cfg.Resolver = lagging{} }))
	e := event("young")
	e.Click, e.ClickToken = clickid.Click{}, token
	h.send(ob, e)
	h.accepted(1)
	h.onlyAccepted(ob, "young")
	h.noDeadLetters(ob)
}

// lagging is a resolver that finds a click when its token is a minute old.
type lagging struct{}

func (lagging) Resolve(_ context.Context, token string) (clickid.Click, error) {
	issued, _ := extension.TokenTime(token)
	if time.Since(issued) < time.Minute {
		return clickid.Click{}, clickid.ErrNotFound
	}
	return event("young").Click, nil
}

func testConsent(h *harness) {
	var failing atomic.Bool
	var asked atomic.Int32
	failing.Store(true)
	cfg := h.config()
	cfg.Consent = func(_ context.Context, e clickid.Event) (clickid.Consent, error) {
		asked.Add(1)
		switch {
		case failing.Load():
			return clickid.ConsentUnknown, errors.New("the consent database is unavailable")
		case e.ID == "revoked":
			return clickid.ConsentDenied, nil
		case e.ID == "expired":
			return clickid.ConsentUnknown, nil
		}
		return clickid.ConsentGranted, nil
	}
	ob := h.started(cfg)
	h.send(ob, event("revoked"), event("expired"), event("granted"))
	h.eventually("the consent was checked", func() bool { return asked.Load() >= 3 })
	failing.Store(false)
	h.accepted(1)
	h.onlyAccepted(ob, "granted")
	h.noDeadLetters(ob)
}

func testRecheck(h *harness) {
	r := &resolver{}
	cfg := h.config(func(cfg *capi.Config) { cfg.Resolver = r })
	cfg.RecheckClick = true
	ob := h.openOutbox(cfg)
	deleted, expired := event("deleted"), event("expired")
	deleted.ClickToken = "gone"
	expired.ClickToken = "gone"
	expired.Click.Expires = time.Now().Add(-time.Second)
	h.send(ob, deleted, expired, event("no-token"))
	h.start(ob)
	h.accepted(2)
	h.onlyAccepted(ob, "expired", "no-token")
}

func testQueue(h *harness) {
	ob := h.openOutbox(h.config())
	queue, ok := ob.(outbox.Enqueuer)
	if !ok {
		return // accepts events only through Send
	}
	records := h.records(h.config(), events("record", 20)...)
	for range 2 {
		if _, err := queue.Enqueue(h.ctx, records); err != nil {
			h.Fatalf("Enqueue: %v", err)
		}
	}
	h.send(ob, event("record-0")) // has the identity of a record
	if queued := h.stats(ob).Queued; queued != len(records) {
		h.Errorf("%d events are queued, want %d", queued, len(records))
	}
	h.start(ob)
	h.accepted(len(records))
	h.empty(ob)
	if _, err := queue.Enqueue(h.ctx, records); err != nil {
		h.Fatalf("Enqueue: %v", err)
	}
	h.send(ob, event("last"))
	h.accepted(len(records) + 1)
	h.empty(ob)
	h.receivedOnce()
}

// records returns the records of events, as a relay reads them.
func (h *harness) records(cfg outbox.Config, events ...clickid.Event) []outbox.Record {
	h.Helper()
	delivery, err := outbox.NewDelivery(cfg)
	if err != nil {
		h.Fatal(err)
	}
	report, records := delivery.Admit(h.ctx, events...)
	if err := report.Err(); err != nil || len(records) != len(events) {
		h.Fatalf("%d records of %d events: %v", len(records), len(events), err)
	}
	return records
}

// testNewerVersion starts an instance on a queue with a record of a newer
// version, as during a deployment.
func testNewerVersion(h *harness) {
	ob := h.openOutbox(h.config())
	queue, ok := ob.(outbox.Enqueuer)
	if !ok {
		return
	}
	records := h.records(h.config(), event("newer"), event("known"))
	records[0].Payload = bytes.Replace(records[0].Payload, []byte(`"v":1`), []byte(`"v":1000`), 1)
	if _, err := records[0].Event(); !errors.Is(err, outbox.ErrNewerVersion) {
		h.Fatalf("the record is not of a newer version: %v", err)
	}
	if _, err := queue.Enqueue(h.ctx, records); err != nil {
		h.Fatalf("Enqueue: %v", err)
	}
	h.start(ob)
	h.accepted(1)
	h.eventually("the record was tried", func() bool { return h.saw(outbox.KindNewerVersion) })
	h.eventually("only that record is queued", func() bool { return h.stats(ob).Queued == 1 })
	h.noDeadLetters(ob)
}
