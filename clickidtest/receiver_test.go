package clickidtest_test

import (
	"net/http"
	"testing"

	"github.com/clickid/clickid/clickidtest"
	"github.com/stretchr/testify/require"
)

// bodies are valid requests for each path.
var bodies = map[string]string{
	eventsPath:      ecapiEvent("1"),
	capiPath:        logEvent(minimalEvent("purchase", "1")),
	interchangePath: logEvent(minimalEvent("purchase", "1")),
}

func TestReceiver_access(t *testing.T) {
	t.Parallel()
	header := func(name string, values ...string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Del(name)
			for _, value := range values {
				r.Header.Add(name, value)
			}
		}
	}
	tests := []struct {
		rule string
		edit func(*http.Request)
		want int
	}{
		{"as the contract has it", func(*http.Request) {}, 200},
		{"no API key", header("Authorization"), 401},
		{"an empty API key", header("Authorization", "Bearer "), 401},
		{"an unknown API key", header("Authorization", "Bearer scope3_other"), 401},
		{"only the prefix", header("Authorization", "Bearer scope3_"), 401},
		{"a key of another form", header("Authorization", "Bearer test"), 401},
		{"a key that begins with a known one", header("Authorization", "Bearer scope3_test2"), 401},
		{"the key without a scheme", header("Authorization", "scope3_test"), 401},
		{"another scheme", header("Authorization", "Basic scope3_test"), 401},
		{"two keys", header("Authorization", "Bearer scope3_test", "Bearer scope3_test"), 401},
		{"no content type", header("Content-Type"), 415},
		{"text", header("Content-Type", "text/plain"), 415},
		{"a form", header("Content-Type", "application/x-www-form-urlencoded"), 415},
		{"another JSON", header("Content-Type", "application/vnd.api+json"), 415},
		{"JSON in UTF-8", header("Content-Type", "application/json; charset=UTF-8"), 200},
		{"JSON in another charset", header("Content-Type", "application/json; charset=latin1"), 415},
		{"GET", func(r *http.Request) { r.Method = http.MethodGet }, 405},
		{"PUT", func(r *http.Request) { r.Method = http.MethodPut }, 405},
		{"another path", func(r *http.Request) { r.URL.Path = "/agentic/v2/events" }, 404},
		{"a trailing slash", func(r *http.Request) { r.URL.Path += "/" }, 404},
		{"a path below", func(r *http.Request) { r.URL.Path += "/x" }, 404},
		{"the wrong key outweighs the wrong content type", func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer scope3_other")
			r.Header.Set("Content-Type", "text/plain")
		}, 401},
	}
	for path, body := range bodies {
		for _, tt := range tests {
			t.Run(path+" "+tt.rule, func(t *testing.T) {
				t.Parallel()
				r := clickidtest.New(clickidtest.Config{})
				req := request(t, "", path, body)
				tt.edit(req)
				w := serve(r, req)
				require.Equal(t, tt.want, w.Code, w.Body)
				require.Equal(t, tt.want == 200, r.Count() == 1)
				require.Equal(t, "application/json", w.Header().Get("Content-Type"))
				if tt.want == 405 {
					require.Equal(t, "POST", w.Header().Get("Allow"))
				}
			})
		}
	}
}

func TestReceiver_malformedJSON(t *testing.T) {
	t.Parallel()
	for path := range bodies {
		for _, body := range []string{
			``, ` `, `{`, `{}}`, `{} {}`, `{"a":1,}`, `{'a':1}`, `{"a":NaN}`, `{"a":01}`, "\ufeff{}", "{\"a\":\"\xff\"}", `undefined`,
		} {
			w := serve(clickidtest.New(clickidtest.Config{}), request(t, "", path, body))
			require.Equal(t, 400, w.Code, body)
			require.Contains(t, w.Body.String(), "Invalid JSON payload", body)
		}
		for _, body := range []string{`[]`, `null`, `"x"`, `1`, `[` + ecapiEvent("1") + `]`} {
			w := serve(clickidtest.New(clickidtest.Config{}), request(t, "", path, body))
			require.Equal(t, 400, w.Code, body)
			require.NotContains(t, w.Body.String(), "Invalid JSON payload", body)
		}
	}
}

// Each endpoint words the same refusals in its own form.
func TestReceiver_responses(t *testing.T) {
	t.Parallel()
	anonymous := func(r *http.Request) { r.Header.Del("Authorization") }
	text := func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }
	same := func(*http.Request) {}
	tests := []struct {
		path, body string
		edit       func(*http.Request)
		want       string
	}{
		{eventsPath, ecapiEvent("1"), same, `{"status":"ok"}`},
		{eventsPath, `{`, same, `{"code":"BAD_REQUEST","error":"Invalid JSON payload"}`},
		{eventsPath, `{"data_set_id":"ds_test","event_type":"lead"}`, same, `{"code":"VALIDATION_ERROR","details":[{"field":"/timestamp","message":"is required"}],"error":"Validation error","field":"/timestamp","recovery":"correctable"}`},
		{eventsPath, `{}`, anonymous, `{"code":"UNAUTHORIZED","error":"Unauthorized"}`},
		{eventsPath, `{"data_set_id":"ds_other"}`, same, `{"code":"ACCESS_DENIED","error":"Access denied to dataset"}`},
		{eventsPath, `{}`, text, `{"code":"UNSUPPORTED_MEDIA_TYPE","error":"Content-Type must be application/json"}`},
		{capiPath, logEvent(minimalEvent("lead", "1")), same, `{"events_received":1,"events_processed":1,"partial_failures":[],"warnings":[],"match_quality":0}`},
		{capiPath, logEvent(validEvent), same, `{"events_received":1,"events_processed":1,"partial_failures":[],"warnings":[],"match_quality":1}`},
		{capiPath, `{`, same, `{"errors":[{"code":"BAD_REQUEST","message":"Invalid JSON payload"}]}`},
		{capiPath, logEvent(`{"event_id":"1","event_type":"x","event_time":"2024-11-23T10:15:30Z","a":1}`), func(r *http.Request) { r.Header.Set("Authorization", "bearer scope3_no") }, `{"errors":[{"code":"UNAUTHORIZED","message":"Unauthorized"}]}`},
		{capiPath, logEvent(`{"event_id":"1","event_type":"lead"}`), same, `{"errors":[{"code":"VALIDATION_ERROR","message":"/events/0/event_time is required","field":"/events/0/event_time","recovery":"correctable","issues":[{"field":"/events/0/event_time","message":"is required"}]}]}`},
		{capiPath, `{"event_source_id":"unregistered","idempotency_key":"0123456789abcdef","events":[{}]}`, same, `{"errors":[{"code":"REFERENCE_NOT_FOUND","message":"The event source is not registered","field":"/event_source_id","suggestion":"Register the event source first","recovery":"correctable"}]}`},
		{interchangePath, logEvent(minimalEvent("lead", "1")), same, `{"data":{"events_received":1,"events_processed":1,"partial_failures":[],"warnings":[],"match_quality":0}}`},
		{interchangePath, logEvent(`{"event_id":"1","event_type":"lead"}`), same, `{"data":null,"error":{"code":"VALIDATION_ERROR","message":"/events/0/event_time is required","field":"/events/0/event_time","recovery":"correctable","details":{"issues":[{"message":"is required","path":["events",0,"event_time"]}]}}}`},
		{"/api/v2/buyer/advertisers/adv_other/log-event", logEvent(validEvent), same, `{"data":null,"error":{"code":"ACCESS_DENIED","message":"Access denied to advertiser"}}`},
		{"/agentic/v1", `{}`, same, `{"code":"NOT_FOUND","error":"Not found"}`},
	}
	for _, tt := range tests {
		req := request(t, "", tt.path, tt.body)
		tt.edit(req)
		require.Equal(t, tt.want+"\n", serve(clickidtest.New(clickidtest.Config{}), req).Body.String())
	}
}

func TestReceiver_warnings(t *testing.T) {
	t.Parallel()
	body := logEvent(patched(t, minimalEvent("lead", "1"), `{"action_source":"website","custom_data":{"value":1}}`))
	w := serve(clickidtest.New(clickidtest.Config{}), request(t, "", capiPath, body))
	require.Contains(t, w.Body.String(), `"warnings":["/events/0 has a value without a currency","/events/0 has the action source website without an event_source_url"]`)
}

func TestConfig_accounts(t *testing.T) {
	t.Parallel()
	accounts := []clickidtest.Account{
		{APIKey: "scope3_a", DataSets: []string{"ds_a"}, EventSources: []string{"a"}},
		{APIKey: "scope3_b", DataSets: []string{"ds_b1", "ds_b2"}, EventSources: []string{clickidtest.Any}},
	}
	anyone := []clickidtest.Account{{APIKey: clickidtest.Any, DataSets: []string{clickidtest.Any}, Advertisers: []string{clickidtest.Any}}}
	event := func(dataSet string) string {
		return patched(t, ecapiEvent("1"), `{"data_set_id":"`+dataSet+`"}`)
	}
	source := func(id string) string {
		return patched(t, logEvent(validEvent), `{"event_source_id":"`+id+`"}`)
	}
	tests := []struct {
		accounts        []clickidtest.Account
		key, path, body string
		want            int
	}{
		{accounts, "scope3_a", eventsPath, event("ds_a"), 200},
		{accounts, "scope3_a", eventsPath, event("ds_b1"), 403},
		{accounts, "scope3_b", eventsPath, event("ds_b2"), 200},
		{accounts, "scope3_test", eventsPath, event("ds_test"), 401},
		{accounts, "scope3_a", capiPath, source("a"), 200},
		{accounts, "scope3_a", capiPath, source("b"), 400},
		{accounts, "scope3_b", capiPath, source("whatever"), 200},
		{accounts, "scope3_a", interchangePath, source("a"), 403},
		{anyone, "scope3_whatever", eventsPath, event("ds_whatever"), 200},
		{anyone, "whatever", eventsPath, event("ds_whatever"), 401},
		{anyone, "scope3_", eventsPath, event("ds_whatever"), 401},
		{anyone, "scope3_whatever", "/api/v2/buyer/advertisers/a/b/log-event", source("a"), 404},
		{anyone, "scope3_whatever", "/api/v2/buyer/advertisers//log-event", source("a"), 404},
		{anyone, "scope3_whatever", capiPath, source("a"), 400},
		{anyone, "scope3_whatever", interchangePath, source("a"), 400},
	}
	for _, tt := range tests {
		req := request(t, "", tt.path, tt.body)
		req.Header.Set("Authorization", "Bearer "+tt.key)
		w := serve(clickidtest.New(clickidtest.Config{Accounts: tt.accounts}), req)
		require.Equal(t, tt.want, w.Code, "%s %s %s", tt.key, tt.path, w.Body)
	}
}
