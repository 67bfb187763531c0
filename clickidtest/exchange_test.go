package clickidtest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/clickid/clickid/clickidtest"
	"github.com/stretchr/testify/require"
)

// observe returns a receiver and the exchanges that it reports.
func observe() (*clickidtest.Receiver, *[]clickidtest.Exchange) {
	var seen []clickidtest.Exchange
	return clickidtest.New(clickidtest.Config{
		OnExchange: func(e clickidtest.Exchange) { seen = append(seen, e) },
	}), &seen
}

func TestExchange(t *testing.T) {
	t.Parallel()
	r, seen := observe()
	w := serve(r, mustRequest(capiPath, logEvent(validEvent)))
	require.Len(t, *seen, 1)
	e := (*seen)[0]
	require.Equal(t, r.Requests()[0], e.Request)
	require.Equal(t, logEvent(validEvent), string(e.Body))
	require.Len(t, e.Events, 1)
	require.Equal(t, clickidtest.OutcomeAccepted, e.Events[0].Outcome)
	require.Equal(t, clickidtest.Response{Status: 200, Header: w.Header(), Body: w.Body.Bytes()}, e.Response)
}

// TestExchange_notProcessed covers requests that are refused or cut before the
// receiver would read their events.
func TestExchange_notProcessed(t *testing.T) {
	t.Parallel()
	anonymous := func(r *http.Request) { r.Header.Del("Authorization") }
	for name, tt := range map[string]struct {
		path, body string
		fault      clickidtest.Fault
		edit       func(*http.Request)
		status     int
		events     int
	}{
		"status":               {eventsPath, ecapiEvent("1"), clickidtest.Fault{Status: 503}, nil, 503, 1},
		"no key":               {eventsPath, ecapiEvent("1"), clickidtest.Fault{}, anonymous, 401, 1},
		"log_event":            {capiPath, logEvent(minimalEvent("lead", "1"), minimalEvent("lead", "2")), clickidtest.Fault{Body: "<p>"}, nil, 200, 2},
		"Interchange":          {interchangePath, logEvent(minimalEvent("lead", "1")), clickidtest.Fault{Status: 429}, nil, 429, 1},
		"cut after reading":    {eventsPath, ecapiEvent("1"), clickidtest.Fault{Cut: clickidtest.CutAfterReading}, nil, 0, 1},
		"cut before reading":   {eventsPath, ecapiEvent("1"), clickidtest.Fault{Cut: clickidtest.CutBeforeReading}, nil, 0, 0},
		"not JSON":             {eventsPath, `{`, clickidtest.Fault{}, nil, 400, 0},
		"not an object":        {eventsPath, `[]`, clickidtest.Fault{}, nil, 400, 0},
		"no such path":         {"/elsewhere", ecapiEvent("1"), clickidtest.Fault{}, nil, 404, 0},
		"invalid and not read": {capiPath, logEvent(`{}`), clickidtest.Fault{Status: 500}, nil, 500, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, seen := observe()
			r.Next(tt.fault)
			req := mustRequest(tt.path, tt.body)
			if tt.edit != nil {
				tt.edit(req)
			}
			func() {
				defer func() { _ = recover() }() // a cut connection
				serve(r, req)
			}()
			e := (*seen)[0]
			require.Equal(t, tt.status, e.Response.Status)
			require.Equal(t, tt.status == 0, e.Response.Cut)
			require.Len(t, e.Events, tt.events)
			for _, event := range e.Events {
				require.Equal(t, clickidtest.OutcomeNotProcessed, event.Outcome)
				require.Empty(t, event.Problems)
			}
			require.Zero(t, r.Count())
		})
	}
}

func TestExchange_cut(t *testing.T) {
	t.Parallel()
	for cut, want := range map[clickidtest.Cut]clickidtest.Response{
		clickidtest.CutAfterProcessing: {Cut: true},
		clickidtest.CutMidResponse: {
			Status: 200, Body: []byte(`{"status`), Cut: true,
			Header: http.Header{"Content-Type": {"application/json"}, "Content-Length": {"16"}},
		},
	} {
		r, seen := observe()
		r.Next(clickidtest.Fault{Cut: cut})
		func() {
			defer func() { _ = recover() }() // the connection is cut
			serve(r, mustRequest(eventsPath, ecapiEvent("1")))
		}()
		require.Equal(t, want, (*seen)[0].Response)
		require.Equal(t, clickidtest.OutcomeAccepted, (*seen)[0].Events[0].Outcome)
	}
}

func TestExchange_withoutKey(t *testing.T) {
	t.Parallel()
	r, seen := observe()
	req := mustRequest(capiPath+"?key="+clickidtest.APIKey, logEvent(minimalEvent("lead", clickidtest.APIKey)))
	req.Header.Set("X-Key", clickidtest.APIKey)
	serve(r, req)
	e := (*seen)[0]
	require.Equal(t, "key=[API key]", e.Request.Query)
	require.Equal(t, "[API key]", e.Request.Header.Get("X-Key"))
	require.NotContains(t, string(e.Body), clickidtest.APIKey)
	require.NotContains(t, string(e.Events[0].Raw), clickidtest.APIKey)
	require.Contains(t, string(e.Body), "[API key]")
}

func TestReceiver_clear(t *testing.T) {
	t.Parallel()
	r := clickidtest.New(clickidtest.Config{})
	body := logEvent(minimalEvent("lead", "1"))
	take(t, r, capiPath, body)
	r.Next(clickidtest.Fault{Status: 503})
	r.Clear()
	require.Zero(t, r.Count())
	require.Empty(t, r.Requests())
	require.Len(t, r.Faults(), 1)
	require.Equal(t, 503, serve(r, mustRequest(capiPath, body)).Code)
	take(t, r, capiPath, body)
	require.Equal(t, 1, r.Count())
	require.False(t, r.Requests()[1].Replayed)
	_, err := r.WaitRequests(limited(t), 2)
	require.NoError(t, err)
}

func TestReceiver_restore(t *testing.T) {
	t.Parallel()
	first, seen := observe()
	take(t, first, capiPath, logEvent(minimalEvent("lead", "1")), strings.Replace(logEvent(minimalEvent("lead", "1")), idempotencyKey, "another-idempotency-key", 1))
	require.Equal(t, clickidtest.OutcomeDuplicate, (*seen)[1].Events[0].Outcome)
	second, after := observe()
	for _, e := range *seen {
		second.Restore(e.Events)
	}
	require.Equal(t, first.Accepted(), second.Accepted())
	take(t, second, capiPath, logEvent(minimalEvent("lead", "1")))
	require.Equal(t, clickidtest.OutcomeDuplicate, (*after)[0].Events[0].Outcome)
	require.Equal(t, 3, (*after)[0].Events[0].Received)
}

func TestReceiver_faults(t *testing.T) {
	t.Parallel()
	r := clickidtest.New(clickidtest.Config{})
	r.Next(clickidtest.Fault{Name: "unavailable", Status: 503, Times: 3})
	r.Always(clickidtest.Fault{Name: "hidden", Status: 404})
	serve(r, mustRequest(eventsPath, ecapiEvent("1")))
	require.Equal(t, "unavailable", r.Requests()[0].Fault)
	require.Equal(t, []clickidtest.Fault{
		{Name: "unavailable", Status: 503, Times: 2},
		{Name: "hidden", Status: 404},
	}, r.Faults())
	r.ClearFaults()
	require.Empty(t, r.Faults())
	take(t, r, eventsPath, ecapiEvent("1"))
}

func TestFault_failed(t *testing.T) {
	t.Parallel()
	three := logEvent(minimalEvent("lead", "1"), minimalEvent("lead", "2"), minimalEvent("lead", "3"))
	r := clickidtest.New(clickidtest.Config{})
	r.Next(clickidtest.Fault{Failed: 1, Unreceived: 1}, clickidtest.Fault{Failed: 1})
	w := serve(r, mustRequest(capiPath, three))
	require.JSONEq(t, `{"events_received":2,"events_processed":1,"partial_failures":[{"event_id":"2","code":"VALIDATION_ERROR","message":"/events/1 is refused by a fault"}],"warnings":[],"match_quality":0}`, w.Body.String())
	require.Equal(t, []string{"1"}, ids(r.Accepted()))
	w = serve(r, mustRequest(eventsPath, ecapiEvent("9")))
	require.Equal(t, 400, w.Code)
	require.Equal(t, 1, r.Count())
}

func TestReceiver_register(t *testing.T) {
	t.Parallel()
	r := clickidtest.New(clickidtest.Config{})
	key := 0
	send := func(path string) int {
		key++
		return serve(r, mustRequest(path, patched(t, keyed(key, validEvent), `{"event_source_id":"new"}`))).Code
	}
	require.Equal(t, 400, send(capiPath))
	r.Register(clickidtest.Any, "new")
	require.Equal(t, 200, send(capiPath))
	require.Equal(t, 200, send(interchangePath))
	require.Equal(t, []clickidtest.EventSource{{ID: "new"}, {ID: "shop"}}, r.EventSources(clickidtest.AdvertiserID))
	r.Archive(clickidtest.AdvertiserID, "new")
	require.Equal(t, 400, send(interchangePath))
	require.Equal(t, 200, send(capiPath), "it is registered for other advertisers")
	r.Archive(clickidtest.Any, "new")
	require.Equal(t, 400, send(capiPath))
}

// TestReceiver_archive covers an account that may use every event source.
func TestReceiver_archive(t *testing.T) {
	t.Parallel()
	r := clickidtest.New(clickidtest.Config{Accounts: []clickidtest.Account{{
		APIKey: clickidtest.Any, EventSources: []string{clickidtest.Any}, Advertisers: []string{clickidtest.Any},
	}}})
	take(t, r, capiPath, logEvent(validEvent))
	require.Equal(t, []clickidtest.EventSource{{ID: clickidtest.EventSourceID}}, r.EventSources("any advertiser"), "the event has registered it")
	r.Archive(clickidtest.Any, clickidtest.EventSourceID)
	require.Equal(t, 400, serve(r, mustRequest(interchangePath, strings.Replace(logEvent(validEvent), idempotencyKey, "another-idempotency-key", 1))).Code)
	require.Equal(t, 400, serve(r, mustRequest(capiPath, strings.Replace(logEvent(validEvent), idempotencyKey, "a-third-idempotency-key", 1))).Code)
}

// TestReceiver_undeclared covers an event source that its first event registers:
// it has a health and is counted.
func TestReceiver_undeclared(t *testing.T) {
	t.Parallel()
	r := clickidtest.New(clickidtest.Config{Accounts: []clickidtest.Account{{
		APIKey: clickidtest.Any, EventSources: []string{clickidtest.Any}, Advertisers: []string{clickidtest.Any},
	}}})
	take(t, r, capiPath, logEvent(validEvent))
	const advertiser = "/api/v2/buyer/advertisers/1/"
	require.Contains(t, manage(r, advertiser+"event-sources", "").Body.String(), `"status":"receiving"`)
	require.Contains(t, manage(r, advertiser+"events/summary?startHour=2024-11-23T10:00:00Z&endHour=2024-11-23T11:00:00Z", "").Body.String(), `"totalEventCount":1`)
}
