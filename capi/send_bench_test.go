package capi_test

import (
	"context"
	"fmt"
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

// benchPlatform accepts everything in the process.
type benchPlatform struct{ latency time.Duration }

func (p benchPlatform) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, err
	}
	if p.latency > 0 {
		time.Sleep(p.latency)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(`{"events_received":10000,"events_processed":10000}`)),
	}, nil
}

func benchClient(b *testing.B, latency time.Duration) *capi.Client {
	b.Helper()
	client, err := capi.New(capi.Config{
		APIKey: testKey, Dialect: logEvent, HTTPClient: &http.Client{Transport: benchPlatform{latency}}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	return client
}

func benchEvents(n int) []clickid.Event {
	events := make([]clickid.Event, n)
	for i := range events {
		events[i] = purchase(fmt.Sprint("order-", i))
		events[i].Value = clickid.Minor(14999, "USD")
		events[i].Source = clickid.SourceWebsite
		events[i].Items = []clickid.Item{{ID: "sku-1", Quantity: 2, Price: clickid.Minor(4999, "USD")}, {ID: "sku-2", Quantity: 1, Price: clickid.Minor(5001, "USD")}}
		events[i].PageURL = "https://shop.example/thanks"
	}
	return events
}

// BenchmarkClient_Send sends 20,000 events in one call, in memory.
func BenchmarkClient_Send(b *testing.B) {
	client, events := benchClient(b, 0), benchEvents(20_000)
	b.ReportAllocs()
	for b.Loop() {
		report, err := client.Send(context.Background(), events...)
		if err != nil || !report.Accepted() {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(events)*b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkBatcher_Send lets callers send one event after the other to a
// platform that takes a millisecond.
func BenchmarkBatcher_Send(b *testing.B) {
	for _, callers := range []int{8, 64} {
		b.Run(fmt.Sprintf("%d callers", callers), func(b *testing.B) {
			batcher, err := capi.NewBatcher(benchClient(b, time.Millisecond), capi.BatcherConfig{})
			if err != nil {
				b.Fatal(err)
			}
			events := benchEvents(b.N)
			b.ReportAllocs()
			b.ResetTimer()
			var group sync.WaitGroup
			for caller := range callers {
				group.Add(1)
				go func() {
					defer group.Done()
					for i := caller; i < len(events); i += callers {
						if _, err := batcher.Send(context.Background(), events[i]); err != nil {
							b.Error(err)
						}
					}
				}()
			}
			group.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
