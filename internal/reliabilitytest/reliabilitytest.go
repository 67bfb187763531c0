// Package reliabilitytest holds the outboxes to the tables in
// docs/reliability.md.
package reliabilitytest

import (
	"context"
	"io"
	"log/slog"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/clickid/clickid/outbox"
)

// everyOutbox is the column of the outboxes.
const everyOutbox = "every outbox"

// patience limits each wait of a test.
const patience = time.Minute

// Run compares what a queue makes of each form of response, and of what is
// refused before a request, with the guide. open returns an outbox on an empty
// storage, which is not started.
func Run(t *testing.T, open func(t testing.TB, cfg outbox.Config) outbox.Outbox) {
	t.Helper()
	t.Run("responses", func(t *testing.T) {
		for _, interchange := range []bool{false, true} {
			b := newBench(t, open, interchange)
			// The first refusal of a destination that has never accepted an event
			// is an alert by itself.
			b.send(t, "first")
			b.await(t, "first", outbox.StateDelivered)
			for _, form := range platformtest.Forms() {
				if form.Interchange == interchange && !form.Warned {
					Compare(t, form.Name, everyOutbox, b.outcome(t, form))
				}
			}
			b.stop(t)
		}
	})
	t.Run("warnings", func(t *testing.T) {
		for _, form := range platformtest.Forms() {
			if form.Warned {
				// Some warnings end when a response has confirmed an event.
				b := newBench(t, open, form.Interchange)
				Compare(t, form.Name, everyOutbox, b.outcome(t, form))
				b.stop(t)
			}
		}
	})
	t.Run("refusals", func(t *testing.T) {
		b := newBench(t, open, false)
		defer b.stop(t)
		for _, refusal := range Refusals() {
			e := event("refusal")
			refusal.Edit(&e)
			Compare(t, refusal.Name, everyOutbox, Verdict(t, b.outbox, e))
		}
	})
}

// Refusal is an event that is not sent as it is.
type Refusal struct {
	Name string
	Edit func(e *clickid.Event)
}

// Refusals returns the rows of the guide's table of what is refused or skipped
// before a request.
func Refusals() []Refusal {
	return []Refusal{
		{"an event without an ID", func(e *clickid.Event) { e.ID = "" }},
		{"an event without a time", func(e *clickid.Event) { e.Time = time.Time{} }},
		{"an e-mail address in the ID", func(e *clickid.Event) { e.ID = "anna@example.com" }},
		{"an amount with a decimal comma", func(e *clickid.Event) { e.Value = clickid.Decimal("149,99", "USD") }},
		{"a negative amount", func(e *clickid.Event) { e.Value = clickid.Minor(-1, "USD") }},
		{"a time an hour ahead", func(e *clickid.Event) { e.Time = time.Now().Add(time.Hour) }},
		{"a property without a JSON form", func(e *clickid.Event) { e.Properties = map[string]any{"ratio": math.NaN()} }},
		{"a click or user identity is missing", func(e *clickid.Event) { e.Click = clickid.Click{} }},
		{"denied consent", func(e *clickid.Event) { e.Consent = clickid.ConsentDenied }},
		{"a token that the client cannot resolve", func(e *clickid.Event) { e.Click, e.ClickToken = clickid.Click{}, "token" }},
	}
}

// Verdict sends an event and returns its verdict as the guide has it.
func Verdict(t testing.TB, s clickid.Sender, e clickid.Event) string {
	t.Helper()
	report, err := s.Send(context.Background(), e)
	verdict := report.Results[0].Verdict
	if failed := verdict == clickid.VerdictRejected || verdict == clickid.VerdictFailed; failed != (err != nil) {
		t.Errorf("the verdict is %v and the error %v", verdict, err)
	}
	if len(report.Results[0].Warnings) > 0 {
		return verdict.String() + ", with a warning"
	}
	return verdict.String()
}

// event returns a complete event.
func event(id string) clickid.Event {
	e := platformtest.Purchase(id)
	e.Time = time.Now().Add(-time.Minute)
	return e
}

// bench is an outbox with a platform that can be scripted.
type bench struct {
	outbox outbox.Outbox

	mu       sync.Mutex
	form     *platformtest.Form // of the response to the event id
	id       string
	observed []outbox.Kind
}

// RoundTrip implements [http.RoundTripper]. Other events are accepted.
func (b *bench) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	respond := platformtest.OK()
	b.mu.Lock()
	if b.form != nil && strings.Contains(string(body), `"`+b.id+`"`) {
		respond = b.form.Respond
	}
	b.mu.Unlock()
	response, err := respond()
	if response != nil {
		response.Request = r
	}
	return response, err
}

// respond sets the response to an event. A nil form accepts it.
func (b *bench) respond(id string, form *platformtest.Form) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.id, b.form, b.observed = id, form, nil
}

func (b *bench) saw(kind outbox.Kind) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Contains(b.observed, kind)
}

func newBench(t testing.TB, open func(t testing.TB, cfg outbox.Config) outbox.Outbox, interchange bool) *bench {
	t.Helper()
	b := &bench{}
	dialect := capi.LogEvent{EventSourceID: "shop"}
	if interchange {
		dialect.AdvertiserID = "adv"
	}
	client, err := capi.New(capi.Config{
		APIKey: platformtest.Key, Dialect: dialect, HTTPClient: &http.Client{Transport: b},
		RateLimit: capi.RateLimit{Requests: -1}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.outbox = open(t, outbox.Config{
		Destination: client, Logger: slog.New(slog.DiscardHandler),
		MaxAttempts: 1, MinSnooze: 20 * time.Millisecond, MaxSnooze: 100 * time.Millisecond, Linger: time.Millisecond,
		Hook: func(_ context.Context, o outbox.Observation) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.observed = append(b.observed, o.Kind)
		},
	})
	if err := b.outbox.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) stop(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := b.outbox.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func (b *bench) send(t testing.TB, id string) {
	t.Helper()
	if _, err := b.outbox.Send(context.Background(), event(id)); err != nil {
		t.Fatal(err)
	}
}

// await waits until the event has the state, or, if state is 0, until a request
// has had its effect.
func (b *bench) await(t testing.TB, id string, state outbox.State) outbox.Entry {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		entries, err := b.outbox.Find(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			switch {
			case state == 0 && entry.State == outbox.StateQueued && len(entry.Attempts) == 0:
			case state == 0, entry.State == state:
				return entry
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s does not become %v: %+v", id, state, entries)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// outcome returns the guide's word for what the outbox makes of a response.
func (b *bench) outcome(t testing.TB, form platformtest.Form) string {
	t.Helper()
	id := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, form.Name)
	b.respond(id, &form)
	b.send(t, id)
	entry := b.await(t, id, 0)
	switch {
	case entry.State == outbox.StateDelivered && b.saw(outbox.KindWarning):
		return "delivered, with a warning"
	case entry.State == outbox.StateDelivered:
		return "delivered"
	case entry.State == outbox.StateDeadLettered:
		return "dead letter"
	case strings.Contains(entry.Reason, "until another event is accepted"):
		b.send(t, "after-"+id)
		b.await(t, "after-"+id, outbox.StateDelivered)
		b.await(t, id, outbox.StateDeadLettered)
		return "held"
	}
	alert := b.saw(outbox.KindConfigurationRefused)
	b.respond(id, nil)
	b.await(t, id, outbox.StateDelivered)
	if alert {
		return "waits, alert"
	}
	return "waits"
}

// readGuide returns docs/reliability.md, from the folder of any test.
func readGuide(t testing.TB) string {
	t.Helper()
	for folder := "."; len(folder) < 20; folder = filepath.Join("..", folder) {
		guide, err := os.ReadFile(filepath.Join(folder, "docs", "reliability.md"))
		if err == nil {
			return strings.ReplaceAll(string(guide), `\|`, "&#124;")
		}
	}
	t.Fatal("docs/reliability.md is missing")
	return ""
}

// Compare fails unless the guide has want in a row and a column.
func Compare(t testing.TB, row, column, want string) {
	t.Helper()
	var head []string
	for line := range strings.Lines(readGuide(t)) {
		if !strings.HasPrefix(line, "|") {
			head = nil
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.ReplaceAll(strings.TrimSpace(cells[i]), "&#124;", "|")
		}
		if head == nil {
			head = cells
		}
		at := slices.Index(head, column)
		if cells[0] != row || at < 0 {
			continue
		}
		if at >= len(cells) || cells[at] != want {
			t.Errorf("docs/reliability.md: the row %q has %q for %s, want %q", row, cells, column, want)
		}
		return
	}
	t.Errorf("docs/reliability.md has no row %q with a column %q", row, column)
}
