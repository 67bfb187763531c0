package clickidtest_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/clickid/clickid/clickidtest"
)

// FuzzReceiver sends arbitrary requests to the endpoints of both dialects. Each
// has a response in JSON, only a success counts events, a counted event has its
// own JSON, and the same request counts nothing a second time.
func FuzzReceiver(f *testing.F) {
	paths := []string{eventsPath, capiPath, interchangePath}
	for _, body := range []string{
		ecapiEvent("1"), logEvent(validEvent), logEvent(minimalEvent("lead", "1"), minimalEvent("lead", "1"), "{}"),
		"", "{", "null", "[]", `{"events":[]}`, `{"events":{}}`, logEvent("null"), logEvent(`{"event_id":1e400}`), `{"data_set_id":"ds_test","timestamp":1e18}`,
	} {
		for i := range paths {
			f.Add(uint8(i), []byte(body), "application/json", false)
		}
	}
	f.Add(uint8(1), []byte(logEvent(minimalEvent("lead", "1"), "{}")), "application/json; charset=utf-8", true)
	f.Add(uint8(0), []byte(ecapiEvent("1")), "text/plain", true)
	f.Fuzz(func(t *testing.T, path uint8, body []byte, kind string, lenient bool) {
		r := clickidtest.New(clickidtest.Config{IAB: lenient, PartialFailures: lenient})
		counted := 0
		for repetition := range 2 {
			req := mustRequest(paths[int(path)%len(paths)], string(body))
			req.Header.Set("Content-Type", kind)
			w := serve(r, req)
			if !json.Valid(w.Body.Bytes()) || w.Code != http.StatusOK && (w.Code < 400 || w.Code >= 500) {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			if w.Code != http.StatusOK && r.Count() != 0 {
				t.Fatalf("status %d counts %d events", w.Code, r.Count())
			}
			if repetition == 0 {
				counted = r.Count()
			}
		}
		for _, e := range r.Accepted() {
			if !json.Valid(e.Raw) || e.Type == "" {
				t.Fatalf("%+v is counted", e)
			}
			if e.ID == "" {
				return // ECAPI cannot know it again
			}
		}
		if len(r.Accepted()) != r.Count() || r.Count() != counted {
			t.Fatalf("%d events became %d", counted, r.Count())
		}
	})
}
