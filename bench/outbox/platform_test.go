// Package outbox measures the cost of the River outboxes for an order, and
// their throughput.
package outbox_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
)

// platform accepts or refuses every event after a delay. It does as little work as
// possible, so that the benchmark measures the sender.
type platform struct {
	*httptest.Server
	latency  time.Duration
	refuses  atomic.Bool // every event
	events   atomic.Int64
	requests atomic.Int64
	arrived  chan struct{} // one value for every request
}

func newPlatform(b *testing.B, latency time.Duration) *platform {
	b.Helper()
	p := &platform{latency: latency, arrived: make(chan struct{}, 1<<20)}
	p.Server = httptest.NewServer(p)
	b.Cleanup(p.Close)
	return p
}

func (p *platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	events := bytes.Count(body, []byte(`"event_id":`))
	time.Sleep(p.latency)
	w.Header().Set("Content-Type", "application/json")
	if p.refuses.Load() {
		refuse(w, body)
	} else {
		fmt.Fprintf(w, `{"events_received":%d,"events_processed":%d}`, events, events)
	}
	p.events.Add(int64(events))
	p.requests.Add(1)
	p.arrived <- struct{}{}
}

var eventID = regexp.MustCompile(`"event_id":("[^"]*")`)

// refuse responds with a failure for each event.
func refuse(w io.Writer, body []byte) {
	var failures []string
	for _, found := range eventID.FindAllSubmatch(body, -1) {
		failures = append(failures, fmt.Sprintf(`{"event_id":%s,"code":"INVALID_VALUE","message":"invalid"}`, found[1]))
	}
	fmt.Fprintf(w, `{"events_received":%d,"partial_failures":[%s]}`, len(failures), strings.Join(failures, ","))
}

// await waits until a number of events has arrived.
func (p *platform) await(b *testing.B, events int) {
	b.Helper()
	for p.events.Load() < int64(events) {
		select {
		case <-p.arrived:
		case <-time.After(2 * time.Minute):
			b.Fatalf("%d of %d events arrived", p.events.Load(), events)
		}
	}
}

// client returns a client of the platform without the published rate limits.
func (p *platform) client(b *testing.B) *capi.Client {
	b.Helper()
	client, err := capi.New(capi.Config{
		APIKey:    "scope3_bench",
		BaseURL:   p.URL,
		Dialect:   capi.LogEvent{EventSourceID: "shop"},
		RateLimit: capi.RateLimit{Requests: -1},
	})
	if err != nil {
		b.Fatal(err)
	}
	return client
}

// conversion returns the purchase of an order.
func conversion(order string) clickid.Event {
	return clickid.Event{
		Type: clickid.Purchase, ID: order, Time: time.Now(), Value: clickid.Minor(14999, "USD"),
		Source: clickid.SourceWebsite, PageURL: "https://shop.example/checkout/thanks",
		Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid", At: time.Now()},
		User:  clickid.User{ExternalID: "c-" + order},
		Items: []clickid.Item{{ID: "sku-1", Quantity: 1, Price: clickid.Minor(9999, "USD")}, {ID: "sku-2", Quantity: 2, Price: clickid.Minor(2500, "USD")}},
	}
}
