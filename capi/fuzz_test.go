package capi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/rawjson"
)

// Fuzz tests of the responses of platforms and of the events that queues and
// applications pass.

// responses is a transport that returns the same response to every request.
type responses struct {
	status int
	body   []byte
}

func (a responses) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(a.body)), Request: r}, nil
}

// fuzzedMembers returns the members of a response, as a generic decoder reads
// them.
func fuzzedMembers(body []byte) []map[string]any {
	top, ok := decodedObject(body)
	if !ok {
		return nil
	}
	if data, ok := top["data"].(map[string]any); ok {
		return []map[string]any{top, data}
	}
	return []map[string]any{top}
}

func decodedObject(body []byte) (map[string]any, bool) {
	parsed, err := rawjson.Decode(body)
	top, ok := parsed.(map[string]any)
	return top, err == nil && ok
}

// mentionsError reports whether a response has an error with any content.
func mentionsError(body []byte) bool {
	says := func(v any) bool {
		_, isObject := v.(map[string]any)
		text, _ := v.(string)
		return isObject || text != ""
	}
	for _, object := range fuzzedMembers(body) {
		list, _ := object["errors"].([]any)
		if says(object["error"]) || slices.ContainsFunc(list, says) {
			return true
		}
	}
	return false
}

// FuzzResponse sends events to platforms with arbitrary responses.
func FuzzResponse(f *testing.F) {
	for _, body := range []string{
		``, `{}`, `null`, `[]`, `"x"`, `{`, `<html>`, `{"events_received":3,"events_processed":3,"match_quality":0.5}`,
		`{"events_received":1,"events_processed":0}`, `{"data":{"events_received":3,"partial_failures":[{"event_id":"b","code":"X","message":"no"}]}}`,
		`{"partial_failures":[{"event_id":"b","code":"DUPLICATE_EVENT"},{"event_id":"zz"},{"code":"X","field":"/events/0/event_type"},3]}`,
		`{"errors":[{"code":"VALIDATION_ERROR","field":"/events/1/event_type","recovery":"correctable"}]}`,
		`{"errors":[{"code":"RATE_LIMITED","retry_after":1e308}]}`, `{"data":null,"error":{"code":"REFERENCE_NOT_FOUND","field":"event_source_id"}}`,
		`{"error":"user@example.com","message":"user@example.com 4915112345678"}`, `{"warnings":["a@b.c",{"message":"x@y.z"},7]}`,
		`{"errors":[{"code":"DUPLICATE"}]}`, `{"errors":{"code":"X"}}`, `{"errors":[],"error":""}`, `{"match_quality":"1e999"}`,
		`{"errors":[{"issues":[{"pointer":"/events/99999999999/x"},"events[2].x is bad"],"details":{"path":["events",1]}}]}`,
	} {
		for _, status := range []int{200, 204, 302, 400, 401, 409, 413, 429, 503} {
			f.Add(status, []byte(body), 3)
		}
	}
	dialects := []Dialect{ECAPI{DataSetID: "ds_1"}, LogEvent{EventSourceID: "shop"}, LogEvent{EventSourceID: "shop", AdvertiserID: "a"}}
	at := time.Date(2024, time.November, 23, 10, 15, 30, 0, time.UTC)
	click := clickid.Click{ID: "abc", Param: "clkid", At: at, Expires: at.Add(time.Hour)}
	f.Fuzz(func(t *testing.T, status int, body []byte, count int) {
		if status < 200 || status > 599 || count < 1 || count > 5 {
			return
		}
		success := status < 300
		for _, dialect := range dialects {
			r, refusal := received{status: status, header: http.Header{}, body: body, events: count, now: at}.read(dialect)
			if (r == nil) == (refusal == nil) {
				t.Fatal("a response is an acceptance or a refusal")
			}
			if !success && (refusal == nil || refusal.status != status || refusal.retryAfter < 0) {
				t.Fatalf("status %d is not a success: %v", status, refusal)
			}
			if success && dialect.respondsPerEvent() && refusal == nil && mentionsError(body) {
				t.Fatalf("an error was read as an acceptance: %s", body)
			}
			if success && !dialect.respondsPerEvent() && refusal != nil && refusal.problem == "" {
				t.Fatalf("a 2xx fails over its body: %s", body)
			}
		}
		events := make([]clickid.Event, count)
		for i := range events {
			events[i] = clickid.Event{Type: clickid.Purchase, ID: string(rune('a' + i)), Time: at, Click: click}
		}
		for _, dialect := range dialects {
			client, err := New(Config{
				APIKey: "scope3_x", Dialect: dialect, Retry: Retry{Attempts: 1}, RateLimit: RateLimit{Requests: unlimited},
				HTTPClient: &http.Client{Transport: responses{status, body}}, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			report, err := client.Send(context.Background(), events...)
			checkFuzzedReport(t, dialect, status, body, events, report, err)
		}
	})
}

// checkFuzzedReport checks that the verdicts follow from the response and that
// the report repeats nothing personal from it.
func checkFuzzedReport(t *testing.T, dialect Dialect, status int, body []byte, events []clickid.Event, report clickid.Report, err error) {
	t.Helper()
	success := status < 300 && !(dialect.respondsPerEvent() && mentionsError(body))
	said := strings.Join(report.Warnings, "\n")
	failed := false
	for i, result := range report.Results {
		if result.Type != events[i].Type || result.ID != events[i].ID {
			t.Fatalf("result %d is of another event: %+v", i, result)
		}
		if (result.Err != nil) != (result.Verdict == clickid.VerdictRejected || result.Verdict == clickid.VerdictFailed) {
			t.Fatalf("the verdict %v comes with %v", result.Verdict, result.Err)
		}
		failed = failed || result.Err != nil
		duplicate := bytes.Contains(bytes.ToUpper(body), []byte("DUPLICATE")) || bytes.Contains(bytes.ToUpper(body), []byte("ALREADY_EXISTS")) ||
			bytes.Contains(body, []byte(`\u`))
		if result.Verdict == clickid.VerdictAccepted && !success && !duplicate {
			t.Fatalf("accepted after status %d: %s", status, body)
		}
		if dialect.respondsPerEvent() && result.Verdict == clickid.VerdictAccepted && !duplicate && namedAsFailed(body, result.ID) {
			t.Fatalf("accepted, but the response names it: %s", body)
		}
		if result.Verdict != clickid.VerdictAccepted && result.Verdict != clickid.VerdictRejected && result.Verdict != clickid.VerdictFailed {
			t.Fatalf("the verdict is %v", result.Verdict)
		}
		said += result.Reason
		if result.Err != nil {
			said += result.Err.Error()
		}
	}
	if len(report.Results) != len(events) || (err != nil) != failed {
		t.Fatalf("%d results and the error %v", len(report.Results), err)
	}
	if strings.Contains(said, "@") {
		t.Fatalf("the platform's text was repeated: %s", said)
	}
}

// namedAsFailed reports whether a success names the event in its partial
// failures.
func namedAsFailed(body []byte, id string) bool {
	objects := fuzzedMembers(body)
	if len(objects) == 0 {
		return false
	}
	list, _ := objects[len(objects)-1]["partial_failures"].([]any)
	for _, element := range list {
		if failure, ok := element.(map[string]any); ok && failure["event_id"] == id {
			return true
		}
	}
	return false
}

// FuzzEventJSON reads events as a queue returns them.
func FuzzEventJSON(f *testing.F) {
	at := time.Date(2024, time.November, 23, 10, 15, 30, 123, time.FixedZone("", 3600))
	whole, err := json.Marshal(clickid.Event{
		Type: clickid.Purchase, ID: "1", Time: at, Value: clickid.Minor(14999, "USD"), Source: clickid.SourceWebsite,
		Click:      clickid.Click{ID: "abc", Param: "clkid", At: at, Expires: at.Add(time.Hour)},
		ClickToken: "token", User: clickid.User{ExternalID: "u", IDs: []clickid.UserID{clickid.RampID("r")}, GPPSections: []int{7}}, OrderID: "2",
		Items: []clickid.Item{{ID: "i", Quantity: 2, Price: clickid.Decimal("0.10", "USD")}}, PageURL: "https://shop.example/", CustomName: "c",
		Properties: map[string]any{"n": 1.50, "list": []any{"a", nil, true}}, Consent: clickid.ConsentGranted, Keys: []clickid.Key{clickid.OrderKey("2")},
	})
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{
		string(whole), `{}`, `null`, `[]`, `{"value":{"number":1e5,"currency":"USD"}}`, `{"value":null,"time":"0000-01-01T00:00:00Z"}`,
		`{"properties":{"n":123456789012345678901234567890.10,"e":1E400}}`, `{"keys":[""]}`, `{"keys":["zz"]}`, `{"consent":"denied"}`, `{"consent":7}`,
		`{"id":"\ud800","time":"2024-11-23T10:15:30.5+23:59"}`, `{"click":{"at":"x"}}`, `{"type":"purchase","Type":"lead"}`,
	} {
		f.Add([]byte(text))
	}
	var clients []*Client
	for _, dialect := range []Dialect{ECAPI{DataSetID: "ds_1"}, LogEvent{EventSourceID: "shop"}} {
		client, err := New(Config{APIKey: "scope3_x", Dialect: dialect})
		if err != nil {
			f.Fatal(err)
		}
		clients = append(clients, client)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var e clickid.Event
		if err := json.Unmarshal(data, &e); err != nil {
			return
		}
		queued, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("an event that was read cannot be written: %v", err)
		}
		var again clickid.Event
		if err := json.Unmarshal(queued, &again); err != nil {
			t.Fatalf("%s cannot be read: %v", queued, err)
		}
		same, err := json.Marshal(again)
		if err != nil || !bytes.Equal(same, queued) {
			t.Fatalf("%s became %s: %v", queued, same, err)
		}
		for _, client := range clients {
			o := &outgoing{result: &clickid.Result{}}
			(&preparer{Client: client}).prepare(context.Background(), &again, o)
			result, wire := *o.result, o.wireEvent
			if result.Verdict == clickid.VerdictReady && !json.Valid(wire.data) {
				t.Fatalf("%s is sent as %s", queued, wire.data)
			}
			if (result.Err != nil) != (result.Verdict == clickid.VerdictRejected || result.Verdict == clickid.VerdictFailed) {
				t.Fatalf("the verdict %v comes with %v", result.Verdict, result.Err)
			}
		}
	})
}
