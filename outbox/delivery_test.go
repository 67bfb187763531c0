package outbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/extension"
	"github.com/clickid/clickid/outbox"
	"github.com/stretchr/testify/require"
)

var (
	logEvent = capi.LogEvent{EventSourceID: "shop"}
	ecapi    = capi.ECAPI{DataSetID: "ds_shop"}
)

// transport is an in-process platform.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, err
	}
	return f(r)
}

// reply returns a response. The headers are pairs of name and value.
func reply(status int, body string, headers ...string) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		header := http.Header{}
		for i := 0; i < len(headers); i += 2 {
			header.Set(headers[i], headers[i+1])
		}
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

// refuseConnection is the transport of an unavailable platform.
func refuseConnection() (*http.Response, error) {
	return nil, errors.New("dial tcp: connection refused")
}

// always returns a transport with the same response for every request.
func always(respond func() (*http.Response, error)) transport {
	return func(*http.Request) (*http.Response, error) { return respond() }
}

func newClient(t testing.TB, p http.RoundTripper, d capi.Dialect, edits ...func(*capi.Config)) *capi.Client {
	t.Helper()
	cfg := capi.Config{APIKey: "scope3_key", Dialect: d, HTTPClient: &http.Client{Transport: p}, Logger: slog.New(slog.DiscardHandler)}
	for _, edit := range edits {
		edit(&cfg)
	}
	c, err := capi.New(cfg)
	require.NoError(t, err)
	return c
}

func newDelivery(t testing.TB, cfg outbox.Config) *outbox.Delivery {
	t.Helper()
	d, err := outbox.NewDelivery(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close(context.Background())) })
	return d
}

func purchase(id string) clickid.Event {
	now := time.Now().UTC().Truncate(time.Second)
	return clickid.Event{
		Type: clickid.Purchase, ID: id, Time: now,
		Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid", At: now, Expires: now.Add(30 * 24 * time.Hour)},
	}
}

func purchases(n int) []clickid.Event {
	events := make([]clickid.Event, n)
	for i := range events {
		events[i] = purchase(fmt.Sprint("order-", i))
	}
	return events
}

// admit returns the record of an event that is queued.
func admit(t testing.TB, d *outbox.Delivery, e clickid.Event) outbox.Record {
	t.Helper()
	report, records := d.Admit(context.Background(), e)
	require.NoError(t, report.Err())
	require.Len(t, records, 1)
	return records[0]
}

const secret = "visitor@example.com"

// TestDeliver_responses has a row for each kind of response. A wait is given by
// its limits.
func TestDeliver_responses(t *testing.T) {
	t.Parallel()
	const second, minute = time.Second, time.Minute
	for _, test := range []struct {
		name    string
		respond func() (*http.Response, error)
		action  outbox.Action
		status  int
		reason  string // a part of it
		atLeast time.Duration
		atMost  time.Duration
	}{
		{"accepted", reply(200, `{"events_received":1,"events_processed":1}`), outbox.ActionDone, 0, "", 0, 0},
		{"accepted without a body", reply(202, ""), outbox.ActionDone, 0, "", 0, 0},
		{"a duplicate", reply(400, `{"errors":[{"code":"DUPLICATE_EVENT"}]}`), outbox.ActionDone, 0, "", 0, 0},
		{"a duplicate as a partial failure", reply(200, `{"partial_failures":[{"event_id":"order","code":"DUPLICATE"}]}`), outbox.ActionDone, 0, "", 0, 0},
		{"received and not processed", reply(200, `{"events_received":1,"events_processed":0}`), outbox.ActionDone, 0, "", 0, 0},

		{"no connection", refuseConnection, outbox.ActionSnooze, 0, "no response", second / 2, 2 * second},
		{"408", reply(408, ""), outbox.ActionSnooze, 408, "408", second / 2, 2 * second},
		{"425", reply(425, ""), outbox.ActionSnooze, 425, "425", second / 2, 2 * second},
		{"429", reply(429, ""), outbox.ActionSnooze, 429, "429", second / 2, 2 * second},
		{"500", reply(500, "oops "+secret), outbox.ActionSnooze, 500, "500", second / 2, 2 * second},
		{"503", reply(503, ""), outbox.ActionSnooze, 503, "503", second / 2, 2 * second},
		{"429 with Retry-After", reply(429, "", "Retry-After", "3600"), outbox.ActionSnooze, 429, "wait", 60 * minute, 61 * minute},
		{"503 with Retry-After", reply(503, "", "Retry-After", "90"), outbox.ActionSnooze, 503, "wait", 90 * second, 100 * second},
		{"retry_after in the body", reply(400, `{"errors":[{"code":"RATE_LIMITED","recovery":"transient","retry_after":120}]}`), outbox.ActionSnooze, 400, "RATE_LIMITED", 2 * minute, 133 * second},
		{"a transient error in a 200", reply(200, `{"errors":[{"code":"ODD"}]}`), outbox.ActionSnooze, 200, "ODD", second / 2, 2 * second},
		{"a transient partial failure", reply(200, `{"partial_failures":[{"event_id":"order","code":"RATE_LIMITED"}]}`), outbox.ActionSnooze, 200, "RATE_LIMITED", second / 2, 2 * second},

		{"401", reply(401, ""), outbox.ActionSnooze, 401, "API key", second / 2, 2 * second},
		{"403", reply(403, ""), outbox.ActionSnooze, 403, "access", second / 2, 2 * second},
		{"404", reply(404, ""), outbox.ActionSnooze, 404, "path", second / 2, 2 * second},
		{"415", reply(415, ""), outbox.ActionSnooze, 415, "Content-Type", second / 2, 2 * second},
		{"a redirect", reply(302, "", "Location", "https://elsewhere.example/"), outbox.ActionSnooze, 302, "redirect", second / 2, 2 * second},
		{"an unregistered event source", reply(400, `{"errors":[{"code":"REFERENCE_NOT_FOUND","field":"event_source_id"}]}`), outbox.ActionSnooze, 400, "register", second / 2, 2 * second},

		{"a conflict", reply(409, `{"code":"CONFLICT"}`), outbox.ActionSnooze, 409, "409", second / 2, 2 * second},

		{"this event refused", reply(400, `{"errors":[{"code":"VALIDATION_ERROR","field":"/events/0/event_type","message":"`+secret+`"}]}`), outbox.ActionDeadLetter, 400, "VALIDATION_ERROR, /events/0/event_type", 0, 0},
		{"this event refused as a partial failure", reply(200, `{"partial_failures":[{"event_id":"order","code":"INVALID_REQUEST","message":"`+secret+`"}]}`), outbox.ActionDeadLetter, 200, "INVALID_REQUEST", 0, 0},
		{"422 that names nothing", reply(422, ""), outbox.ActionSnooze, 422, "422", second / 2, 2 * second},
		{"413 for a single event", reply(413, ""), outbox.ActionDeadLetter, 413, "413", 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			d := newDelivery(t, outbox.Config{
				Destination: newClient(t, always(test.respond), logEvent),
				Logger:      slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			})
			got := d.Deliver(context.Background(), admit(t, d, purchase("order")), 1)
			require.Equal(t, test.action, got.Action, got.Failure.Reason)
			require.Equal(t, test.status, got.Failure.Status)
			require.Contains(t, got.Failure.Reason, test.reason)
			require.GreaterOrEqual(t, got.Wait, test.atLeast)
			require.LessOrEqual(t, got.Wait, test.atMost)
			require.NotContains(t, got.Failure.Reason, secret)
			for _, personal := range []string{secret, "01ARZ3NDEKTSV4RRFFQ69G5FAV", "scope3_key", "order-"} {
				require.NotContains(t, log.String(), personal)
			}
		})
	}
}

// TestDeliver_withoutRequest covers outcomes without a request.
func TestDeliver_withoutRequest(t *testing.T) {
	t.Parallel()
	unreachable := transport(func(*http.Request) (*http.Response, error) {
		t.Error("a request was sent")
		return refuseConnection()
	})
	r := &resolver{}
	client := newClient(t, unreachable, logEvent, func(cfg *capi.Config) { cfg.Resolver = r })
	withToken := purchase("order")
	withToken.Click, withToken.ClickToken = clickid.Click{}, "token"
	tokenOf := func(issued time.Time) clickid.Event {
		e := withToken
		var err error
		e.ClickToken, err = extension.NewToken(issued)
		require.NoError(t, err)
		return e
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	consent := func(c clickid.Consent, err error) func(*outbox.Config) {
		return func(cfg *outbox.Config) {
			cfg.Consent = func(context.Context, clickid.Event) (clickid.Consent, error) { return c, err }
		}
	}
	for _, test := range []struct {
		name    string
		event   clickid.Event
		config  func(*outbox.Config)
		record  func(*outbox.Record)
		ctx     context.Context
		store   error
		attempt int
		action  outbox.Action
		reason  string
	}{
		{name: "a token without a click", event: withToken, store: clickid.ErrNotFound, action: outbox.ActionSkip, reason: "no click"},
		{name: "a new token without a click", event: tokenOf(time.Now()), store: clickid.ErrNotFound, action: outbox.ActionSnooze, reason: "younger than a minute"},
		{name: "an old token without a click", event: tokenOf(time.Now().Add(-61 * time.Second)), store: clickid.ErrNotFound, action: outbox.ActionSkip, reason: "no click"},
		{name: "a token dated ahead", event: tokenOf(time.Now().Add(time.Hour)), store: clickid.ErrNotFound, action: outbox.ActionSkip, reason: "no click"},
		{name: "a new token that is forged", event: tokenOf(time.Now()), store: clickid.ErrInvalid, action: outbox.ActionSkip, reason: "no click"},
		{name: "a forged token", event: withToken, store: clickid.ErrInvalid, action: outbox.ActionSkip, reason: "no click"},
		{name: "the store is unavailable", event: withToken, store: errors.New("unavailable"), action: outbox.ActionSnooze, reason: "lookup"},
		{name: "consent denied", event: purchase("order"), config: consent(clickid.ConsentDenied, nil), action: outbox.ActionSkip, reason: "denied"},
		{name: "consent expired", event: purchase("order"), config: consent(clickid.ConsentUnknown, nil), action: outbox.ActionSkip, reason: "unknown"},
		{name: "consent fails", event: purchase("order"), config: consent(clickid.ConsentUnknown, errors.New("unavailable")), action: outbox.ActionSnooze, reason: "lookup"},
		{name: "an ended context", event: purchase("order"), ctx: cancelled, action: outbox.ActionSnooze, reason: "interrupted"},
		{name: "damaged", event: purchase("order"), record: func(r *outbox.Record) { r.Payload = []byte("{") }, action: outbox.ActionDeadLetter, reason: "damaged"},
		{name: "empty", event: purchase("order"), record: func(r *outbox.Record) { r.Payload = nil }, action: outbox.ActionDeadLetter, reason: "damaged"},
		{name: "of no version", event: purchase("order"), record: func(r *outbox.Record) { r.Payload = []byte(`{"event":{}}`) }, action: outbox.ActionDeadLetter, reason: "damaged"},
		{name: "without an event", event: purchase("order"), record: func(r *outbox.Record) { r.Payload = []byte(`{"v":1}`) }, action: outbox.ActionDeadLetter, reason: "damaged"},
		{name: "of a newer version", event: purchase("order"), record: func(r *outbox.Record) { r.Payload = []byte(`{"v":2,"event":"secret"}`) }, action: outbox.ActionSnooze, reason: "newer version"},
		{name: "beyond the maximum event age", event: purchase("order"), record: func(r *outbox.Record) { r.QueuedAt = time.Now().Add(-8 * 24 * time.Hour) }, action: outbox.ActionDeadLetter, reason: "event age"},
		{name: "queued by a machine an hour ahead", event: purchase("order"), record: timedAhead(time.Hour), action: outbox.ActionSnooze, reason: "lies ahead"},
		{name: "queued by a machine days ahead", event: purchase("order"), record: timedAhead(48 * time.Hour), action: outbox.ActionDeadLetter, reason: "time"},
		{name: "invalid for the present dialect", event: purchase("order"), record: func(r *outbox.Record) {
			r.Payload = bytes.Replace(r.Payload, []byte(`"purchase"`), []byte(`"no such type"`), 1)
			r.Identity = outbox.Identity(client.Name(), clickid.Event{Type: "no such type", ID: "order"})
		}, action: outbox.ActionDeadLetter, reason: "type"},
		{name: "of another destination", event: purchase("order"), record: func(r *outbox.Record) {
			r.Identity = outbox.Identity("another", purchase("order"))
		}, action: outbox.ActionSnooze, reason: "another destination"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r.err = test.store
			cfg := outbox.Config{Destination: client}
			if test.config != nil {
				test.config(&cfg)
			}
			d := newDelivery(t, cfg)
			record := admit(t, d, test.event)
			if test.record != nil {
				test.record(&record)
			}
			ctx := test.ctx
			if ctx == nil {
				ctx = context.Background()
			}
			got := d.Deliver(ctx, record, 1)
			require.Equal(t, test.action, got.Action, got.Failure.Reason)
			require.Contains(t, got.Failure.Reason, test.reason)
			if test.ctx != nil {
				require.Zero(t, got.Wait, "an interrupted event is due at once")
			}
		})
	}
}

// timedAhead returns an edit of a record: its event's time is ahead of this
// machine's clock, as if a machine whose clock is ahead had queued it.
func timedAhead(d time.Duration) func(*outbox.Record) {
	at := regexp.MustCompile(`"time":"[^"]*"`)
	return func(r *outbox.Record) {
		r.Payload = at.ReplaceAll(r.Payload, []byte(`"time":"`+time.Now().Add(d).UTC().Format(time.RFC3339)+`"`))
	}
}

// TestDeliver_youngToken checks that the wait for a new click counts neither as
// an attempt nor as a failure of the store.
func TestDeliver_youngToken(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	store := &resolver{err: clickid.ErrNotFound}
	d := newDelivery(t, outbox.Config{
		Destination: newClient(t, always(reply(200, `{"events_received":1,"events_processed":1}`)), logEvent, func(cfg *capi.Config) { cfg.Resolver = store }),
		Hook:        r.hook, MaxAttempts: 1,
	})
	e := purchase("young")
	var err error
	e.Click = clickid.Click{}
	e.ClickToken, err = extension.NewToken(time.Now())
	require.NoError(t, err)
	record := admit(t, d, e)
	for range 20 {
		got := d.Deliver(context.Background(), record, 1)
		require.Equal(t, outbox.ActionSnooze, got.Action, got.Failure.Reason)
		require.Nil(t, got.Progress)
		require.Greater(t, got.Wait, time.Duration(0))
		require.LessOrEqual(t, got.Wait, time.Minute)
	}
	require.Zero(t, r.count(outbox.KindLookupsFailing))
	store.err = nil
	require.Equal(t, outbox.ActionSkip, d.Deliver(context.Background(), record, 1).Action, "the store responds at once")
}

// resolver stands in for a tracker.
type resolver struct{ err error }

func (r *resolver) Resolve(context.Context, string) (clickid.Click, error) {
	return clickid.Click{}, r.err
}

func TestDeliver_interrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	p := transport(func(r *http.Request) (*http.Response, error) {
		cancel() // during the request
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	d := newDelivery(t, outbox.Config{Destination: newClient(t, p, logEvent), MaxAttempts: 1})
	got := d.Deliver(ctx, admit(t, d, purchase("order")), 1)
	require.Equal(t, outbox.Outcome{Action: outbox.ActionSnooze, Failure: outbox.Failure{Reason: "the delivery was interrupted"}}, got)
}

func TestDeliver_maxAttempts(t *testing.T) {
	t.Parallel()
	d := newDelivery(t, outbox.Config{
		Destination: newClient(t, always(refuseConnection), logEvent), MaxAttempts: 3, Logger: slog.New(slog.DiscardHandler),
		Consent: func(context.Context, clickid.Event) (clickid.Consent, error) { panic("a fault of the application") },
	})
	record := admit(t, d, purchase("order"))
	for attempt, want := range []outbox.Action{outbox.ActionRetry, outbox.ActionRetry, outbox.ActionDeadLetter} {
		require.Equal(t, want, d.Deliver(context.Background(), record, attempt+1).Action)
	}
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	d := newDelivery(t, outbox.Config{Destination: newClient(t, always(refuseConnection), ecapi)})
	organic, denied, invalid, token := purchase("organic"), purchase("denied"), purchase("invalid"), purchase("token")
	organic.Click = clickid.Click{}
	denied.Consent = clickid.ConsentDenied
	invalid.Value = clickid.Minor(-1, "USD")
	token.Click, token.ClickToken = clickid.Click{}, "token"
	lead := purchase("order")
	lead.Type = clickid.Lead
	report, records := d.Admit(context.Background(), purchase("order"), organic, denied, invalid, token, lead, purchase("order"))
	var verdicts []clickid.Verdict
	for _, result := range report.Results {
		verdicts = append(verdicts, result.Verdict)
	}
	require.Equal(t, []clickid.Verdict{
		clickid.VerdictQueued, clickid.VerdictSkippedOrganic, clickid.VerdictSkippedConsent, clickid.VerdictDeadLettered,
		clickid.VerdictFailed, // without a Resolver the click cannot be resolved
		clickid.VerdictQueued, clickid.VerdictQueued,
	}, verdicts)
	require.Len(t, records, 5, "equal events share a record, and the type is part of the identity")
	require.NotEqual(t, records[0].Identity, records[4].Identity)
	require.NotEmpty(t, records[1].Skipped)
	require.NotEmpty(t, records[2].Skipped)
	require.NotEmpty(t, records[3].Refused)
	forgets := newDelivery(t, outbox.Config{Destination: newClient(t, always(refuseConnection), ecapi), ForgetSkips: true})
	_, records = forgets.Admit(context.Background(), organic, denied)
	require.Empty(t, records)
	require.NotErrorIs(t, report.Err(), clickid.ErrInvalidEvent)
}

// TestAdmit_size holds the size of a minimal purchase to docs/operating.md.
func TestAdmit_size(t *testing.T) {
	t.Parallel()
	d := newDelivery(t, outbox.Config{Destination: newClient(t, always(refuseConnection), logEvent)})
	_, records := d.Admit(t.Context(), clickid.Event{
		Type: clickid.Purchase, ID: "order-1001", Time: time.Now().Truncate(time.Second), Value: clickid.Minor(14999, "USD"),
		Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid"},
	})
	require.Len(t, records, 1)
	guide, err := os.ReadFile("../docs/operating.md")
	require.NoError(t, err)
	require.Contains(t, string(guide), fmt.Sprintf("a minimal purchase is %d bytes of JSON", len(records[0].Payload)))
}

func TestRecord_identity(t *testing.T) {
	t.Parallel()
	of := func(d capi.Dialect, e clickid.Event) string {
		return admit(t, newDelivery(t, outbox.Config{Destination: newClient(t, always(refuseConnection), d)}), e).Identity
	}
	base := of(logEvent, purchase("order"))
	require.Len(t, base, 64)
	require.Equal(t, "", strings.Trim(base, "0123456789abcdef"))
	later := purchase("order")
	later.Time = later.Time.Add(-time.Hour)
	later.Value = clickid.Minor(1, "EUR")
	require.Equal(t, base, of(logEvent, later), "the rest of the event does not matter")
	require.NotEqual(t, base, of(logEvent, purchase("other")))
	require.NotEqual(t, base, of(capi.LogEvent{EventSourceID: "other"}, purchase("order")))
	require.NotEqual(t, of(ecapi, purchase("order")), of(capi.ECAPI{DataSetID: "ds_other"}, purchase("order")))
}

func TestRecord_JSON(t *testing.T) {
	t.Parallel()
	d := newDelivery(t, outbox.Config{Destination: newClient(t, always(refuseConnection), logEvent)})
	e := purchase("order")
	e.Time = time.Date(2026, 2, 3, 4, 5, 6, 789_000_000, time.FixedZone("", 3600))
	e.Value = clickid.Decimal("0.10", "EUR")
	e.Properties = map[string]any{"n": json.Number("12345678901234567890")}
	e.OrderID, e.User.ExternalID = "1001", "customer"
	e.Keys = []clickid.Key{clickid.SessionKey("session"), clickid.OrderKey("1001")}
	e.ClickToken = "token"
	record := admit(t, d, e)
	require.Len(t, record.Keys, 4, "the order's key is included once")
	for _, k := range []clickid.Key{clickid.SessionKey("session"), clickid.OrderKey("1001"), clickid.CustomerKey("customer")} {
		hash, err := outbox.KeyHash(k)
		require.NoError(t, err)
		require.Contains(t, record.Keys, hash)
	}
	data, err := json.Marshal(record)
	require.NoError(t, err)
	var read outbox.Record
	require.NoError(t, json.Unmarshal(data, &read))
	require.Equal(t, record, read)
	got, err := read.Event()
	require.NoError(t, err)
	require.True(t, e.Time.Equal(got.Time))
	require.Equal(t, e.Value, got.Value)
	require.Equal(t, e.Properties, got.Properties)
	require.Equal(t, e.Click, got.Click)
	require.Equal(t, e.ClickToken, got.ClickToken)
}

func TestNewDelivery_problems(t *testing.T) {
	t.Parallel()
	_, err := outbox.NewDelivery(outbox.Config{
		MaxAge: -1, MaxAttempts: -1, MinSnooze: time.Hour, MaxSnooze: time.Minute, Linger: time.Minute,
	})
	for _, field := range []string{"Destination", "MaxAge", "MaxAttempts", "MaxSnooze", "Linger"} {
		require.ErrorContains(t, err, field)
	}
	_, err = outbox.NewDelivery(outbox.Config{Destination: newClient(t, always(refuseConnection), ecapi), MinSnooze: time.Hour})
	require.NoError(t, err, "a long MinSnooze raises the default of MaxSnooze")
}

func TestDelivery_Close(t *testing.T) {
	t.Parallel()
	d := newDelivery(t, outbox.Config{Destination: newClient(t, always(reply(200, "")), logEvent)})
	record := admit(t, d, purchase("order"))
	require.NoError(t, d.Close(context.Background()))
	require.NoError(t, d.Close(context.Background()), "a second Close returns no error")
	got := d.Deliver(context.Background(), record, 1)
	require.Equal(t, outbox.ActionSnooze, got.Action)
	require.Positive(t, got.Wait, "a queue that continues has a wait")
}

func TestDeliver_sharedRequest(t *testing.T) {
	t.Parallel()
	p := transport(func(r *http.Request) (*http.Response, error) {
		again, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(again)
		if err != nil {
			return nil, err
		}
		var failures []string
		for id, code := range map[string]string{"order-1": "VALIDATION_ERROR", "order-2": "RATE_LIMITED"} {
			if bytes.Contains(body, []byte(id)) {
				failures = append(failures, `{"event_id":"`+id+`","code":"`+code+`"}`)
			}
		}
		return reply(200, `{"events_received":4,"partial_failures":[`+strings.Join(failures, ",")+`]}`)()
	})
	d := newDelivery(t, outbox.Config{Destination: newClient(t, p, logEvent), Linger: 200 * time.Millisecond})
	type verdict struct {
		i int
		v outbox.Action
	}
	verdicts := make(chan verdict)
	for i, e := range purchases(4) {
		record := admit(t, d, e)
		go func() { verdicts <- verdict{i, d.Deliver(context.Background(), record, 1).Action} }()
	}
	got := make([]outbox.Action, 4)
	for range got {
		v := <-verdicts
		got[v.i] = v.v
	}
	require.Equal(t, []outbox.Action{outbox.ActionDone, outbox.ActionDeadLetter, outbox.ActionSnooze, outbox.ActionDone}, got)
}

// TestDeliver_metadata delivers events of three orders, one of them without
// metadata, in a shared request and one by one.
func TestDeliver_metadata(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		linger time.Duration
		event  string // in the context of the request
		orders []string
	}{
		{"a shared request", time.Second, "", []string{"0", "1"}},
		{"a request for each event", -1, "0", []string{"0"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var requests []context.Context
				p := transport(func(r *http.Request) (*http.Response, error) {
					mu.Lock()
					defer mu.Unlock()
					requests = append(requests, r.Context())
					return reply(200, `{"events_received":1}`)()
				})
				orders := 0
				d := newDelivery(t, outbox.Config{Destination: newClient(t, p, logEvent), Linger: row.linger, Metadata: func(context.Context) map[string]string {
					orders++
					if orders == 3 {
						return nil
					}
					return map[string]string{"order": fmt.Sprint(orders - 1)}
				}})
				warm := d.Deliver(t.Context(), admit(t, d, purchase("warm")), 1) // later deliveries wait for others
				require.Equal(t, outbox.ActionDone, warm.Action)
				orders, requests = 0, nil
				for _, e := range purchases(3) {
					record := admit(t, d, e)
					go d.Deliver(context.Background(), record, 1)
					synctest.Wait()
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				require.Equal(t, row.event, outbox.MetadataFromContext(requests[0])["order"])
				var got []string
				for _, metadata := range outbox.MetadataOfRequest(requests[0]) {
					got = append(got, metadata["order"])
				}
				require.Equal(t, row.orders, got)
				if row.linger < 0 {
					require.Len(t, requests, 3)
					require.Nil(t, outbox.MetadataOfRequest(requests[2]))
				}
			})
		})
	}
}

func TestDeliver_duration(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		record func(*outbox.Record)
		want   time.Duration
	}{
		{"the request", func(*outbox.Record) {}, 40 * time.Millisecond},
		{"no request for what validation refuses", func(r *outbox.Record) { r.Refused = "no value" }, 0},
		{"no request beyond the maximum age", func(r *outbox.Record) { r.QueuedAt = r.QueuedAt.Add(-2 * outbox.DefaultMaxAge) }, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := transport(func(*http.Request) (*http.Response, error) {
					time.Sleep(40 * time.Millisecond)
					return reply(200, `{"events_received":1}`)()
				})
				var got []outbox.Observation
				d := newDelivery(t, outbox.Config{Destination: newClient(t, p, logEvent), Logger: slog.New(slog.DiscardHandler),
					Hook: func(_ context.Context, o outbox.Observation) { got = append(got, o) }})
				record := admit(t, d, purchase("order-1"))
				time.Sleep(time.Minute) // in the queue
				row.record(&record)
				d.Deliver(t.Context(), record, 1)
				require.Len(t, got, 1)
				require.Equal(t, row.want, got[0].Duration)
				require.GreaterOrEqual(t, got[0].Latency, time.Minute+row.want)
			})
		})
	}
}
