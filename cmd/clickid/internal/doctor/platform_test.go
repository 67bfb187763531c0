package doctor_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/cmd/clickid/internal/doctor"
	"github.com/clickid/clickid/interchange"
	"github.com/stretchr/testify/require"
)

const platformURL = "https://platform.example"

// account uses the platform of a handler.
func account(h http.Handler, edits ...func(*doctor.Platform)) func(*doctor.Config) {
	transport := sites{platformURL: h}
	p := &doctor.Platform{
		API: interchange.Config{
			APIKey: clickidtest.APIKey, AdvertiserID: clickidtest.AdvertiserID, BaseURL: platformURL,
			HTTPClient: &http.Client{Transport: transport},
		},
		EventSourceID: clickidtest.EventSourceID,
		TestCode:      "TEST1",
		NewSender: func(code string, client *http.Client) (clickid.Sender, error) {
			return capi.New(capi.Config{
				APIKey: clickidtest.APIKey, BaseURL: platformURL, HTTPClient: client, Logger: slog.New(slog.DiscardHandler),
				Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID, TestEventCode: code},
			})
		},
	}
	for _, edit := range edits {
		edit(p)
	}
	return func(c *doctor.Config) { c.Platform = p }
}

// listing is a receiver that reports its event source with the given health and
// members.
func listing(receiver http.Handler, health, members string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, clickidtest.AdvertiserID+"/event-sources") {
			receiver.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"data":{"total":1,"eventSources":[{"eventSourceId":%q,"health":{%s}%s}]}}`, clickidtest.EventSourceID, health, members)
	})
}

const receiving = `"status":"receiving","lastEventReceivedAt":"2026-11-20T14:03:00Z"`

func brokenPlatforms(*testing.T) map[string]sample {
	newReceiver := func(faults ...clickidtest.Fault) *clickidtest.Receiver {
		r := clickidtest.New(clickidtest.Config{})
		if len(faults) > 0 {
			r.Next(append([]clickidtest.Fault{{Name: "none"}}, faults...)...) // the first request checks the key
		}
		return r
	}
	active := func(faults ...clickidtest.Fault) http.Handler { return listing(newReceiver(faults...), receiving, "") }
	with := func(health, members string) http.Handler { return listing(newReceiver(), health, members) }
	refusing := newReceiver()
	refusing.Always(clickidtest.Fault{Status: http.StatusUnauthorized})
	dated := func(d time.Duration) http.Handler {
		return behind(active(), nil, setting("Date", time.Now().Add(d).UTC().Format(http.TimeFormat)))
	}
	samples := make(map[string]sample)
	for name, row := range map[string]struct {
		want string
		edit func(*doctor.Config)
	}{
		"refused key":     {"key", account(refusing)},
		"malformed key":   {"key", account(active(), func(p *doctor.Platform) { p.API.APIKey = "line\nbreak" })},
		"no platform":     {"key", account(page("<h1>Parking</h1>"))},
		"unknown source":  {"event-source", account(active(), func(p *doctor.Platform) { p.EventSourceID = "other" })},
		"other account":   {"event-source", account(active(), func(p *doctor.Platform) { p.API.AdvertiserID = "other" })},
		"needs attention": {"source-health source-error", account(with(`"status":"needs_attention","lastError":"no currency","lastErrorAt":"2026-11-20T14:03:00Z"`, ""))},
		"not seen":        {"source-unseen", account(with(`"status":"not_seen"`, ""))},
		"last error":      {"source-error", account(with(receiving+`,"lastError":"no \u001b[31m currency"`, ""))},
		"refused event":   {"test-event", account(active(clickidtest.Fault{Status: http.StatusBadRequest}))},
		"warning":         {"test-event-warning", account(active(clickidtest.Fault{Unprocessed: 1}))},
		"clock ahead":     {"clock", account(dated(-time.Hour))},
		"clock behind":    {"clock", account(dated(time.Hour))},
		"healthy":         {"", account(dated(0))},
		"code of source":  {"", account(with(receiving, `,"testEventCode":"TEST2","eventTypes":["lead"]`), func(p *doctor.Platform) { p.TestCode = "" })},
		"no code":         {"", account(active(), func(p *doctor.Platform) { p.TestCode = "" })},
		"no advertiser":   {"", account(active(), func(p *doctor.Platform) { p.API.AdvertiserID = "" })},
		"ECAPI":           {"", account(active(), func(p *doctor.Platform) { p.NewSender = nil })},
	} {
		samples[name] = sample{row.want, nil, []func(*doctor.Config){row.edit}}
	}
	return samples
}

func TestConfig_testEvent(t *testing.T) {
	t.Parallel()
	receiver := clickidtest.New(clickidtest.Config{})
	report := examine(t, one(healthy(t)), account(receiver))
	require.Equal(t, []string{"source-unseen"}, names(problems(report)))
	events := receiver.Accepted()
	require.Len(t, events, 1)
	require.Equal(t, "TEST1", events[0].TestCode)
	require.Equal(t, "page_view", events[0].Type)

	receiver = clickidtest.New(clickidtest.Config{})
	examine(t, one(healthy(t)), account(listing(receiver, receiving, `,"testEventCode":"TEST2","eventTypes":["lead"]`), func(p *doctor.Platform) { p.TestCode = "" }))
	events = receiver.Accepted()
	require.Len(t, events, 1)
	require.Equal(t, "TEST2", events[0].TestCode)
	require.Equal(t, "lead", events[0].Type)
	examine(t, one(healthy(t)), account(receiver, func(p *doctor.Platform) { p.TestCode = "" }))
	require.Equal(t, 1, receiver.Count(), "an event without a code would count")
}
