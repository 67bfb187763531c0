// Package platformtest provides an in-process platform for tests of requests
// and responses.
package platformtest

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
)

// Platform is an [http.RoundTripper] that stands in for the platform.
type Platform struct {
	// Respond returns the response to the n-th request, from 0.
	Respond func(n int, body []byte) (*http.Response, error)

	mu       sync.Mutex
	Requests []*http.Request
	Bodies   [][]byte
	Times    []time.Time
}

// Responding returns a platform with the responses in order. It repeats the
// last one.
func Responding(responses ...func() (*http.Response, error)) *Platform {
	return &Platform{Respond: func(n int, _ []byte) (*http.Response, error) {
		return responses[min(n, len(responses)-1)]()
	}}
}

// RoundTrip implements [http.RoundTripper].
func (p *Platform) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	n := len(p.Requests)
	p.Requests = append(p.Requests, r)
	p.Bodies = append(p.Bodies, body)
	p.Times = append(p.Times, time.Now())
	p.mu.Unlock()
	resp, err := p.Respond(n, body)
	if resp != nil {
		resp.Request = r
	}
	return resp, err
}

// Count returns the number of requests.
func (p *Platform) Count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.Requests)
}

// Reply returns a response. A header has the form "Name: value".
func Reply(status int, body string, headers ...string) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		header := http.Header{}
		for _, line := range headers {
			name, value, _ := strings.Cut(line, ": ")
			header.Set(name, value)
		}
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

// Broken returns an error instead of a response.
func Broken(err error) func() (*http.Response, error) {
	return func() (*http.Response, error) { return nil, err }
}

// OK accepts a request of any number of events.
func OK() func() (*http.Response, error) {
	return Reply(200, `{"events_received":10000,"events_processed":10000}`)
}

// Key is the API key of [NewClient].
const Key = "scope3_0123456789secret"

// Timeout and TotalTimeout are longer than the client's defaults, which a busy
// machine can exceed: large batches take seconds under the race detector.
const (
	Timeout      = time.Minute
	TotalTimeout = 5 * time.Minute
)

// NewClient returns a client of the platform p, with [Timeout] and
// [TotalTimeout].
func NewClient(t testing.TB, p *Platform, d capi.Dialect, edits ...func(*capi.Config)) *capi.Client {
	t.Helper()
	cfg := capi.Config{
		APIKey: Key, Dialect: d, HTTPClient: &http.Client{Transport: p}, Logger: slog.New(slog.DiscardHandler),
		Timeout: Timeout, TotalTimeout: TotalTimeout,
	}
	for _, edit := range edits {
		edit(&cfg)
	}
	c, err := capi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Time is the time of every [Purchase].
var Time = time.Date(2024, time.November, 23, 10, 15, 30, 0, time.UTC)

// Click is the click of every [Purchase]. Its ID is the example of the
// platform's documentation.
var Click = clickid.Click{
	ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid",
	At: Time.Add(-time.Hour), Expires: Time.Add(24 * time.Hour),
}

// Purchase returns a complete minimal event.
func Purchase(id string) clickid.Event {
	return clickid.Event{Type: clickid.Purchase, ID: id, Time: Time, Click: Click}
}

// Verdicts returns the verdicts of a report.
func Verdicts(r clickid.Report) []clickid.Verdict {
	v := make([]clickid.Verdict, len(r.Results))
	for i, result := range r.Results {
		v[i] = result.Verdict
	}
	return v
}

// FullEvent returns an event with every field.
func FullEvent() clickid.Event {
	e := Purchase("order-1001")
	e.Value = clickid.Decimal("149.90", "USD")
	e.Source = clickid.SourceInStore
	e.User = clickid.User{
		ExternalID:  "customer-42",
		IDs:         []clickid.UserID{clickid.RampID("XY1000bIVBVah9ium"), clickid.ID5("ID5*abc"), {Type: clickid.UserIDUID2, Value: "uid2token"}},
		HashedEmail: "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514",
		HashedPhone: "7c8d08bf90ca322bcac37f99ba14e980e4b1f5ba919f7e16a030af9070ba125e",
		IP:          "203.0.113.7",
		UserAgent:   "Mozilla/5.0",
		GPP:         "DBAA",
		GPPSections: []int{7},
	}
	e.OrderID = "1001"
	e.Items = []clickid.Item{
		{ID: "sku-1", Name: "Boots", Brand: "Acme", Category: "Shoes", Quantity: 2, Price: clickid.Decimal("49.95", "USD")},
		{ID: "sku-2", Quantity: 1, Price: clickid.Minor(5000, "USD")},
	}
	e.PageURL = "https://shop.test/thanks?order=1001&email=x#top"
	e.Properties = map[string]any{"coupon": []string{"SPRING & CO"}, "tax": json.Number("12.40"), "content_name": "Boots <3", "first_order": true}
	return e
}

// Sent sends an event and returns it as it was sent.
func Sent(t testing.TB, d capi.Dialect, e clickid.Event, edits ...func(*capi.Config)) map[string]any {
	t.Helper()
	p := Responding(OK())
	if _, err := NewClient(t, p, d, edits...).Send(context.Background(), e); err != nil || p.Count() == 0 {
		t.Fatalf("%d requests, %v", p.Count(), err)
	}
	var body map[string]any
	if err := json.Unmarshal(p.Bodies[0], &body); err != nil {
		t.Fatal(err)
	}
	if events, ok := body["events"].([]any); ok {
		return events[0].(map[string]any)
	}
	return body
}
