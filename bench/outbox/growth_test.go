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
// rate of storing them, the medians of orders without and with their conversion,
// of Stats, Find and Erase, and the rate of the first deliveries. Run it with
// -benchtime=1x.
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
	began := time.Now()
	s.fill(b, "backlog", events, 2)
	b.ReportMetric(float64(events)/time.Since(began).Seconds(), "stored/s")

	report := func(unit string, took []time.Duration) { b.ReportMetric(milliseconds(median(took)), unit) }
	timed := func(took *[]time.Duration, do func() error) {
		began := time.Now()
		if err := do(); err != nil {
			b.Fatal(err)
		}
		*took = append(*took, time.Since(began))
	}
	var without, with, stats, find, erase []time.Duration
	for i := range 200 {
		timed(&without, func() error { return s.order(ctx, fmt.Sprint("bare-", i), false) })
		timed(&with, func() error { return s.order(ctx, fmt.Sprint("order-", i), true) })
	}
	for i := range 7 {
		id := fmt.Sprint("backlog-", i*events/8)
		timed(&stats, func() error {
			_, err := s.outbox.Stats(ctx)
			return err
		})
		timed(&find, func() error {
			entries, err := s.outbox.Find(ctx, id)
			if err == nil && len(entries) != 1 {
				err = fmt.Errorf("%d entries", len(entries))
			}
			return err
		})
		timed(&erase, func() error {
			erased, err := s.outbox.Erase(ctx, clickid.CustomerKey("c-"+id))
			if err == nil && erased != 1 {
				err = fmt.Errorf("%d events were erased", erased)
			}
			return err
		})
	}
	report("ms/order", without)
	report("ms/converted-order", with)
	report("ms/Stats", stats)
	report("ms/Find", find)
	report("ms/Erase", erase)

	began = time.Now()
	s.start(b)
	p.await(b, min(events/2, 20_000))
	b.ReportMetric(float64(p.events.Load())/time.Since(began).Seconds(), "delivered/s")
	b.ReportMetric(0, "ns/op")
}
