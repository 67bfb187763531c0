package clickidtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/stretchr/testify/require"
)

const (
	accountPath = "/api/v2/accounts/current"
	sourcesPath = "/api/v2/buyer/advertisers/adv_test/event-sources"
	syncPath    = sourcesPath + "/sync"
	summaryPath = "/api/v2/buyer/advertisers/adv_test/events/summary"
)

// manage sends a request of the management API. A body makes it a POST.
func manage(r *clickidtest.Receiver, target, body string) *httptest.ResponseRecorder {
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+clickidtest.APIKey)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return serve(r, req)
}

// logTo sends log_event with an idempotency key of its own.
func logTo(r *clickidtest.Receiver, path, body string) *httptest.ResponseRecorder {
	key := fmt.Sprintf("0123456789abcdef-%d", len(r.Requests()))
	return manage(r, path, strings.Replace(body, idempotencyKey, key, 1))
}

func syncOf(sources ...string) string {
	return `{"account":{"account_id":"adv_test"},"event_sources":[` + strings.Join(sources, ",") + `]}`
}

func TestReceiver_managementAccess(t *testing.T) {
	t.Parallel()
	valid := syncOf(`{"event_source_id":"shop"}`)
	for _, tt := range []struct {
		rule, method, target, body string
		edit                       func(*http.Request)
		want                       int
	}{
		{"the account of the key", "GET", accountPath, "", nil, 200},
		{"the list", "GET", sourcesPath, "", nil, 200},
		{"the summary", "GET", summaryPath, "", nil, 200},
		{"a sync", "POST", syncPath, valid, nil, 200},
		{"a wrong key", "GET", accountPath, "", func(r *http.Request) { r.Header.Set("Authorization", "Bearer scope3_other") }, 401},
		{"no key", "GET", summaryPath, "", func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		{"another advertiser", "GET", strings.Replace(sourcesPath, "adv_test", "other", 1), "", nil, 403},
		{"no advertiser", "GET", strings.Replace(sourcesPath, "adv_test", "", 1), "", nil, 404},
		{"another path", "GET", sourcesPath + "/shop", "", nil, 404},
		{"GET of a sync", "GET", syncPath, "", nil, 405},
		{"POST of the list", "POST", sourcesPath, valid, nil, 405},
		{"a sync that is not JSON", "POST", syncPath, valid, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415},
		{"a list with a body", "GET", sourcesPath, "{}", nil, 400},
		{"an account with a parameter", "GET", accountPath + "?take=1", "", nil, 400},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			req := httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body))
			req.Header.Set("Authorization", "Bearer "+clickidtest.APIKey)
			if tt.method == http.MethodPost {
				req.Header.Set("Content-Type", "application/json")
			}
			if tt.edit != nil {
				tt.edit(req)
			}
			require.Equal(t, tt.want, serve(clickidtest.New(clickidtest.Config{}), req).Code)
		})
	}
}

func TestReceiver_syncContract(t *testing.T) {
	t.Parallel()
	text := func(n int) string { return strings.Repeat("x", n) }
	full := `{"event_source_id":"shop","name":"Shop","event_types":["purchase","refund"],"allowed_domains":["shop.example"],
		"integration_platform":"own","test_event_code":"T1","value_currencies":["USD"],
		"mapping":{"eventIdField":"a","eventTypeField":"b","eventTimeField":"c","userMatchFields":["sc3clid"],"valueField":"d",
		"currencyField":"e","orderIdField":"f","contentIdsField":"g","consentField":"h","dedupeStrategy":"i","notes":"j"}}`
	many := func(n int) string {
		var sources []string
		for i := range n {
			sources = append(sources, fmt.Sprintf(`{"event_source_id":"s%d"}`, i))
		}
		return syncOf(sources...)
	}
	for name, tt := range map[string]struct {
		body, field string // field "" means that it is valid
	}{
		"every member":        {syncOf(full), ""},
		"the least":           {syncOf(`{"event_source_id":"s"}`), ""},
		"50 sources":          {many(50), ""},
		"51 sources":          {many(51), "/event_sources"},
		"no sources":          {syncOf(), "/event_sources"},
		"no account":          {`{"event_sources":[{"event_source_id":"s"}]}`, "/account"},
		"another account":     {strings.Replace(syncOf(`{"event_source_id":"s"}`), "adv_test", "adv_2", 1), "/account/account_id"},
		"no list":             {`{"account":{"account_id":"adv_test"}}`, "/event_sources"},
		"delete_missing":      {strings.Replace(syncOf(`{"event_source_id":"s"}`), `{"account"`, `{"delete_missing":"no","account"`, 1), "/delete_missing"},
		"unknown member":      {strings.Replace(syncOf(`{"event_source_id":"s"}`), `{"account"`, `{"mode":"all","account"`, 1), "/mode"},
		"no ID":               {syncOf(`{"name":"s"}`), "/event_sources/0/event_source_id"},
		"long ID":             {syncOf(`{"event_source_id":"` + text(256) + `"}`), "/event_sources/0/event_source_id"},
		"the same ID twice":   {syncOf(`{"event_source_id":"s"}`, `{"event_source_id":"s"}`), "/event_sources/1/event_source_id"},
		"long name":           {syncOf(`{"event_source_id":"s","name":"` + text(256) + `"}`), "/event_sources/0/name"},
		"unknown type":        {syncOf(`{"event_source_id":"s","event_types":["bought"]}`), "/event_sources/0/event_types/0"},
		"a URL as a domain":   {syncOf(`{"event_source_id":"s","allowed_domains":["https://shop.example"]}`), "/event_sources/0/allowed_domains/0"},
		"long platform":       {syncOf(`{"event_source_id":"s","integration_platform":"` + text(129) + `"}`), "/event_sources/0/integration_platform"},
		"long test code":      {syncOf(`{"event_source_id":"s","test_event_code":"` + text(257) + `"}`), "/event_sources/0/test_event_code"},
		"a currency":          {syncOf(`{"event_source_id":"s","value_currencies":["usd"]}`), "/event_sources/0/value_currencies/0"},
		"unknown mapping":     {syncOf(`{"event_source_id":"s","mapping":{"valueFields":"v"}}`), "/event_sources/0/mapping/valueFields"},
		"long mapping":        {syncOf(`{"event_source_id":"s","mapping":{"valueField":"` + text(257) + `"}}`), "/event_sources/0/mapping/valueField"},
		"long match field":    {syncOf(`{"event_source_id":"s","mapping":{"userMatchFields":["` + text(257) + `"]}}`), "/event_sources/0/mapping/userMatchFields/0"},
		"long strategy":       {syncOf(`{"event_source_id":"s","mapping":{"dedupeStrategy":"` + text(1025) + `"}}`), "/event_sources/0/mapping/dedupeStrategy"},
		"long notes":          {syncOf(`{"event_source_id":"s","mapping":{"notes":"` + text(2049) + `"}}`), "/event_sources/0/mapping/notes"},
		"a member of a list":  {syncOf(`{"event_source_id":"s","eventTypes":["purchase"]}`), "/event_sources/0/eventTypes"},
		"a body that is list": {`[]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := clickidtest.New(clickidtest.Config{})
			resp := manage(r, syncPath, tt.body)
			if name == "a body that is list" {
				require.Equal(t, 400, resp.Code)
				return
			}
			if tt.field == "" {
				require.Equal(t, 200, resp.Code, resp.Body)
				return
			}
			require.Equal(t, 400, resp.Code)
			var body struct {
				Data  any
				Error struct {
					Code    string
					Field   string
					Details struct{ Issues []struct{ Path []any } }
				}
			}
			require.NoError(t, json.Unmarshal(resp.Body.Bytes(), &body))
			require.Equal(t, "VALIDATION_ERROR", body.Error.Code)
			require.Equal(t, tt.field, body.Error.Field)
			path := ""
			for _, part := range body.Error.Details.Issues[0].Path {
				path += fmt.Sprintf("/%v", part)
			}
			require.Equal(t, tt.field, path)
			require.Len(t, r.EventSources("adv_test"), 1, "nothing is registered")
		})
	}
}

func TestReceiver_syncedSources(t *testing.T) {
	t.Parallel()
	r := clickidtest.New(clickidtest.Config{})
	send := func(source string) int {
		body := strings.Replace(logEvent(minimalEvent("purchase", "1")), `"shop"`, `"`+source+`"`, 1)
		return logTo(r, interchangePath, body).Code
	}
	action := func(body string) string {
		resp := manage(r, syncPath, body)
		require.Equal(t, 200, resp.Code, resp.Body)
		var got struct {
			Data struct {
				EventSources []struct {
					ID     string `json:"event_source_id"`
					Action string
				} `json:"event_sources"`
			}
		}
		require.NoError(t, json.Unmarshal(resp.Body.Bytes(), &got))
		var actions []string
		for _, s := range got.Data.EventSources {
			actions = append(actions, s.ID+" "+s.Action)
		}
		return strings.Join(actions, ", ")
	}
	require.Equal(t, 400, send("app"), "it is not registered")
	require.Equal(t, "app created", action(syncOf(`{"event_source_id":"app"}`)))
	require.Equal(t, 200, send("app"))
	require.Equal(t, "app unchanged", action(syncOf(`{"event_source_id":"app"}`)))
	require.Equal(t, "app updated", action(syncOf(`{"event_source_id":"app","name":"App"}`)))
	require.Equal(t, 200, send("shop"), "it is not named, and stays")
	require.Equal(t, "app unchanged, shop deleted", action(strings.Replace(syncOf(`{"event_source_id":"app","name":"App"}`), `{"account"`, `{"delete_missing":true,"account"`, 1)))
	require.Equal(t, 400, send("shop"), "it is archived")
	require.Equal(t, 200, send("app"))
	sources := r.EventSources("adv_test")
	require.Len(t, sources, 2)
	require.True(t, sources[0].Archived)
	require.JSONEq(t, `{"event_source_id":"app","name":"App"}`, string(sources[1].Raw))
	require.Equal(t, "shop created", action(syncOf(`{"event_source_id":"shop"}`)))
	require.Equal(t, 200, send("shop"))
}

func TestReceiver_listParameters(t *testing.T) {
	t.Parallel()
	r := clickidtest.New(clickidtest.Config{})
	for query, want := range map[string]int{
		"": 200, "?take=250": 200, "?take=1&skip=0": 200, "?skip=1000": 200,
		"?take=0": 400, "?take=251": 400, "?take=": 400, "?take=ten": 400, "?skip=-1": 400, "?limit=1": 400, "?take=1&take=2": 400, "?%zz": 400,
	} {
		require.Equal(t, want, manage(r, sourcesPath+query, "").Code, query)
	}
}

func TestReceiver_summary(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 27, 14, 20, 0, 0, time.UTC)
	r := clickidtest.New(clickidtest.Config{Now: func() time.Time { return now }})
	var events []string
	for i, at := range []string{"2026-03-27T13:00:00Z", "2026-03-27T13:59:59Z", "2026-03-27T12:30:00Z", "2026-03-27T14:00:00Z"} {
		events = append(events, fmt.Sprintf(`{"event_id":"%d","event_type":"purchase","event_time":%q}`, i, at))
	}
	require.Equal(t, 200, logTo(r, interchangePath, logEvent(events...)).Code)
	for query, want := range map[string]string{
		"":                      `{"periodStart":"2026-03-27T13:00:00Z","periodEnd":"2026-03-27T14:00:00Z","entries":[{"eventHour":"2026-03-27T13:00:00Z","eventType":"conversion","eventCount":2}],"totalEventCount":2}`,
		"?eventType=click":      `{"periodStart":"2026-03-27T13:00:00Z","periodEnd":"2026-03-27T14:00:00Z","entries":[],"totalEventCount":0}`,
		"?eventType=conversion": `{"periodStart":"2026-03-27T13:00:00Z","periodEnd":"2026-03-27T14:00:00Z","entries":[{"eventHour":"2026-03-27T13:00:00Z","eventType":"conversion","eventCount":2}],"totalEventCount":2}`,
		"?startHour=2026-03-27T12:00:00Z&endHour=2026-03-27T15:00:00Z": `{"periodStart":"2026-03-27T12:00:00Z","periodEnd":"2026-03-27T15:00:00Z","entries":[
			{"eventHour":"2026-03-27T12:00:00Z","eventType":"conversion","eventCount":1},{"eventHour":"2026-03-27T13:00:00Z","eventType":"conversion","eventCount":2},
			{"eventHour":"2026-03-27T14:00:00Z","eventType":"conversion","eventCount":1}],"totalEventCount":4}`,
	} {
		resp := manage(r, summaryPath+query, "")
		require.Equal(t, 200, resp.Code, query)
		require.JSONEq(t, `{"data":`+want+`}`, resp.Body.String(), query)
	}
	for _, query := range []string{
		"?eventType=purchase", "?startHour=2026-03-27T12:00:00Z", "?endHour=2026-03-27T12:00:00Z",
		"?startHour=2026-03-27T12:30:00Z&endHour=2026-03-27T15:00:00Z", "?startHour=2026-03-27T12:00:00Z&endHour=2026-03-27T12:00:00Z",
		"?startHour=2026-03-27&endHour=2026-03-28",
	} {
		require.Equal(t, 400, manage(r, summaryPath+query, "").Code, query)
	}
}

func TestReceiver_health(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 27, 14, 20, 0, 0, time.UTC)
	r := clickidtest.New(clickidtest.Config{Now: func() time.Time { return now }})
	health := func() map[string]any {
		var got struct {
			Data struct {
				EventSources []struct{ Health map[string]any }
			}
		}
		require.NoError(t, json.Unmarshal(manage(r, sourcesPath, "").Body.Bytes(), &got))
		return got.Data.EventSources[0].Health
	}
	require.Equal(t, "not_seen", health()["status"])
	require.Nil(t, health()["lastEventAt"])
	require.Equal(t, 200, logTo(r, interchangePath, logEvent(minimalEvent("purchase", "1"))).Code)
	require.Equal(t, "receiving", health()["status"])
	require.Equal(t, "2024-11-23T10:15:30Z", health()["lastEventAt"])
	require.Equal(t, "2026-03-27T14:20:00Z", health()["lastEventReceivedAt"])
	require.Equal(t, "purchase", health()["lastEventType"])
	require.Equal(t, 400, logTo(r, capiPath, logEvent(minimalEvent("bought", "2"))).Code)
	require.Equal(t, "needs_attention", health()["status"])
	require.Contains(t, health()["lastError"], "event_type")
	require.Equal(t, "2026-03-27T14:20:00Z", health()["lastErrorAt"])
}
