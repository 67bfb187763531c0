package interchange_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid/interchange"
)

// FuzzResponse reads any response with every call. No call may panic. A failure
// is an *Error that prints nothing of the response. A success has the
// documented fields.
func FuzzResponse(f *testing.F) {
	for _, body := range []string{
		`{"data":{"id":"1","company":"c"}}`,
		`{"event_sources":[{"event_source_id":"shop","action":"created","setup":{"snippet_type":"a","instructions":"b"}}]}`,
		`{"event_sources":[{"event_source_id":"shop","action":"failed","error":{"code":"C","details":{"issues":[{"path":["a",1]}]}}}]}`,
		`{"eventSources":[{"eventSourceId":"a","eventTypes":null,"mapping":{"notes":"n"},"health":{"status":"receiving","lastEventAt":"2026-03-27T14:00:00Z"}}],"total":1}`,
		`{"periodStart":"2026-03-27T14:00:00Z","entries":[{"eventHour":"2026-03-27T14:00:00Z","eventType":"conversion","eventCount":1}],"totalEventCount":1}`,
		`{"data":null,"error":{"code":"VALIDATION_ERROR","field":"secret@example.com","details":{"issues":[{"path":"a.b"}]}}}`,
		`{"error":"secret@example.com"}`, `<html>secret@example.com`, `[]`, ``, `{"data":`, `{"errors":[null,1,{"code":{}}]}`,
		`{"entries":[{"eventHour":"2026-03-27T14:00:00Z","eventCount":-1}]}`, `{"eventSources":[{"eventSourceId":"a"}],"total":1e99}`,
	} {
		for _, status := range []int{200, 204, 302, 400, 401, 500} {
			f.Add(status, body, "5")
		}
	}
	f.Fuzz(func(t *testing.T, status int, body, remaining string) {
		if status < 200 || status > 599 || status == 429 {
			return // net/http handles the former; 429 waits
		}
		c, p := clientOf(t, reply(status, body, "RateLimit-Remaining: "+remaining))
		ctx := context.Background()
		check := func(err error) bool {
			if err == nil {
				if status > 299 {
					t.Fatalf("status %d is a success", status)
				}
				return true
			}
			var e *interchange.Error
			if !errors.As(err, &e) && !strings.Contains(err.Error(), "does not mention it") {
				t.Fatalf("not an *Error: %v", err)
			}
			if printed := fmt.Sprintf("%v %#v", err, err); strings.Contains(printed, "secret@example.com") {
				t.Fatalf("a value is printed: %s", printed)
			}
			return false
		}
		if a, err := c.Account(ctx); check(err) && a.ID == "" {
			t.Fatal("an account without an ID")
		}
		results, err := c.Sync(ctx, interchange.EventSource{ID: "shop"})
		if check(err) && (len(results) == 0 || results[0].ID != "shop" || results[0].Action == interchange.ActionFailed) {
			t.Fatalf("not registered: %+v", results)
		}
		sources, err := c.EventSources(ctx)
		if check(err) {
			seen := make(map[string]bool)
			for _, s := range sources {
				if s.ID == "" || seen[s.ID] {
					t.Fatalf("an event source without an ID, or twice: %+v", sources)
				}
				seen[s.ID] = true
			}
		}
		summary, err := c.Summary(ctx, interchange.SummaryQuery{})
		if check(err) {
			for _, h := range summary.Hours {
				if h.Hour.IsZero() || h.Count < 0 {
					t.Fatalf("a count of no hour, or below zero: %+v", h)
				}
			}
		}
		if p.count() > 6 {
			t.Fatalf("%d requests", p.count())
		}
	})
}

// FuzzRateLimit reads any rate limit headers. Nothing may panic, and a call
// with a deadline returns.
func FuzzRateLimit(f *testing.F) {
	f.Add(200, "0", "30", "")
	f.Add(429, "-1", "1774620030", "20")
	f.Add(200, "99999999999999999999", "NaN", "Inf")
	f.Add(200, "1", "1e300", "Fri, 27 Mar 2026 14:00:00 GMT")
	f.Fuzz(func(t *testing.T, status int, remaining, reset, retryAfter string) {
		if status < 200 || status > 599 {
			return
		}
		c, p := clientOf(t, reply(status, `{"id":"1"}`, "RateLimit-Remaining: "+remaining, "RateLimit-Reset: "+reset, "Retry-After: "+retryAfter))
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		_, _ = c.Account(ctx)
		if p.count() == 0 && ctx.Err() == nil { // else the machine was too busy for the call
			t.Fatal("the first call waits for a limit that no response has set")
		}
		for range 2 {
			_, _ = c.Account(ctx)
		}
	})
}
