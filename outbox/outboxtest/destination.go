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
	"github.com/clickid/clickid/outbox"
)

// Platform is the stand-in for the platform of a destination under test. It
// accepts events at first and is released with the test's Cleanup. Its functions
// are called concurrently with requests.
type Platform struct {
	// Open returns a new destination for the platform with a resolver, which is
	// nil for none. A destination that resolves no tokens ignores it. Required.
	Open func(t testing.TB, resolver clickid.Resolver) outbox.Destination
	// Behave changes how the platform responds. Required.
	Behave func(b Behaviour)
	// Requests returns the number of requests that have arrived. Required.
	Requests func() int
	// Accepted returns the accepted events in their order. Required.
	Accepted func() []AcceptedEvent
	// Event returns an event that the platform accepts. Defaults to a purchase
	// with a click of the parameter "clkid".
	Event func(id string) clickid.Event
	// Patience limits the waits of a test that fails. Defaults to 30 seconds.
	Patience time.Duration
}

// Behaviour is how a [Platform] responds.
type Behaviour struct {
	// Kind is the kind of the response.
	Kind BehaviourKind
	// IDs are those of the events that BehaviourRefusesEvents refuses.
	IDs []string
}

// BehaviourKind is a kind of [Behaviour].
type BehaviourKind int

const (
	// BehaviourAccepts accepts every event.
	BehaviourAccepts BehaviourKind = iota
	// BehaviourUnavailable returns a temporary failure, such as status 503.
	BehaviourUnavailable
	// BehaviourHangs does not respond until the request is cancelled or the
	// behaviour changes.
	BehaviourHangs
	// BehaviourRefusesConfiguration refuses every request, such as with status
	// 401 for a wrong key.
	BehaviourRefusesConfiguration
	// BehaviourRefusesEvents refuses the events with the IDs for a reason that
	// the event itself has, and accepts the others.
	BehaviourRefusesEvents
)

// AcceptedEvent is an event that a [Platform] has accepted.
type AcceptedEvent struct {
	// ID is the event's ID.
	ID string
	// ClickID is the ID of the click.
	ClickID string
}

// RunDestination runs the tests of a destination in parallel, directly and
// behind an outbox in memory. Each has its own platform.
//
//	func TestDestination(t *testing.T) {
//		outboxtest.RunDestination(t, func(t testing.TB) outboxtest.Platform {
//			platform := startStandIn(t)
//			return outboxtest.Platform{Open: …, Behave: …, Requests: …, Accepted: …}
//		})
//	}
func RunDestination(t *testing.T, newPlatform func(t testing.TB) Platform) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(d *destination)
	}{
		{"the name is the same after a restart", testName},
		{"Check has the result of Deliver and sends nothing", testCheck},
		{"Check refuses a token that nothing resolves", testCheckToken},
		{"every item has a result in its order", testResults},
		{"a refused item does not affect the others", testRefusedItem},
		{"an unavailable platform fails the items after one request", testUnavailable},
		{"a refused key is an error of the configuration", testRefusedKey},
		{"the end of the context ends Deliver", testHanging},
		{"Deliver sends MaxItems items", testMaxItems},
		{"Deliver and Check do not change the events", testUnchanged},
		{"calls at once have their own results", testConcurrent},
		{"errors and reasons hold no personal data", testSecrets},

		{"an outbox delivers through an outage", testThroughOutage},
		{"an outbox resolves tokens", testResolving},
		{"an outbox keeps refused events as dead letters", testDeadLetter},
		{"a refused configuration makes no dead letter", testAlert},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t)
			if p.Open == nil || p.Behave == nil || p.Requests == nil || p.Accepted == nil {
				t.Fatal("Platform needs Open, Behave, Requests and Accepted")
			}
			if p.Event == nil {
				p.Event = event
			}
			if p.Patience == 0 {
				p.Patience = defaultPatience
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*p.Patience)
			t.Cleanup(cancel)
			// Before the platform's own Cleanup, so that no request hangs.
			t.Cleanup(func() { p.Behave(Behaviour{}) })
			test.run(&destination{TB: t, platform: p, ctx: ctx})
		})
	}
}

// destination is a test with its platform.
type destination struct {
	testing.TB
	platform Platform
	ctx      context.Context

	mu       sync.Mutex
	observed []outbox.Kind
}

func (d *destination) open() outbox.Destination { return d.platform.Open(d, nil) }

func (d *destination) behave(kind BehaviourKind, ids ...string) {
	d.platform.Behave(Behaviour{Kind: kind, IDs: ids})
}

func (d *destination) items(ids ...string) []outbox.Item {
	items := make([]outbox.Item, len(ids))
	for i, id := range ids {
		items[i].Event = d.platform.Event(id)
	}
	return items
}

// deliver calls Deliver and checks what holds for every report.
func (d *destination) deliver(ctx context.Context, to outbox.Destination, items []outbox.Item) []clickid.Result {
	d.Helper()
	report, err := to.Deliver(ctx, items)
	if len(report.Results) != len(items) {
		d.Fatalf("Deliver returned %d results for %d items", len(report.Results), len(items))
	}
	unsuccessful := false
	for i, r := range report.Results {
		failed := r.Verdict == clickid.VerdictRejected || r.Verdict == clickid.VerdictFailed
		unsuccessful = unsuccessful || failed
		switch {
		case failed != (r.Err != nil):
			d.Errorf("the verdict of item %d is %v with the error %v; Err is set exactly for rejected and failed items", i, r.Verdict, r.Err)
		case r.ID != items[i].Event.ID || r.Type != items[i].Event.Type:
			d.Errorf("result %d is of %v %q, want that of the item", i, r.Type, r.ID)
		case r.Verdict == clickid.VerdictRejected && r.Reason == "":
			d.Errorf("item %d is rejected without a reason for the dead letter", i)
		}
	}
	if unsuccessful != (err != nil) {
		d.Errorf("Deliver returned the error %v; it is set exactly if an item was rejected or failed", err)
	}
	return report.Results
}

// verdict delivers items that must have the verdict.
func (d *destination) verdict(to outbox.Destination, want clickid.Verdict, ids ...string) []clickid.Result {
	d.Helper()
	results := d.deliver(d.ctx, to, d.items(ids...))
	for _, r := range results {
		if r.Verdict != want {
			d.Errorf("item %s is %v, want %v: %s %v", r.ID, r.Verdict, want, r.Reason, r.Err)
		}
	}
	return results
}

// wantAccepted fails unless exactly the events have been accepted, each once.
func (d *destination) wantAccepted(ids ...string) {
	d.Helper()
	var got []string
	for _, e := range d.platform.Accepted() {
		got = append(got, e.ID)
		if want := d.platform.Event(e.ID).Click.ID; e.ClickID != want {
			d.Errorf("event %s was sent with the click %q, want %q", e.ID, e.ClickID, want)
		}
	}
	slices.Sort(got)
	slices.Sort(ids)
	if !slices.Equal(got, ids) {
		d.Errorf("accepted events: %q, want %q", got, ids)
	}
}

// kindOf returns the kind of an error, which is temporary by default.
func kindOf(err error) clickid.SendErrorKind {
	if e := clickid.SendError(nil); errors.As(err, &e) {
		return e.Kind()
	}
	return clickid.SendErrorTemporary
}

// eventually waits until the condition is true.
func (d *destination) eventually(what string, condition func() bool) {
	d.Helper()
	deadline, tick := time.After(d.platform.Patience), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			d.Fatalf("not within %v: %s", d.platform.Patience, what)
		}
	}
}

func testName(d *destination) {
	first, second := d.open(), d.open()
	if first.Name() == "" || first.Name() != second.Name() {
		d.Errorf("the names are %q and %q, want the same that is not empty", first.Name(), second.Name())
	}
}

func testCheck(d *destination) {
	to := d.open()
	organic, denied, invalid := d.platform.Event("organic"), d.platform.Event("denied"), d.platform.Event("invalid")
	organic.Click, organic.User = clickid.Click{}, clickid.User{}
	denied.Consent = clickid.ConsentDenied
	invalid.Time = time.Time{}
	for _, tt := range []struct {
		event          clickid.Event
		check, deliver clickid.Verdict
	}{
		{organic, clickid.VerdictSkippedOrganic, clickid.VerdictSkippedOrganic},
		{denied, clickid.VerdictSkippedConsent, clickid.VerdictSkippedConsent},
		{invalid, clickid.VerdictRejected, clickid.VerdictRejected},
		{d.platform.Event("ready"), clickid.VerdictReady, clickid.VerdictAccepted},
	} {
		before := d.platform.Requests()
		checked := to.Check(tt.event)
		if checked.Verdict != tt.check || checked.ID != tt.event.ID || checked.Type != tt.event.Type {
			d.Errorf("%s: Check returned %v of %v %q, want %v", tt.event.ID, checked.Verdict, checked.Type, checked.ID, tt.check)
		}
		if failed := tt.check == clickid.VerdictRejected; failed != (checked.Err != nil) || failed && checked.Reason == "" {
			d.Errorf("%s: Check returned the error %v and the reason %q", tt.event.ID, checked.Err, checked.Reason)
		}
		if d.platform.Requests() != before {
			d.Errorf("%s: Check sends a request", tt.event.ID)
		}
		if got := d.deliver(d.ctx, to, []outbox.Item{{Event: tt.event}})[0].Verdict; got != tt.deliver {
			d.Errorf("%s: Deliver returned %v, want %v", tt.event.ID, got, tt.deliver)
		}
		if tt.check != clickid.VerdictReady && d.platform.Requests() != before {
			d.Errorf("%s: Deliver sends an event that is not ready", tt.event.ID)
		}
	}
	d.wantAccepted("ready")
}

// tokenEvent returns an event whose click is only known by its token.
func (d *destination) tokenEvent(id string) clickid.Event {
	e := d.platform.Event(id)
	e.Click, e.ClickToken, e.User = clickid.Click{}, "token", clickid.User{}
	return e
}

// resolves reports whether an outbox resolves tokens for the destination.
func resolves(to outbox.Destination) bool {
	r, ok := to.(interface{ Resolver() clickid.Resolver })
	return ok && r.Resolver() != nil
}

func testCheckToken(d *destination) {
	e := d.tokenEvent("token")
	if without := d.open(); !resolves(without) {
		if got := without.Check(e).Verdict; got != clickid.VerdictRejected && got != clickid.VerdictFailed {
			d.Errorf("without a resolver, Check returned %v for an event with only a token", got)
		}
	}
	if with := d.platform.Open(d, d.found()); resolves(with) {
		if got := with.Check(e).Verdict; got != clickid.VerdictReady {
			d.Errorf("with a resolver, Check returned %v for an event with only a token", got)
		}
	}
}

// found returns a resolver that finds the click of the event "token".
func (d *destination) found() clickid.Resolver { return resolverFunc(d.platform.Event("token").Click) }

type resolverFunc clickid.Click

func (c resolverFunc) Resolve(context.Context, string) (clickid.Click, error) {
	return clickid.Click(c), nil
}

func testResults(d *destination) {
	to := d.open()
	items := d.items("first", "denied", "second", "invalid", "third")
	items[1].Event.Consent = clickid.ConsentDenied
	items[3].Event.Time = time.Time{}
	want := []clickid.Verdict{clickid.VerdictAccepted, clickid.VerdictSkippedConsent, clickid.VerdictAccepted, clickid.VerdictRejected, clickid.VerdictAccepted}
	for i, r := range d.deliver(d.ctx, to, items) {
		if r.Verdict != want[i] {
			d.Errorf("item %s is %v, want %v", r.ID, r.Verdict, want[i])
		}
	}
	d.wantAccepted("first", "second", "third")
	d.deliver(d.ctx, to, nil)
}

func testRefusedItem(d *destination) {
	d.behave(BehaviourRefusesEvents, "odd")
	for i, r := range d.deliver(d.ctx, d.open(), d.items("first", "odd", "second")) {
		want := clickid.VerdictAccepted
		if i == 1 {
			want = clickid.VerdictRejected
		}
		if r.Verdict != want {
			d.Errorf("item %s is %v, want %v: %v", r.ID, r.Verdict, want, r.Err)
		}
	}
	d.wantAccepted("first", "second")
}

func testUnavailable(d *destination) {
	to := d.open()
	d.behave(BehaviourUnavailable)
	for _, r := range d.verdict(to, clickid.VerdictFailed, "one") {
		if kind := kindOf(r.Err); kind != clickid.SendErrorTemporary {
			d.Errorf("the error is of the kind %v", kind)
		}
	}
	if n := d.platform.Requests(); n != 1 {
		d.Errorf("%d requests were sent, want 1: the outbox retries", n)
	}
	d.verdict(to, clickid.VerdictFailed, "two", "three")
	d.behave(BehaviourAccepts)
	d.verdict(to, clickid.VerdictAccepted, "one", "two", "three")
	d.wantAccepted("one", "two", "three")
}

func testRefusedKey(d *destination) {
	d.behave(BehaviourRefusesConfiguration)
	for _, r := range d.verdict(d.open(), clickid.VerdictFailed, "one", "two") {
		if kind := kindOf(r.Err); kind != clickid.SendErrorConfiguration {
			d.Errorf("the error is of the kind %v", kind)
		}
	}
}

func testHanging(d *destination) {
	to := d.open()
	d.behave(BehaviourHangs)
	ctx, cancel := context.WithCancel(d.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		report, err := to.Deliver(ctx, d.items("hangs"))
		if err == nil || len(report.Results) == 1 && report.Results[0].Verdict != clickid.VerdictFailed {
			d.Errorf("Deliver returned %v and the error %v after the end of its context", report.Results, err)
		}
	}()
	d.eventually("a request arrives", func() bool { return d.platform.Requests() > 0 })
	cancel()
	select {
	case <-done:
	case <-time.After(d.platform.Patience):
		d.behave(BehaviourAccepts)
		d.Error("Deliver does not end with its context")
		<-done
	}
}

// mostItems limits the items of testMaxItems.
const mostItems = 2000

func testMaxItems(d *destination) {
	to := d.open()
	n := mostItems
	if m, ok := to.(interface{ MaxItems() int }); ok {
		if n = min(n, m.MaxItems()); n < 1 {
			d.Fatalf("MaxItems returned %d", n)
		}
	}
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprint("item-", i)
	}
	d.verdict(to, clickid.VerdictAccepted, ids...)
	d.wantAccepted(ids...)
}

func testUnchanged(d *destination) {
	to := d.open()
	items := d.items("one", "two")
	for i := range items {
		items[i].Event.Items = []clickid.Item{{ID: " sku ", Quantity: 1, Price: clickid.Minor(100, "USD")}}
		items[i].Event.Properties = map[string]any{"a": 1, "customer@example.com": "b"}
		items[i].Event.Keys = []clickid.Key{clickid.CustomerKey("7")}
	}
	text := func() string {
		data, err := json.Marshal(items)
		if err != nil {
			d.Fatal(err)
		}
		return string(data)
	}
	before := text()
	to.Check(items[0].Event)
	d.deliver(d.ctx, to, items)
	if after := text(); after != before {
		d.Errorf("the items were changed to\n%s\nfrom\n%s", after, before)
	}
}

func testConcurrent(d *destination) {
	to := d.open()
	d.behave(BehaviourRefusesEvents, "odd-0", "odd-1", "odd-2", "odd-3")
	var group sync.WaitGroup
	var want []string
	for i := range 4 {
		odd, even := fmt.Sprint("odd-", i), fmt.Sprint("even-", i)
		want = append(want, even)
		group.Add(1)
		go func() {
			defer group.Done()
			results := d.deliver(d.ctx, to, d.items(odd, even))
			to.Check(d.platform.Event(even))
			if results[0].Verdict != clickid.VerdictRejected || results[1].Verdict != clickid.VerdictAccepted {
				d.Errorf("%s is %v, %s is %v", odd, results[0].Verdict, even, results[1].Verdict)
			}
		}()
	}
	group.Wait()
	d.wantAccepted(want...)
}

func testSecrets(d *destination) {
	to := d.open()
	items := d.items("one")
	items[0].Event.User = clickid.User{ExternalID: "customer-7f3a", IP: "203.0.113.77"}
	items[0].Event.PageURL = "https://shop.example/thanks?mail=personal"
	secrets := []string{items[0].Event.Click.ID, "customer-7f3a", "203.0.113.77", "personal"}
	for _, b := range []Behaviour{
		{Kind: BehaviourUnavailable},
		{Kind: BehaviourRefusesConfiguration},
		{Kind: BehaviourRefusesEvents, IDs: []string{"one"}},
	} {
		d.platform.Behave(b)
		for _, r := range d.deliver(d.ctx, to, items) {
			for _, secret := range secrets {
				if text := fmt.Sprintf("%+v %s", r.Err, r.Reason); strings.Contains(text, secret) {
					d.Errorf("the error or the reason contains personal data: %s", text)
				}
			}
		}
	}
}

// outbox returns a started outbox in memory for the destination.
func (d *destination) outbox(to outbox.Destination) outbox.Outbox {
	d.Helper()
	ob, err := outbox.NewMemory(outbox.MemoryConfig{AcceptLoss: true, Delivery: outbox.Config{
		Destination: to,
		Logger:      slog.New(slog.DiscardHandler),
		MaxAttempts: 1, // an attempt that is used by mistake leads to a dead letter
		MinSnooze:   20 * time.Millisecond,
		MaxSnooze:   200 * time.Millisecond,
		Hook: func(_ context.Context, o outbox.Observation) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.observed = append(d.observed, o.Kind)
		},
	}})
	if err != nil {
		d.Fatal(err)
	}
	if err := ob.Start(d.ctx); err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() {
		d.behave(BehaviourAccepts)
		// A failed test may leave the outbox in any state.
		ctx, cancel := context.WithTimeout(context.Background(), d.platform.Patience)
		defer cancel()
		_, _ = ob.Stop(ctx)
	})
	return ob
}

func (d *destination) saw(kind outbox.Kind) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(d.observed, kind)
}

// convert queues an event.
func (d *destination) convert(ob outbox.Outbox, e clickid.Event) {
	d.Helper()
	result, err := clickid.Convert(d.ctx, ob, e)
	if err != nil || result.Verdict != clickid.VerdictQueued {
		d.Fatalf("event %s is %v, want queued: %s %v", e.ID, result.Verdict, result.Reason, err)
	}
}

// wantStats waits until the outbox has the numbers of events.
func (d *destination) wantStats(ob outbox.Outbox, queued, delivered, dead int) {
	d.Helper()
	d.eventually(fmt.Sprintf("%d events are queued, %d delivered and %d dead letters", queued, delivered, dead), func() bool {
		stats, err := ob.Stats(d.ctx)
		return err == nil && stats.Queued == queued && stats.Delivered == delivered && stats.DeadLetters == dead
	})
}

func testThroughOutage(d *destination) {
	ob := d.outbox(d.open())
	d.behave(BehaviourUnavailable)
	d.convert(ob, d.platform.Event("one"))
	d.convert(ob, d.platform.Event("two"))
	d.eventually("the outage is noticed", func() bool { return d.saw(outbox.KindPlatformUnavailable) })
	d.wantStats(ob, 2, 0, 0)
	d.behave(BehaviourAccepts)
	d.wantStats(ob, 0, 2, 0)
	d.wantAccepted("one", "two")
}

func testResolving(d *destination) {
	to := d.platform.Open(d, d.found())
	if !resolves(to) {
		return
	}
	ob := d.outbox(to)
	d.convert(ob, d.tokenEvent("token"))
	d.wantStats(ob, 0, 1, 0)
	d.wantAccepted("token")
}

func testDeadLetter(d *destination) {
	ob := d.outbox(d.open())
	d.behave(BehaviourRefusesEvents, "odd")
	d.convert(ob, d.platform.Event("odd"))
	// A refusal that names no field is final when another event was accepted after
	// it.
	accepted := []string{"odd"}
	d.eventually("the refused event is a dead letter", func() bool {
		even := fmt.Sprintf("even-%d", len(accepted))
		d.convert(ob, d.platform.Event(even))
		accepted = append(accepted, even)
		stats, err := ob.Stats(d.ctx)
		return err == nil && stats.DeadLetters == 1
	})
	d.wantStats(ob, 0, len(accepted)-1, 1)
	letters, err := ob.DeadLetters(d.ctx, outbox.Page{})
	if err != nil || len(letters) != 1 || letters[0].EventID != "odd" || letters[0].Reason == "" {
		d.Fatalf("the dead letters are %d with the error %v, want that of the refused event with its reason", len(letters), err)
	}
	d.behave(BehaviourAccepts)
	if n, err := ob.Replay(d.ctx, letters[0].ID); n != 1 || err != nil {
		d.Fatalf("Replay returned %d, %v", n, err)
	}
	d.wantStats(ob, 0, len(accepted), 0)
	d.wantAccepted(accepted...)
}

func testAlert(d *destination) {
	ob := d.outbox(d.open())
	d.behave(BehaviourRefusesConfiguration)
	d.convert(ob, d.platform.Event("one"))
	d.eventually("the alert is raised", func() bool { return d.saw(outbox.KindConfigurationRefused) })
	d.wantStats(ob, 1, 0, 0)
	d.behave(BehaviourAccepts)
	d.wantStats(ob, 0, 1, 0)
	d.wantAccepted("one")
}
