package outbox_test

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/bench/internal/ratio"
	"github.com/clickid/clickid/outbox"
)

var queued = flag.String("queued", "10000", "sizes of the queues of BenchmarkGrowth, such as 10000,300000,1000000")

// BenchmarkGrowth measures what an outbox costs while many events wait: the
// rate of storing them, the medians of orders without and with their conversion,
// of Stats, Find and Erase, and the rate of the first deliveries. Run it with
// -benchtime=1x.
func BenchmarkGrowth(b *testing.B) {
	bySize(b, *queued, ratio.NewTable("Growth", 2, "", "waiting events", "with its conversion ÷ an order", "an order", "with its conversion", "stored per second", "delivered per second",
		"`Stats`", "`Find`", "`Erase`"), benchmarkGrowth)
}

func benchmarkGrowth(b *testing.B, setup setup, events int) []any {
	ctx := context.Background()
	p := newPlatform(b, latency)
	s := setup.open(b, outbox.Config{Destination: p.client(b)}, 0)
	began := time.Now()
	s.fill(b, "backlog", events, 2)
	stored := float64(events) / time.Since(began).Seconds()

	var took [2][]time.Duration // without and with the conversion
	for i := range 200 {
		for n, prefix := range []string{"bare-", "order-"} {
			began := time.Now()
			if err := s.order(ctx, fmt.Sprint(prefix, i), n == 1); err != nil {
				b.Fatal(err)
			}
			took[n] = append(took[n], time.Since(began))
		}
	}
	without, with := ratio.Percentile(took[0], 50), ratio.Percentile(took[1], 50)
	stats, find, erase := s.medianCalls(b, "backlog", events, outbox.StateQueued, func(id string) clickid.Key { return clickid.CustomerKey("c-" + id) })

	began = time.Now()
	s.start(b)
	p.await(b, min(events/2, 20_000))
	delivered := float64(p.events.Load()) / time.Since(began).Seconds()
	return []any{with.Seconds() / without.Seconds(), without, with, stored, delivered, stats, find, erase}
}
