package outbox_test

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/clickid/clickid/outbox"
	"github.com/stretchr/testify/require"
)

func readGuide(t *testing.T) string {
	t.Helper()
	guide, err := os.ReadFile("../docs/reliability.md")
	require.NoError(t, err)
	return strings.ReplaceAll(string(guide), `\|`, "|")
}

// TestReliability_forms holds the column of the outbox in docs/reliability.md to
// what a delivery makes of each form of response. The test of the same name in
// package capi checks the column of the client.
func TestReliability_forms(t *testing.T) {
	t.Parallel()
	guide := readGuide(t)
	for _, form := range platformtest.Forms() {
		t.Run(form.Name, func(t *testing.T) {
			t.Parallel()
			dialect := logEvent
			if form.Interchange {
				dialect.AdvertiserID = "adv"
			}
			var accepts atomic.Bool
			respond := transport(func(*http.Request) (*http.Response, error) {
				if accepts.Load() {
					return reply(200, `{"events_received":1,"events_processed":1}`)()
				}
				return form.Respond()
			})
			r := &recorder{}
			d := newDelivery(t, outbox.Config{
				Destination: newClient(t, respond, dialect), Hook: r.hook, Logger: slog.New(slog.DiscardHandler),
			})
			d.Remember() // otherwise the first provisional refusal raises an alert
			record := admit(t, d, purchase("order"))
			outcome := d.Deliver(context.Background(), record, 1)
			column := "waits, uses no attempt"
			switch {
			case outcome.Action == outbox.ActionDone && r.count(outbox.KindWarning) > 0:
				column = "delivered, and the warning is reported"
			case outcome.Action == outbox.ActionDone:
				column = "delivered"
			case outcome.Action == outbox.ActionDeadLetter:
				column = "dead letter"
			case outcome.Progress != nil && outcome.Progress.Hold != nil:
				record.Progress = *outcome.Progress
				require.Equal(t, outbox.ActionSnooze, d.Deliver(context.Background(), record, 1).Action)
				accepts.Store(true)
				require.Equal(t, outbox.ActionDone, d.Deliver(context.Background(), admit(t, d, purchase("another")), 1).Action)
				accepts.Store(false)
				require.Equal(t, outbox.ActionDeadLetter, d.Deliver(context.Background(), record, 1).Action)
				column = "waits until another event is accepted, then dead letter; alert when twenty wait"
			case r.count(outbox.KindConfigurationRefused) > 0:
				column = "waits, uses no attempt; alert"
			}
			line := lineOf(t, guide, form.Name)
			require.Contains(t, line, "| "+column+" |", outcome.Failure.Reason)
		})
	}
}

// lineOf returns the row of a table in the guide.
func lineOf(t *testing.T, guide, name string) string {
	t.Helper()
	for line := range strings.Lines(guide) {
		if strings.HasPrefix(line, "| "+name+" |") {
			return line
		}
	}
	t.Fatalf("docs/reliability.md has no row %q", name)
	return ""
}

// TestReliability_refusals holds the guide's table of what is refused or skipped
// before a request.
func TestReliability_refusals(t *testing.T) {
	t.Parallel()
	guide := readGuide(t)
	for _, test := range []struct {
		name string
		edit func(e *clickid.Event)
	}{
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
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := purchase("order")
			test.edit(&e)
			client := newClient(t, always(reply(200, `{"events_received":1,"events_processed":1}`)), logEvent,
				func(cfg *capi.Config) { cfg.Logger = slog.New(slog.DiscardHandler) })
			column := func(s clickid.Sender) string {
				report, err := s.Send(context.Background(), e)
				verdict := report.Results[0].Verdict
				require.Equal(t, verdict == clickid.VerdictRejected || verdict == clickid.VerdictFailed, err != nil)
				if len(report.Results[0].Warnings) > 0 {
					return verdict.String() + ", with a warning"
				}
				return verdict.String()
			}
			ob, err := outbox.NewMemory(outbox.MemoryConfig{Delivery: outbox.Config{Destination: client}, AcceptLoss: true})
			require.NoError(t, err)
			row := "| " + test.name + " | " + column(client) + " | " + column(ob) + " |"
			require.Contains(t, guide, row)
		})
	}
}
