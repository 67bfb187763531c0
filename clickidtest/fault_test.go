package clickidtest_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/stretchr/testify/require"
)

func statuses(requests []clickidtest.Request) []int {
	list := make([]int, len(requests))
	for i, r := range requests {
		list[i] = r.Status
	}
	return list
}

func TestReceiver_faultOrder(t *testing.T) {
	t.Parallel()
	r := clickidtest.New(clickidtest.Config{})
	r.Next(clickidtest.Fault{Status: 503, Times: 2}, clickidtest.Fault{Status: 429})
	lift := r.Always(clickidtest.Fault{Status: 500})
	r.Next(clickidtest.Fault{Status: 408})
	for range 6 {
		serve(r, mustRequest(eventsPath, ecapiEvent("1")))
	}
	require.Zero(t, r.Count(), "none of them was processed")
	second := r.Always(clickidtest.Fault{Status: 502})
	serve(r, mustRequest(eventsPath, ecapiEvent("1")))
	lift()
	serve(r, mustRequest(eventsPath, ecapiEvent("1")))
	second()
	second()
	serve(r, mustRequest(eventsPath, ecapiEvent("1")))
	require.Equal(t, []int{503, 503, 429, 408, 500, 500, 502, 502, 200}, statuses(r.Requests()))
	require.Equal(t, []int{1, 2, 3, 4, 5, 6, 7, 8, 9}, func() (n []int) {
		for _, request := range r.Requests() {
			n = append(n, request.Number)
		}
		return n
	}())
	require.True(t, r.Requests()[7].Scripted)
	require.False(t, r.Requests()[8].Scripted)
}

func TestFault_response(t *testing.T) {
	t.Parallel()
	event, events := ecapiEvent("1"), logEvent(minimalEvent("lead", "1"))
	tests := []struct {
		name       string
		path, body string
		fault      clickidtest.Fault
		status     int
		want       string
		counted    int
	}{
		{"a status", eventsPath, event, clickidtest.Fault{Status: 500}, 500, `{"code":"INTERNAL_ERROR","error":"Internal Server Error"}`, 0},
		{"the contract's words", eventsPath, event, clickidtest.Fault{Status: 403}, 403, `{"code":"ACCESS_DENIED","error":"Access denied to dataset"}`, 0},
		{"a status without a code", capiPath, events, clickidtest.Fault{Status: 418}, 418, `{"errors":[{"message":"I'm a teapot"}]}`, 0},
		{"a code", capiPath, events, clickidtest.Fault{Status: 403, Error: clickidtest.Error{Code: "TOS_ACCEPTANCE_REQUIRED"}}, 403, `{"errors":[{"code":"TOS_ACCEPTANCE_REQUIRED","message":"Access denied to dataset"}]}`, 0},
		{"retry_after in the body", capiPath, events, clickidtest.Fault{Status: 429, Error: clickidtest.Error{Message: "wait", RetryAfter: 1.5}}, 429, `{"errors":[{"code":"RATE_LIMITED","message":"wait","retry_after":1.5}]}`, 0},
		{"an error inside a success", capiPath, events, clickidtest.Fault{Error: clickidtest.Error{Code: "SOMETHING_NEW", Message: "no"}}, 200, `{"errors":[{"code":"SOMETHING_NEW","message":"no"}]}`, 0},
		{"data null and an error", interchangePath, events, clickidtest.Fault{Status: 200, Error: clickidtest.Error{Code: "X", Message: "no", Field: "/events/0"}}, 200, `{"data":null,"error":{"code":"X","message":"no","field":"/events/0"}}`, 0},
		{"a body word for word", capiPath, events, clickidtest.Fault{Body: "<html>"}, 200, `<html>`, 0},
		{"a body word for word with its status", capiPath, events, clickidtest.Fault{Status: 502, Body: "<html>"}, 502, `<html>`, 0},
		{"another 2xx", eventsPath, event, clickidtest.Fault{Status: 202}, 202, `{"status":"ok"}`, 1},
		{"another 2xx without a body", eventsPath, event, clickidtest.Fault{Status: 204}, 204, ``, 1},
		{"another 2xx does not heal a refusal", eventsPath, `{`, clickidtest.Fault{Status: 202}, 400, `{"code":"BAD_REQUEST","error":"Invalid JSON payload"}`, 0},
		{"fewer processed than received", capiPath, logEvent(minimalEvent("lead", "1"), minimalEvent("lead", "2")), clickidtest.Fault{Unprocessed: 1}, 200, `{"events_received":2,"events_processed":1,"partial_failures":[],"warnings":[],"match_quality":0}`, 1},
		{"none processed", capiPath, events, clickidtest.Fault{Unprocessed: 5}, 200, `{"events_received":1,"events_processed":0,"partial_failures":[],"warnings":[],"match_quality":0}`, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := clickidtest.New(clickidtest.Config{})
			r.Next(tt.fault)
			w := serve(r, mustRequest(tt.path, tt.body))
			require.Equal(t, tt.status, w.Code)
			require.Equal(t, tt.want, strings.TrimSuffix(w.Body.String(), "\n"))
			require.Equal(t, tt.counted, r.Count())
		})
	}
}

// TestFault_forms has every form of a log_event response that the contract
// tells how to read.
func TestFault_forms(t *testing.T) {
	t.Parallel()
	two := logEvent(minimalEvent("lead", "1"), minimalEvent("lead", "2"))
	failed := clickidtest.Error{Code: "SOME_CODE", Message: "no"}
	tests := []struct {
		name    string
		path    string
		fault   clickidtest.Fault
		status  int
		want    string
		counted int
	}{
		{"a page", capiPath, clickidtest.Fault{Body: "<!doctype html>"}, 200, `<!doctype html>`, 0},
		{"an empty body", capiPath, clickidtest.Fault{Body: " ", Processed: true}, 200, ` `, 2},
		{"an unpublished confirmation", capiPath, clickidtest.Fault{Body: `{"status":"ok"}`, Processed: true}, 200, `{"status":"ok"}`, 2},
		{"no object", capiPath, clickidtest.Fault{Body: `[]`, Processed: true}, 200, `[]`, 2},
		{"a cut body", capiPath, clickidtest.Fault{Truncated: true}, 200, `{"events_received":2,"events_processed":2,"parti`, 2},
		{"a cut error", capiPath, clickidtest.Fault{Status: 400, Error: failed, Truncated: true}, 400, `{"errors":[{"code":"SOME`, 0},
		{"a long body", capiPath, clickidtest.Fault{Body: `{}`, PadTo: 5}, 200, `{}   `, 0},
		{"adcp_error", capiPath, clickidtest.Fault{Error: failed, Form: clickidtest.FormAdCPError}, 200, `{"adcp_error":{"code":"SOME_CODE","message":"no"},"status":"failed"}`, 0},
		{"adcp_error with status 400", capiPath, clickidtest.Fault{Status: 400, Error: failed, Form: clickidtest.FormAdCPErrorOnly}, 400, `{"adcp_error":{"code":"SOME_CODE","message":"no"}}`, 0},
		{"errors at Interchange", interchangePath, clickidtest.Fault{Error: failed, Form: clickidtest.FormErrors}, 200, `{"errors":[{"code":"SOME_CODE","message":"no"}]}`, 0},
		{"errors in data", capiPath, clickidtest.Fault{Error: failed, Form: clickidtest.FormErrorsInData}, 200, `{"data":{"errors":[{"code":"SOME_CODE","message":"no"}]}}`, 0},
		{"an error object", capiPath, clickidtest.Fault{Error: failed, Form: clickidtest.FormError}, 200, `{"error":{"code":"SOME_CODE","message":"no"}}`, 0},
		{"an error text", capiPath, clickidtest.Fault{Error: failed, Form: clickidtest.FormErrorText}, 200, `{"code":"SOME_CODE","error":"no"}`, 0},
		{"status submitted", capiPath, clickidtest.Fault{TaskStatus: "submitted"}, 200, `{"status":"submitted"}`, 0},
		{"status failed", interchangePath, clickidtest.Fault{TaskStatus: "failed"}, 200, `{"status":"failed"}`, 0},
		{"status failed with an error", capiPath, clickidtest.Fault{TaskStatus: "failed", Error: failed}, 200, `{"errors":[{"code":"SOME_CODE","message":"no"}],"status":"failed"}`, 0},
		{"status completed", capiPath, clickidtest.Fault{TaskStatus: "completed"}, 200, `{"events_processed":2,"events_received":2,"match_quality":0,"partial_failures":[],"status":"completed","warnings":[]}`, 2},
		{"success false", capiPath, clickidtest.Fault{Unsuccessful: true}, 200, `{"success":false}`, 0},
		{"none received", capiPath, clickidtest.Fault{Unreceived: 2}, 200, `{"events_received":0,"events_processed":0,"partial_failures":[],"warnings":[],"match_quality":0}`, 0},
		{"one not received", capiPath, clickidtest.Fault{Unreceived: 1}, 200, `{"events_received":1,"events_processed":1,"partial_failures":[],"warnings":[],"match_quality":0}`, 1},
		{"too large", capiPath, clickidtest.Fault{Status: 413}, 413, `{"errors":[{"message":"Request Entity Too Large"}]}`, 0},
		{"an error with details", capiPath, clickidtest.Fault{Status: 400, Error: clickidtest.Error{Code: "X", Message: "no", Details: map[string]any{"a": 1}}}, 400, `{"errors":[{"code":"X","message":"no","details":{"a":1}}]}`, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := clickidtest.New(clickidtest.Config{})
			r.Next(tt.fault)
			w := serve(r, mustRequest(tt.path, two))
			require.Equal(t, tt.status, w.Code)
			require.Equal(t, tt.want, strings.TrimSuffix(w.Body.String(), "\n"))
			require.Equal(t, tt.counted, r.Count())
			require.True(t, r.Requests()[0].Scripted)
			if strings.HasPrefix(tt.want, "<") {
				require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
			}
		})
	}
}

func TestEventRefusal_naming(t *testing.T) {
	t.Parallel()
	two := logEvent(minimalEvent("lead", "1"), minimalEvent("lead", "2"))
	const message = `"message":"/events/1 is refused by EventRefusal with the code X"`
	for naming, want := range map[clickidtest.Naming][2]string{
		clickidtest.NamingDefault:   {`{"event_id":"2","code":"X",` + message + `}`, `{"code":"X","message":"Validation error","field":"/events/1/event_type"}`},
		clickidtest.NamingID:        {`{"event_id":"2","code":"X",` + message + `}`, `{"code":"X","message":"Validation error"}`},
		clickidtest.NamingPointer:   {`{"field":"/events/1/event_type","code":"X",` + message + `}`, `{"code":"X","message":"Validation error","field":"/events/1/event_type"}`},
		clickidtest.NamingBrackets:  {`{"field":"events[1].event_type","code":"X",` + message + `}`, `{"code":"X","message":"Validation error","field":"events[1].event_type"}`},
		clickidtest.NamingIssues:    {`{"field":"/events/1/event_type","code":"X",` + message + `}`, `{"code":"X","message":"Validation error","issues":[{"message":"Validation error","path":"/events/1/event_type"}]}`},
		clickidtest.NamingDetails:   {`{"field":"/events/1/event_type","code":"X",` + message + `}`, `{"code":"X","message":"Validation error","details":{"issues":[{"message":"Validation error","path":["events",1,"event_type"]}]}}`},
		clickidtest.NamingIndex:     {`{"index":1,"code":"X",` + message + `}`, `{"code":"X","message":"Validation error"}`},
		clickidtest.NamingUnknownID: {`{"event_id":"unknown-1","code":"X",` + message + `}`, `{"code":"X","message":"Validation error"}`},
		clickidtest.NamingNone:      {`{"code":"X",` + message + `}`, `{"code":"X","message":"Validation error"}`},
	} {
		for i, whole := range []bool{false, true} {
			r := clickidtest.New(clickidtest.Config{})
			r.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"2"}, Code: "X", WholeRequest: whole, Naming: naming})
			w := serve(r, mustRequest(capiPath, two))
			require.Contains(t, w.Body.String(), "["+want[i]+"]")
		}
	}
}

func TestEventRefusal_times(t *testing.T) {
	t.Parallel()
	r := clickidtest.New(clickidtest.Config{})
	r.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"1"}, Recovery: "transient", Times: 2})
	for i, counted := range []int{0, 0, 1} {
		body := strings.Replace(logEvent(minimalEvent("lead", "1")), idempotencyKey, idempotencyKey+strconv.Itoa(i), 1)
		serve(r, mustRequest(capiPath, body))
		require.Equal(t, counted, r.Count(), i)
		serve(r, mustRequest(capiPath, body)) // the same key has the same response
		require.Equal(t, counted, r.Count(), i)
	}
}

// TestReceiver_knownKeys repeats keys whose first request was refused.
func TestReceiver_knownKeys(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := clickidtest.New(clickidtest.Config{Now: func() time.Time { return now }})
	lift := r.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"1"}, WholeRequest: true})
	body := logEvent(minimalEvent("lead", "1"))
	require.Equal(t, 400, serve(r, mustRequest(capiPath, body)).Code)
	lift()
	require.Equal(t, 400, serve(r, mustRequest(capiPath, body)).Code, "the key has a response")
	require.True(t, r.Requests()[1].Replayed)
	w := serve(r, mustRequest(capiPath, logEvent(minimalEvent("lead", "2"))))
	require.Equal(t, 409, w.Code)
	require.Contains(t, w.Body.String(), "IDEMPOTENCY_CONFLICT")
	now = now.Add(25 * time.Hour)
	w = serve(r, mustRequest(capiPath, body))
	require.Equal(t, 409, w.Code)
	require.Contains(t, w.Body.String(), "IDEMPOTENCY_EXPIRED")
	require.Zero(t, r.Count())
	take(t, r, capiPath, strings.Replace(body, idempotencyKey, "another-idempotency-key", 1))
}

func TestFault_header(t *testing.T) {
	t.Parallel()
	r := clickidtest.New(clickidtest.Config{})
	r.Next(
		clickidtest.Fault{Status: 503, Header: http.Header{"Retry-After": {"7"}}},
		clickidtest.Fault{Status: 307, Header: http.Header{"Location": {"/elsewhere"}}},
		clickidtest.Fault{Header: http.Header{"X-Served-By": {"a"}}},
	)
	w := serve(r, mustRequest(eventsPath, ecapiEvent("1")))
	require.Equal(t, "7", w.Header().Get("Retry-After"))
	w = serve(r, mustRequest(eventsPath, ecapiEvent("1")))
	require.Equal(t, 307, w.Code)
	require.Equal(t, "/elsewhere", w.Header().Get("Location"))
	w = serve(r, mustRequest(eventsPath, ecapiEvent("1")))
	require.Equal(t, 200, w.Code)
	require.Equal(t, "a", w.Header().Get("X-Served-By"))
}

func TestFault_cut(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		cut     clickidtest.Cut
		counted int
		status  int // recorded
		bytes   bool
	}{
		{"before reading", clickidtest.CutBeforeReading, 0, 0, false},
		{"after reading", clickidtest.CutAfterReading, 0, 0, true},
		{"after processing", clickidtest.CutAfterProcessing, 1, 0, true},
		{"in the middle of the response", clickidtest.CutMidResponse, 1, 200, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := clickidtest.NewServer(t)
			srv.Next(clickidtest.Fault{Cut: tt.cut})
			resp, err := http.DefaultTransport.RoundTrip(request(t, srv.URL, eventsPath, ecapiEvent("1")))
			if tt.status != 0 {
				require.NoError(t, err)
				require.Equal(t, tt.status, resp.StatusCode)
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			} else {
				require.Error(t, err)
			}
			require.Equal(t, tt.counted, srv.Count())
			requests := srv.Requests()
			require.Equal(t, []int{tt.status}, statuses(requests))
			require.Equal(t, tt.bytes, requests[0].Bytes > 0)
			status, _ := post(t, srv, eventsPath, ecapiEvent("1"))
			require.Equal(t, 200, status, "the next one is served")
			require.Equal(t, 1, srv.Count())
		})
	}
}

func TestFault_hold(t *testing.T) {
	t.Parallel()
	srv := clickidtest.NewServer(t)
	release := make(chan struct{})
	srv.Next(clickidtest.Fault{Hold: release, Latency: time.Nanosecond})
	status := make(chan int, 1)
	req := request(t, srv.URL, eventsPath, ecapiEvent("1"))
	go func() {
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
			status <- resp.StatusCode
		}
		close(status)
	}()
	_, err := srv.WaitRequests(limited(t), 1)
	require.NoError(t, err)
	require.Equal(t, []int{0}, statuses(srv.Requests()), "the request is in progress")
	require.Zero(t, srv.Count())
	close(release)
	require.Equal(t, 200, <-status)
	require.Equal(t, []int{200}, statuses(srv.Requests()))
}

func TestFault_clientLeaves(t *testing.T) {
	t.Parallel()
	for _, fault := range []clickidtest.Fault{{Hold: make(chan struct{})}, {Latency: time.Hour}} {
		finished := make(chan clickidtest.Request, 1)
		srv := clickidtest.NewServer(t, func(cfg *clickidtest.Config) {
			cfg.OnRequest = func(r clickidtest.Request) { finished <- r }
		})
		srv.Next(fault)
		req := request(t, srv.URL, eventsPath, ecapiEvent("1"))
		ctx, leave := contextWithCancel(t)
		go func() {
			resp, err := http.DefaultTransport.RoundTrip(req.WithContext(ctx))
			if err == nil {
				resp.Body.Close()
				t.Error("the request got a response")
			}
		}()
		_, err := srv.WaitRequests(limited(t), 1)
		require.NoError(t, err)
		leave()
		require.Zero(t, (<-finished).Status)
		require.Zero(t, srv.Count(), "the client has gone, so the request is not processed")
	}
}

func TestReceiver_refuseEvents(t *testing.T) {
	t.Parallel()
	three := logEvent(minimalEvent("lead", "1"), minimalEvent("lead", "2"), minimalEvent("lead", "3"))
	tests := []struct {
		name       string
		path, body string
		refusal    clickidtest.EventRefusal
		status     int
		want       string
		counted    []string
	}{
		{"a partial failure", capiPath, three, clickidtest.EventRefusal{IDs: []string{"2", "9"}, Code: "SOME_CODE", Recovery: "terminal"}, 200,
			`{"events_received":3,"events_processed":2,"partial_failures":[{"event_id":"2","code":"SOME_CODE","message":"/events/1 is refused by EventRefusal with the code SOME_CODE","recovery":"terminal"}],"warnings":[],"match_quality":0}`, []string{"1", "3"}},
		{"the whole request", capiPath, three, clickidtest.EventRefusal{IDs: []string{"3"}, WholeRequest: true}, 400,
			`{"errors":[{"code":"VALIDATION_ERROR","message":"Validation error","field":"/events/2/event_type"}]}`, []string{}},
		{"the whole request, wrapped", interchangePath, three, clickidtest.EventRefusal{IDs: []string{"1"}, WholeRequest: true, Status: 422}, 422,
			`{"data":null,"error":{"code":"VALIDATION_ERROR","message":"Validation error","field":"/events/0/event_type"}}`, []string{}},
		{"the whole request without a name", capiPath, three, clickidtest.EventRefusal{IDs: []string{"3"}, WholeRequest: true, Naming: clickidtest.NamingNone}, 400,
			`{"errors":[{"code":"VALIDATION_ERROR","message":"Validation error"}]}`, []string{}},
		{"the whole request inside a success", capiPath, three, clickidtest.EventRefusal{IDs: []string{"3"}, WholeRequest: true, Status: 200}, 200,
			`{"errors":[{"code":"VALIDATION_ERROR","message":"Validation error","field":"/events/2/event_type"}]}`, []string{}},
		{"ECAPI", eventsPath, ecapiEvent("1"), clickidtest.EventRefusal{IDs: []string{"1"}}, 400,
			`{"code":"VALIDATION_ERROR","error":"Validation error"}`, []string{}},
		{"another event", eventsPath, ecapiEvent("1"), clickidtest.EventRefusal{IDs: []string{"2"}}, 200, `{"status":"ok"}`, []string{"1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := clickidtest.New(clickidtest.Config{})
			lift := r.RefuseEvents(tt.refusal)
			w := serve(r, mustRequest(tt.path, tt.body))
			require.Equal(t, tt.status, w.Code)
			require.Equal(t, tt.want+"\n", w.Body.String())
			require.Equal(t, tt.counted, ids(r.Accepted()))
			lift()
			take(t, r, tt.path, strings.Replace(tt.body, idempotencyKey, "another-idempotency-key", 1))
			require.NotZero(t, r.Count())
		})
	}
}

func TestConfig_rateLimit(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := clickidtest.New(clickidtest.Config{
		Now:       func() time.Time { return now },
		RateLimit: clickidtest.RateLimit{Requests: 2},
	})
	from := func(address string) *http.Request {
		req := mustRequest(eventsPath, ecapiEvent("1"))
		req.RemoteAddr = address
		return req
	}
	w := serve(r, from("192.0.2.1:1"))
	require.Equal(t, 200, w.Code)
	require.Equal(t, []string{"2", "1", "60"}, []string{
		w.Header().Get("RateLimit-Limit"), w.Header().Get("RateLimit-Remaining"), w.Header().Get("RateLimit-Reset"),
	})
	require.Equal(t, 200, serve(r, from("192.0.2.1:2")).Code)
	require.Equal(t, 200, serve(r, from("192.0.2.2:1")).Code, "another address")
	now = now.Add(17500 * time.Millisecond)
	w = serve(r, from("192.0.2.1:3"))
	require.Equal(t, 429, w.Code)
	require.Equal(t, "43", w.Header().Get("Retry-After"))
	require.Equal(t, "0", w.Header().Get("RateLimit-Remaining"))
	require.JSONEq(t, `{"code":"RATE_LIMITED","error":"Too many requests","recovery":"transient","retry_after":43}`, w.Body.String())
	now = now.Add(42500 * time.Millisecond)
	require.Equal(t, 200, serve(r, from("192.0.2.1:4")).Code, "the next minute")
}

func TestConfig_maxBytes(t *testing.T) {
	t.Parallel()
	srv := clickidtest.NewServer(t, func(cfg *clickidtest.Config) { cfg.MaxBytes = 1000 })
	_, err := (&http.Transport{}).RoundTrip(request(t, srv.URL, eventsPath, patched(t, ecapiEvent("1"), `{"properties":{"a":"`+x(1000)+`"}}`)))
	require.Error(t, err)
	require.Zero(t, srv.Count())
	status, _ := post(t, srv, eventsPath, ecapiEvent("1"))
	require.Equal(t, 200, status)
}
