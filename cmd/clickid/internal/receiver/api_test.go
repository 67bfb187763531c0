package receiver_test

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/clickid/clickid/cmd/clickid/internal/receiver"
	"github.com/stretchr/testify/require"
)

func TestReceiver_events(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, sent := range []struct {
		path, body string
		status     int
	}{
		{ecapiPath, purchase("order-1"), 200},
		{ecapiPath, purchase("order-1"), 200},
		{ecapiPath, strings.Replace(purchase("order-2"), "purchase", "bought", 1), 400},
		{capiPath, logEvents("1", lead("lead-1"), `{"event_id":"lead-2","event_type":"lead"}`), 400},
		{capiPath, logEvents("2", lead("lead-1")), 200},
		{"/agentic/v1/event", purchase("order-3"), 404},
		{ecapiPath, `{`, 400},
	} {
		status, body := s.send(sent.path, sent.body)
		require.Equal(t, sent.status, status, body)
	}
	for query, want := range map[string][]string{
		"":                                 {"order-1", "order-1", "order-2", "lead-1", "lead-2", "lead-1"},
		"verdict=accepted":                 {"order-1", "lead-1"},
		"verdict=duplicate":                {"order-1"},
		"verdict=refused":                  {"order-2", "lead-2"},
		"verdict=not+processed":            {"lead-1"},
		"verdict=refused&verdict=accepted": {"order-1", "order-2", "lead-2", "lead-1"},
		"type=purchase":                    {"order-1", "order-1"},
		"type=lead":                        {"lead-1", "lead-2", "lead-1"},
		"dialect=ecapi&verdict=accepted":   {"order-1"},
		"dialect=log_event":                {"lead-1", "lead-2", "lead-1"},
		"destination=my-shop&id=lead-2":    {"lead-2"},
		"id=order-1":                       {"order-1", "order-1"},
		"click_id=01ARZ3NDEKTSV4RRFFQ69G5FAV&verdict=refused": {"order-2"},
		"text=ORDER-2":                 {"order-2"},
		"text=must+be+one+of":          {"order-2"},
		"text=149.99&verdict=accepted": {"order-1"},
		"after=3":                      {"lead-1", "lead-2", "lead-1"},
		"before=3":                     {"order-1", "order-1"},
		"after=1&before=4&limit=1":     {"order-2"},
		"kind=request":                 {"", ""},
		"kind=request&verdict=refused&text=not_found": {""},
		"kind=all&verdict=refused&after=3":            {"lead-2", "", ""},
	} {
		require.Equal(t, want, get[list](s, 200, "/api/v1/events?"+query).ids(), query)
	}
	all := get[list](s, 200, "/api/v1/events?limit=2")
	require.Equal(t, 6, all.Total)
	require.Equal(t, receiver.Counts{Accepted: 2, Duplicate: 1, Refused: 2, NotProcessed: 1, Requests: 2}, all.Counts)
	first := get[list](s, 200, "/api/v1/events?before=2").Events[0]
	require.Equal(t, []int{1, 2, 1}, []int{first.Attempt, first.Attempts, first.Duplicates})
	require.Equal(t, []string{"149.99", "USD", "purchase", "ds_1", "01ARZ3NDEKTSV4RRFFQ69G5FAV"},
		[]string{first.Value, first.Currency, first.Type, first.Destination, first.ClickID})
}

// TestReceiver_documented requests every endpoint that docs/testing.md lists.
func TestReceiver_documented(t *testing.T) {
	t.Parallel()
	s := start(t)
	document, err := os.ReadFile("../../../../docs/testing.md")
	require.NoError(t, err)
	endpoints := regexp.MustCompile("(?m)^\\| `([A-Z]+) (/api/v1/[^`]+)`").FindAllStringSubmatch(string(document), -1)
	require.Len(t, endpoints, receiver.Endpoints)
	for _, e := range endpoints {
		if e[2] == "/api/v1/stream" {
			s.stream("").next("snapshot")
			continue
		}
		path := strings.NewReplacer("NUMBER", "1", "ID", "my-shop").Replace(e[2])
		status, body := s.request(e[1], strings.Replace(path, "/wait", "/wait?timeout=1ms", 1), "")
		require.Less(t, status, 500, path)
		require.NotContains(t, body, "no such endpoint", path)
	}
	for _, kind := range get[faults](s, 200, "/api/v1/faults").Kinds {
		require.Contains(t, string(document), "| `"+kind.Fault+"` |")
	}
}

func TestReceiver_wrongParameters(t *testing.T) {
	t.Parallel()
	s := start(t)
	for path, want := range map[string]string{
		"/api/v1/events?colour=red":       "colour is not a parameter of this endpoint",
		"/api/v1/events?count=1":          "count is not a parameter of this endpoint",
		"/api/v1/events?verdict=good":     "verdict must be one of accepted, duplicate, refused, not processed, responded",
		"/api/v1/events?kind=x":           "kind must be one of event, request, all",
		"/api/v1/events?dialect=ECAPI":    "dialect must be one of ecapi, log_event",
		"/api/v1/events?limit=0":          "limit must be an integer from 1 to 1000",
		"/api/v1/events?after=x":          "after must be the number of an event",
		"/api/v1/events?after=3&before=3": "before must be greater than after",
		"/api/v1/events/first":            "an event is identified by its number",
		"/api/v1/wait?count=0":            "count must be an integer from 1 to 2147483647",
		"/api/v1/wait?timeout=5":          "timeout must be a duration up to 10m0s, such as 30s",
		"/api/v1/wait?timeout=1h":         "timeout must be a duration up to 10m0s, such as 30s",
		"/api/v1/assert":                  "count is required",
		"/api/v1/assert?count=-1":         "count must be an integer from 0 to 2147483647",
		"/api/v1/stream?limit=x":          "limit must be an integer from 1 to 1000",
		"/api/v1/stream?colour=red":       "colour is not a parameter of this endpoint",
	} {
		require.Equal(t, want, get[list](s, 400, path).Error, path)
	}
	require.Equal(t, "the API has no such endpoint", get[list](s, 404, "/api/v1/nothing").Error)
	require.Equal(t, "the event does not exist, or it is not kept any more", get[list](s, 404, "/api/v1/events/1").Error)
}

func TestReceiver_assert(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.send(ecapiPath, purchase("order-1"))
	require.Equal(t, []string{"order-1"}, get[list](s, 200, "/api/v1/assert?count=1&verdict=accepted").ids())
	get[list](s, 200, "/api/v1/assert?count=0&verdict=refused")
	unmet := get[list](s, 409, "/api/v1/assert?count=2")
	require.Equal(t, "count is 1 instead of 2", unmet.Error)
	require.Equal(t, []int{1, 2}, []int{unmet.Count, unmet.Want})
}

func TestReceiver_wait(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.send(ecapiPath, purchase("order-1"))
	require.Equal(t, []string{"order-1"}, get[list](s, 200, "/api/v1/wait?id=order-1").ids(), "it has arrived before")
	arrived := make(chan list)
	go func() { arrived <- get[list](s, 200, "/api/v1/wait?type=purchase&count=2&timeout=1m") }()
	s.send(capiPath, logEvents("1", lead("lead-1")))
	s.send(ecapiPath, purchase("order-2"))
	require.Equal(t, []string{"order-1", "order-2"}, (<-arrived).ids())
	require.Equal(t, "count is 2 instead of 3 after 1ms", get[list](s, 409, "/api/v1/wait?type=purchase&count=3&timeout=1ms").Error)
	go func() { arrived <- get[list](s, 409, "/api/v1/wait?id=never&timeout=1m") }()
	s.r.Stop()
	require.Empty(t, (<-arrived).Events, "the receiver ends")
}

func TestReceiver_clear(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.send(ecapiPath, purchase("order-1"))
	call[any](s, 200, http.MethodDelete, "/api/v1/events", "")
	cleared := get[list](s, 200, "/api/v1/events?kind=all")
	require.Empty(t, cleared.Events)
	require.Zero(t, cleared.Counts)
	s.send(ecapiPath, purchase("order-1"))
	again := get[list](s, 200, "/api/v1/assert?count=1&verdict=accepted").Events[0]
	require.Equal(t, []int{2, 1}, []int{again.Number, again.Attempt}, "numbers are not used again")
}

func TestReceiver_eventSources(t *testing.T) {
	t.Parallel()
	s := start(t)
	type sources struct {
		EventSources []struct {
			ID       string `json:"event_source_id"`
			Archived bool
		} `json:"event_sources"`
	}
	require.Empty(t, get[sources](s, 200, "/api/v1/event-sources").EventSources)
	call[sources](s, 200, http.MethodPut, "/api/v1/event-sources/my-shop", "")
	status, _ := s.send(capiPath, logEvents("1", lead("1")))
	require.Equal(t, 200, status)
	archived := call[sources](s, 200, http.MethodDelete, "/api/v1/event-sources/my-shop", "").EventSources
	require.Len(t, archived, 1)
	require.True(t, archived[0].Archived)
	status, body := s.send(capiPath, logEvents("2", lead("2")))
	require.Equal(t, 400, status)
	require.Contains(t, body, "REFERENCE_NOT_FOUND")
	call[sources](s, 200, http.MethodPut, "/api/v1/event-sources/other?advertiser=12345", "")
	require.Len(t, get[sources](s, 200, "/api/v1/event-sources?advertiser=12345").EventSources, 2)
	require.Len(t, get[sources](s, 200, "/api/v1/event-sources").EventSources, 1)
}

// TestReceiver_withoutKey checks that no response of the receiver contains the
// API key.
func TestReceiver_withoutKey(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, body := range []string{purchase("order-1"), purchase(key), `{"key":"` + key + `"`} {
		s.request(http.MethodPost, ecapiPath+"?key="+key, body, func(req *http.Request) {
			req.Header.Set("Authorization", "Bearer "+key)
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("X-Api-Key", key)
		})
	}
	for _, path := range []string{"/api/v1/events?kind=all", "/api/v1/events/1", "/api/v1/events/2", "/api/v1/events/3"} {
		status, text := s.request(http.MethodGet, path, "")
		require.Equal(t, 200, status)
		require.NotContains(t, text, key, path)
	}
}
