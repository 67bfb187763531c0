package sending_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/bench/internal/ratio"
)

// refusal is how a platform refuses every event of a request.
type refusal struct {
	name   string
	status int
	body   func(orders []int) string
}

var refusals = []refusal{
	{"a failure for each", http.StatusOK, func(orders []int) string {
		return fmt.Sprintf(`{"events_received":%d,"events_processed":0,"partial_failures":[%s]}`, len(orders), each(orders, func(_, order int) string {
			return fmt.Sprintf(`{"event_id":%q,"code":"INVALID_VALUE","message":"invalid"}`, orderID(order))
		}))
	}},
	{"400 that names each", http.StatusBadRequest, func(orders []int) string {
		return fmt.Sprintf(`{"errors":[%s]}`, each(orders, func(i, _ int) string { return invalidEvent(i) }))
	}},
	{"400 that names one", http.StatusBadRequest, func([]int) string {
		return fmt.Sprintf(`{"errors":[%s]}`, invalidEvent(0))
	}},
}

func invalidEvent(i int) string {
	return fmt.Sprintf(`{"code":"INVALID_VALUE","message":"invalid","field":"/events/%d/event_time"}`, i)
}

func each(orders []int, element func(i, order int) string) string {
	list := make([]string, len(orders))
	for i, order := range orders {
		list[i] = element(i, order)
	}
	return strings.Join(list, ",")
}

// BenchmarkRefused sends 10,000 purchases, all of which the platform refuses, in
// calls of more and more events.
func BenchmarkRefused(b *testing.B) {
	const orders = 10_000
	table := ratio.NewTable("Refused", 1, "CPU", "calls of 1,000 ÷ calls of 100", "calls of 10,000 ÷ calls of 100", "calls of 100", "calls of 1,000", "calls of 10,000")
	for _, r := range refusals {
		b.Run(r.name, func(b *testing.B) {
			server := httptest.NewServer(r)
			defer server.Close()
			client, events := newClient(b, server.URL, logEvent, nil), purchases(orders)
			var variants []ratio.Variant
			for _, call := range []int{100, 1000, orders} {
				variants = append(variants, ratio.Variant{Name: fmt.Sprintf("calls of %d", call), Run: func(n int) {
					for range n {
						for first := 0; first < orders; first += call {
							sendRefused(b, client, events[first:first+call])
						}
					}
				}})
			}
			m := ratio.Measure(b, variants...)
			table.Row(r.name, m[1].CPUOver(m[0]), m[2].CPUOver(m[0]), m[0].CPU(), m[1].CPU(), m[2].CPU())
		})
	}
}

func sendRefused(b *testing.B, client clickid.Sender, events []clickid.Event) {
	b.Helper()
	report, _ := client.Send(context.Background(), events...)
	for _, result := range report.Results {
		if result.Verdict != clickid.VerdictRejected {
			b.Fatalf("%s is %v: %v", result.ID, result.Verdict, result.Err)
		}
	}
}

func (r refusal) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	orders, err := ordersOf(request)
	if err != nil {
		http.Error(w, "unreadable", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(r.status)
	_, _ = io.WriteString(w, r.body(orders))
}
