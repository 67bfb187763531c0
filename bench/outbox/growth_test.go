package outbox_test

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
)

var queued = flag.String("queued", "10000", "sizes of the queues of BenchmarkGrowth, such as 10000,300000,1000000")

// BenchmarkGrowth measures what an outbox costs while many events wait: the
// medians of orders with their conversion, of Stats, Find and Erase, and the rate
// of the first deliveries. Run it with -benchtime=1x.
func BenchmarkGrowth(b *testing.B) {
	for _, setup := range allShops {
		for _, size := range strings.Split(*queued, ",") {
			events, err := strconv.Atoi(size)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(setup.name+"/"+size, func(b *testing.B) { benchmarkGrowth(b, setup, events) })
		}
	}
}

func benchmarkGrowth(b *testing.B, setup setup, events int) {
	ctx := context.Background()
	p := newPlatform(b, latency)
	s := setup.open(b, outbox.Config{Destination: p.client(b)}, 0)
	s.fill(b, "backlog", events)
	report := func(unit string, times int, do func(i int) error) {
		var took []time.Duration
		for i := range times {
			began := time.Now()
			if err := do(i); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(began))
		}
		b.ReportMetric(milliseconds(median(took)), unit)
	}
	report("ms/order", 200, func(i int) error { return s.order(ctx, fmt.Sprint("order-", i), true) })
	report("ms/Stats", 7, func(int) error {
		_, err := s.outbox.Stats(ctx)
		return err
	})
	report("ms/Find", 7, func(i int) error {
		entries, err := s.outbox.Find(ctx, fmt.Sprint("backlog-", i*events/8))
		if err == nil && len(entries) != 1 {
			err = fmt.Errorf("%d entries", len(entries))
		}
		return err
	})
	report("ms/Erase", 7, func(i int) error {
		erased, err := s.outbox.Erase(ctx, clickid.OrderKey(fmt.Sprint("backlog-", i*events/8)))
		if err == nil && erased != 1 {
			err = fmt.Errorf("%d events were erased", erased)
		}
		return err
	})
	first := int64(min(events/2, 5000))
	began := time.Now()
	s.start(b)
	p.await(b, int(first))
	b.ReportMetric(float64(p.events.Load())/time.Since(began).Seconds(), "delivered/s")
	b.ReportMetric(0, "ns/op")
}
