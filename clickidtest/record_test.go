package clickidtest_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/stretchr/testify/require"
)

// take sends bodies that must get status 200.
func take(t testing.TB, r *clickidtest.Receiver, path string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		w := serve(r, mustRequest(path, body))
		require.Equal(t, 200, w.Code, w.Body)
	}
}

func mustRequest(path, body string) *http.Request {
	req, err := http.NewRequest(http.MethodPost, path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "Bearer "+clickidtest.APIKey)
	req.Header.Set("Content-Type", "application/json")
	return req
}

// keyed is a log_event request with its own idempotency key.
func keyed(key int, events ...string) string {
	return strings.Replace(logEvent(events...), idempotencyKey, fmt.Sprintf("key-%016d", key), 1)
}

func TestReceiver_ecapiDuplicates(t *testing.T) {
	t.Parallel()
	r := clickidtest.New(clickidtest.Config{IAB: true, Accounts: []clickidtest.Account{
		{APIKey: clickidtest.APIKey, DataSets: []string{clickidtest.Any}},
	}})
	anonymous := patched(t, ecapiEvent("1"), `{"id":null}`)
	take(t, r, eventsPath,
		ecapiEvent("1"),
		ecapiEvent("1"),
		patched(t, ecapiEvent("1"), `{"event_type":"refund","value":5,"currency":"USD","user_data":{"uids":[{"id":"x","source":"liveramp.com","atype":3}]}}`), // merged whatever its type
		ecapiEvent("2"),
		patched(t, ecapiEvent("1"), `{"data_set_id":"ds_other"}`), // another data set
		anonymous, anonymous, // each a separate event
	)
	events := r.Accepted()
	require.Len(t, events, 5)
	require.Equal(t, 5, r.Count())
	first := events[0]
	require.Equal(t, 3, first.Received)
	require.Equal(t, "purchase", first.Type)
	require.Equal(t, []string{"refund"}, first.Merged)
	require.Equal(t, "5", first.Value, "empty fields are merged from later events")
	require.Equal(t, []clickidtest.UID{{Provider: "liveramp.com", Value: "x", AType: 3}}, first.UIDs)
	require.Equal(t, []string{"1", "2", "1", "", ""}, ids(events))
	for _, e := range events[1:] {
		require.Equal(t, 1, e.Received)
		require.Empty(t, e.Merged)
	}
}

func ids(events []clickidtest.Event) []string {
	list := make([]string, len(events))
	for i, e := range events {
		list[i] = e.ID
	}
	return list
}

func TestReceiver_logEventDuplicates(t *testing.T) {
	t.Parallel()
	r := clickidtest.New(clickidtest.Config{Accounts: []clickidtest.Account{
		{APIKey: clickidtest.APIKey, EventSources: []string{clickidtest.Any}, Advertisers: []string{clickidtest.Any}},
	}})
	take(t, r, capiPath,
		keyed(1, minimalEvent("purchase", "1"), minimalEvent("purchase", "1"), minimalEvent("refund", "1")),
		keyed(2, minimalEvent("purchase", "1")),
		patched(t, keyed(3, minimalEvent("purchase", "1")), `{"event_source_id":"other"}`),
		patched(t, keyed(4, minimalEvent("purchase", "1")), `{"test_event_code":"T"}`),
	)
	take(t, r, interchangePath, keyed(5, minimalEvent("purchase", "1")))
	events := r.Accepted()
	require.Len(t, events, 4)
	require.Equal(t, []string{"purchase", "refund", "purchase", "purchase"}, []string{events[0].Type, events[1].Type, events[2].Type, events[3].Type})
	require.Equal(t, 4, events[0].Received)
	require.Empty(t, events[0].Merged)
	require.Equal(t, "other", events[2].Destination)
	require.Equal(t, "T", events[3].TestCode)
}

func TestReceiver_dialectsApart(t *testing.T) {
	t.Parallel()
	r := clickidtest.New(clickidtest.Config{Accounts: []clickidtest.Account{
		{APIKey: clickidtest.APIKey, DataSets: []string{"x"}, EventSources: []string{"x"}},
	}})
	take(t, r, eventsPath, patched(t, ecapiEvent("1"), `{"data_set_id":"x"}`))
	take(t, r, capiPath, patched(t, logEvent(minimalEvent("purchase", "1")), `{"event_source_id":"x"}`))
	require.Equal(t, 2, r.Count())
}

func TestReceiver_idempotencyKey(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := clickidtest.New(clickidtest.Config{Now: func() time.Time { return now }, Accounts: []clickidtest.Account{
		{APIKey: "scope3_test", EventSources: []string{"shop"}}, {APIKey: "scope3_other", EventSources: []string{"shop"}},
	}})
	defer r.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"2"}})()
	body := keyed(1, minimalEvent("purchase", "1"), minimalEvent("purchase", "2"))
	first := serve(r, mustRequest(capiPath, body))
	require.Contains(t, first.Body.String(), `"partial_failures":[{"event_id":"2"`)

	again := serve(r, mustRequest(capiPath, body))
	require.Equal(t, first.Code, again.Code)
	require.Equal(t, first.Body.String(), again.Body.String(), "a repeated request gets the same response")
	require.Equal(t, 1, r.Count())
	require.Equal(t, 2, r.Accepted()[0].Received)

	for _, changed := range []string{
		keyed(1, minimalEvent("purchase", "1")),
		keyed(1, minimalEvent("purchase", "1"), minimalEvent("lead", "2")),
		patched(t, body, `{"test_event_code":"T"}`),
		body + " ",
	} {
		w := serve(r, mustRequest(capiPath, changed))
		require.Equal(t, http.StatusConflict, w.Code)
		require.Contains(t, w.Body.String(), "CONFLICT")
	}
	other := mustRequest(capiPath, keyed(1, minimalEvent("purchase", "3")))
	other.Header.Set("Authorization", "Bearer scope3_other")
	require.Equal(t, 200, serve(r, other).Code, "another account's keys are its own")

	// A refusal uses the key, too: the corrected request needs another.
	require.Equal(t, 400, serve(r, mustRequest(capiPath, keyed(2, `{}`))).Code)
	require.Equal(t, 409, serve(r, mustRequest(capiPath, keyed(2, minimalEvent("purchase", "4")))).Code)
	require.Equal(t, 200, serve(r, mustRequest(capiPath, keyed(3, minimalEvent("purchase", "4")))).Code)
	requests := r.Requests()
	require.Equal(t, []bool{false, true, false}, []bool{requests[0].Replayed, requests[1].Replayed, requests[2].Replayed})
	require.Equal(t, "key-0000000000000001", requests[0].IdempotencyKey)
}

func TestConfig_partialFailures(t *testing.T) {
	t.Parallel()
	r := clickidtest.New(clickidtest.Config{PartialFailures: true})
	w := serve(r, mustRequest(capiPath, logEvent(minimalEvent("purchase", "1"), minimalEvent("nonsense", "2"), minimalEvent("lead", "3"))))
	require.Equal(t, 200, w.Code)
	require.Contains(t, w.Body.String(), `{"events_received":3,"events_processed":2,"partial_failures":[{"event_id":"2","code":"VALIDATION_ERROR","message":"/events/1/event_type must be one of`)
	require.Equal(t, []string{"1", "3"}, ids(r.Accepted()))
	require.Equal(t, 400, serve(r, mustRequest(capiPath, keyed(9, `{"event_type":"lead"}`))).Code, "an event without an ID cannot be named")
}

func TestReceiver_event(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := clickidtest.New(clickidtest.Config{Now: func() time.Time { return now }})
	take(t, r, eventsPath, validECAPI)
	take(t, r, capiPath, logEvent(validEvent))
	at := time.Date(2024, 11, 23, 10, 15, 30, 0, time.UTC)
	require.Equal(t, []clickidtest.Event{
		{
			Dialect: clickidtest.DialectECAPI, Destination: "ds_test", Type: "purchase", ID: "order-1", Time: at,
			Value: "149.90", Currency: "USD", Source: "website", ClickID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", ExternalID: "c-1",
			UIDs:    []clickidtest.UID{{Provider: "liveramp.com", Value: "XY1000", AType: 3}, {Provider: "id5-sync.com", Value: "ID5*abc", AType: 1}},
			Raw:     []byte(validECAPI),
			Outcome: clickidtest.OutcomeAccepted, Request: 1, Received: 1, FirstAt: now, LastAt: now,
		},
		{
			Dialect: clickidtest.DialectLogEvent, Destination: "shop", Type: "purchase", ID: "order-1", Time: at,
			Value: "149.90", Currency: "USD", Source: "website", ClickID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", ClickIDType: "clkid", ExternalID: "c-1",
			UIDs:    []clickidtest.UID{{Provider: "rampid", Value: "XY1000"}, {Provider: "other", Value: "c-1"}},
			Raw:     []byte(validEvent),
			Outcome: clickidtest.OutcomeAccepted, Request: 2, Received: 1, FirstAt: now, LastAt: now,
		},
	}, r.Accepted())
}

func TestReceiver_request(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := clickidtest.New(clickidtest.Config{Now: func() time.Time { return now }})
	body := logEvent(minimalEvent("lead", "1"), minimalEvent("lead", "2"))
	take(t, r, capiPath, body)
	serve(r, mustRequest("/nowhere", `{}`))
	require.Equal(t, []clickidtest.Request{
		{
			Number: 1, At: now, Method: "POST", Path: capiPath, Header: http.Header{"Content-Type": {"application/json"}},
			Bytes: len(body), Events: 2, IdempotencyKey: idempotencyKey, Status: 200,
		},
		{
			Number: 2, At: now, Method: "POST", Path: "/nowhere", Header: http.Header{"Content-Type": {"application/json"}},
			Bytes: 2, Status: 404, Error: clickidtest.Error{Code: "NOT_FOUND", Message: "Not found"},
		},
	}, r.Requests())
}

func TestConfig_hooks(t *testing.T) {
	t.Parallel()
	var outcomes []string
	var statuses []int
	r := clickidtest.New(clickidtest.Config{
		OnEvent: func(e clickidtest.Event) {
			outcomes = append(outcomes, fmt.Sprintf("%s %s %d", e.ID, e.Outcome, len(e.Problems)))
		},
		OnRequest: func(r clickidtest.Request) { statuses = append(statuses, r.Status) },
	})
	take(t, r, capiPath, keyed(1, minimalEvent("lead", "a")), keyed(2, minimalEvent("lead", "a"), minimalEvent("lead", "b")))
	serve(r, mustRequest(capiPath, keyed(3, minimalEvent("lead", "c"), minimalEvent("x", "d"))))
	lift := r.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"f", "1"}, WholeRequest: true})
	serve(r, mustRequest(capiPath, keyed(4, minimalEvent("lead", "e"), minimalEvent("lead", "f"))))
	serve(r, mustRequest(eventsPath, ecapiEvent("1")))
	lift()
	take(t, r, eventsPath, ecapiEvent("1"), ecapiEvent("1"))
	serve(r, mustRequest(eventsPath, `{}`))
	serve(r, mustRequest("/nowhere", ``))
	require.Equal(t, []string{
		"a accepted 0",
		"a duplicate 0", "b accepted 0",
		"c not processed 0", "d refused 1",
		"e not processed 0", "f refused 1",
		"1 refused 1",
		"1 accepted 0", "1 duplicate 0",
		" refused 3",
	}, outcomes)
	require.Equal(t, []int{200, 200, 400, 400, 400, 200, 200, 400, 404}, statuses)
}

func TestReceiver_wait(t *testing.T) {
	t.Parallel()
	r := clickidtest.New(clickidtest.Config{})
	var group sync.WaitGroup
	for i := range 3 {
		group.Add(1)
		go func() {
			defer group.Done()
			events, err := r.Wait(limited(t), i+1)
			if err != nil || len(events) <= i {
				t.Errorf("%d events, %v", len(events), err)
			}
			if _, err := r.WaitRequests(limited(t), i+1); err != nil {
				t.Error(err)
			}
		}()
	}
	take(t, r, eventsPath, ecapiEvent("1"), ecapiEvent("1"), ecapiEvent("2"), ecapiEvent("3"))
	group.Wait()

	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := r.Wait(ended, 4)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "3 of 4 accepted")
	_, err = r.WaitRequests(ended, 9)
	require.ErrorContains(t, err, "4 of 9 arrived")
	_, err = r.Wait(ended, 3)
	require.NoError(t, err, "three events have been accepted")
}

func TestConfig_keep(t *testing.T) {
	t.Parallel()
	r := clickidtest.New(clickidtest.Config{Keep: 2})
	body := keyed(0, minimalEvent("lead", "0"))
	take(t, r, capiPath, body, keyed(1, minimalEvent("lead", "1")), keyed(2, minimalEvent("lead", "2")))
	require.Equal(t, []string{"1", "2"}, ids(r.Accepted()))
	require.Len(t, r.Requests(), 2)
	require.Equal(t, 3, r.Requests()[1].Number)
	require.Equal(t, 200, r.Requests()[1].Status)
	require.Equal(t, 3, r.Count())
	take(t, r, capiPath, body)
	require.Equal(t, []string{"2", "0"}, ids(r.Accepted()))
	require.False(t, r.Requests()[1].Replayed)
	_, err := r.Wait(limited(t), 4)
	require.NoError(t, err)
}

// Many clients at once: every event is counted once, and scripts, waits and
// readers do not disturb.
func TestConfig_keepBytes(t *testing.T) {
	t.Parallel()
	limit := 2*len(minimalEvent("lead", "1")) + len("{}")
	r := clickidtest.New(clickidtest.Config{KeepBytes: limit})
	for i := range 3 {
		take(t, r, capiPath, keyed(i, minimalEvent("lead", strconv.Itoa(i))))
	}
	require.Equal(t, []string{"1", "2"}, ids(r.Accepted()))
	require.Equal(t, 3, r.Count())
	take(t, r, capiPath, keyed(0, minimalEvent("lead", "0")))
	require.False(t, r.Requests()[3].Replayed, "the key is forgotten")
	take(t, r, capiPath, keyed(9, patched(t, minimalEvent("lead", "9"), `{"ext":{"a":"`+x(limit)+`"}}`)))
	require.Equal(t, []string{"9"}, ids(r.Accepted()), "the latest is always kept")
}

func TestReceiver_concurrent(t *testing.T) {
	t.Parallel()
	const clients, requests = 8, 40
	seen := make(chan clickidtest.Event, 4*clients*requests)
	r := clickidtest.New(clickidtest.Config{OnEvent: func(e clickidtest.Event) { seen <- e }})
	r.Next(clickidtest.Fault{Status: 503, Times: clients})
	var group sync.WaitGroup
	for client := range clients {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := range requests {
				lift := r.Always(clickidtest.Fault{Status: 202})
				stop := r.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"unknown"}})
				id := strconv.Itoa(i) // every client sends the same events
				for _, req := range []func() *http.Request{
					func() *http.Request { return mustRequest(eventsPath, ecapiEvent(id)) },
					func() *http.Request { return mustRequest(capiPath, keyed(i, minimalEvent("lead", id))) },
					func() *http.Request {
						return mustRequest(capiPath, keyed(1000*client+i+1000, minimalEvent("lead", id)))
					},
				} {
					for serve(r, req()).Code >= 300 {
					}
				}
				lift()
				stop()
				_, _, _ = r.Accepted(), r.Requests(), r.Count()
			}
		}()
	}
	events, err := r.Wait(limited(t), 2*requests)
	require.NoError(t, err)
	require.Len(t, events, 2*requests)
	group.Wait()
	require.Equal(t, 2*requests, r.Count())
	received := 0
	for _, e := range r.Accepted() {
		received += e.Received
	}
	require.Equal(t, 3*clients*requests, received)
	require.Len(t, r.Requests(), 3*clients*requests+clients)
	close(seen)
	accepted := 0
	for e := range seen {
		if e.Outcome == clickidtest.OutcomeAccepted {
			accepted++
		}
	}
	require.GreaterOrEqual(t, accepted, 2*requests)
}

func BenchmarkReceiver(b *testing.B) {
	full := make([]string, 1000)
	for i := range full {
		full[i] = strings.Replace(validEvent, "order-1", "order-"+strconv.Itoa(i), 1)
	}
	for _, bench := range []struct {
		name, path string
		body       func(i int) string
	}{
		{"ECAPI", eventsPath, func(i int) string { return ecapiEvent(strconv.Itoa(i)) }},
		{"LogEvent of 1000", capiPath, func(i int) string { return keyed(i, full...) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			r := clickidtest.New(clickidtest.Config{})
			for i := 0; i < b.N; i++ {
				take(b, r, bench.path, bench.body(i))
			}
		})
	}
}
