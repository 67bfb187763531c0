package receiver_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/cmd/clickid/internal/receiver"
	"github.com/stretchr/testify/require"
)

// faults is a response about faults.
type faults struct {
	Faults []struct {
		Fault      string
		Times      int
		Always     bool
		RetryAfter float64 `json:"retry_after"`
		Delay      float64
	}
	Kinds []struct{ Fault, Text string }
}

func TestReceiver_faults(t *testing.T) {
	t.Parallel()
	s := start(t)
	two := func(key string) string { return logEvents(key, lead(key+"-1"), lead(key+"-2")) }
	for _, tt := range []struct {
		fault  string // in JSON
		status int    // of a log_event request; 0 cuts the connection
		header string // Retry-After
		body   string
		counts receiver.Counts
	}{
		{`"429"`, 429, "5", `"RATE_LIMITED"`, receiver.Counts{NotProcessed: 2}},
		{`"429","retry_after":7`, 429, "7", ``, receiver.Counts{NotProcessed: 2}},
		{`"503"`, 503, "", `"SERVICE_UNAVAILABLE"`, receiver.Counts{NotProcessed: 2}},
		{`"503","retry_after":0.5`, 503, "1", ``, receiver.Counts{NotProcessed: 2}},
		{`"slow","delay":0.001`, 200, "", `"events_processed":2`, receiver.Counts{Accepted: 2}},
		{`"cut"`, 0, "", ``, receiver.Counts{NotProcessed: 2}},
		{`"cut_after"`, 0, "", ``, receiver.Counts{Accepted: 2}},
		{`"partial_failure"`, 200, "", `"partial_failures":[{"event_id":`, receiver.Counts{Accepted: 1, Refused: 1}},
		{`"received_less"`, 200, "", `"events_received":1`, receiver.Counts{Accepted: 1, NotProcessed: 1}},
		{`"html"`, 200, "", `<!doctype html>`, receiver.Counts{NotProcessed: 2}},
		{`"adcp_error"`, 200, "", `"adcp_error":{"code":"SERVICE_UNAVAILABLE"`, receiver.Counts{NotProcessed: 2}},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			call[any](s, 200, http.MethodDelete, "/api/v1/events", "")
			set := call[faults](s, 200, http.MethodPost, "/api/v1/faults", `{"fault":`+tt.fault+`}`)
			require.Len(t, set.Faults, 1)
			require.Equal(t, 1, set.Faults[0].Times)
			req, err := http.NewRequest(http.MethodPost, s.url+capiPath, body(two("a")))
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer "+key)
			req.Header.Set("Content-Type", "application/json")
			resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
			if tt.status == 0 {
				require.Error(t, err)
			} else {
				require.NoError(t, err)
				require.Equal(t, tt.status, resp.StatusCode)
				require.Equal(t, tt.header, resp.Header.Get("Retry-After"))
				require.Contains(t, text(t, resp), tt.body)
			}
			all := get[list](s, 200, "/api/v1/wait?count=2&timeout=1m")
			require.Equal(t, set.Faults[0].Fault, all.Events[0].Fault)
			explained := get[detail](s, 200, fmt.Sprintf("/api/v1/events/%d", all.Events[1].Number)).Explanations
			require.Equal(t, "a fault was injected", explained[len(explained)-1].Message)
			require.NotEmpty(t, explained[len(explained)-1].Why)
			require.Equal(t, tt.counts, get[list](s, 200, "/api/v1/events").Counts)
			require.Empty(t, get[faults](s, 200, "/api/v1/faults").Faults)
		})
	}
}

func TestReceiver_faultSchedule(t *testing.T) {
	t.Parallel()
	s := start(t)
	call[faults](s, 200, http.MethodPost, "/api/v1/faults", `{"fault":"503","times":2}`)
	set := call[faults](s, 200, http.MethodPost, "/api/v1/faults", `{"fault":"429","always":true,"retry_after":1}`)
	require.Len(t, set.Faults, 2)
	require.True(t, set.Faults[1].Always)
	require.InDelta(t, 1, set.Faults[1].RetryAfter, 0)
	var statuses []int
	for range 4 {
		status, _ := s.send(ecapiPath, purchase("order-1"))
		statuses = append(statuses, status)
	}
	require.Equal(t, []int{503, 503, 429, 429}, statuses)
	require.Empty(t, call[faults](s, 200, http.MethodDelete, "/api/v1/faults", "").Faults)
	status, _ := s.send(ecapiPath, purchase("order-1"))
	require.Equal(t, 200, status)
	accepted := get[list](s, 200, "/api/v1/events?verdict=accepted").Events[0]
	require.Equal(t, 5, accepted.Attempt)
}

func TestReceiver_wrongFaults(t *testing.T) {
	t.Parallel()
	s := start(t)
	for body, want := range map[string]string{
		`{`:                          "the body must be a fault in JSON",
		`{"fault":"503","count":2}`:  `unknown field "count"`,
		`{"fault":"500"}`:            "fault must be one of 429, 503, slow, cut, cut_after, partial_failure, received_less, html, adcp_error",
		`{"fault":"503","times":-1}`: "times must be from 1 to 1000000",
		`{"fault":"503","times":1,"always":true}`: "times and always exclude each other",
		`{"fault":"cut","retry_after":1}`:         "the fault cut has no retry_after",
		`{"fault":"429","delay":1}`:               "the fault 429 has no delay",
		`{"fault":"slow","delay":-1}`:             "delay must be from 0 to 86400 seconds",
	} {
		require.Contains(t, call[list](s, 400, http.MethodPost, "/api/v1/faults", body).Error, want, body)
	}
}

// TestReceiver_ownFault covers a fault that the program has set.
func TestReceiver_ownFault(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.r.Platform.Always(clickidtest.Fault{Status: 401})
	shown := get[faults](s, 200, "/api/v1/faults").Faults
	require.Equal(t, "401", shown[0].Fault)
	require.True(t, shown[0].Always)
}

// TestReceiver_stopSlow checks that a slow response does not outlive the
// receiver.
func TestReceiver_stopSlow(t *testing.T) {
	t.Parallel()
	s := start(t)
	call[faults](s, 200, http.MethodPost, "/api/v1/faults", `{"fault":"slow","delay":3600}`)
	ended := make(chan error)
	go func() {
		_, err := http.Post(s.url+ecapiPath, "application/json", body(purchase("order-1")))
		ended <- err
	}()
	_, err := s.r.Platform.WaitRequests(t.Context(), 1)
	require.NoError(t, err)
	s.r.Stop()
	require.Error(t, <-ended)
}
