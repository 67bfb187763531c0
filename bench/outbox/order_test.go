package outbox_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/clickid/clickid/bench/internal/ratio"
	"github.com/clickid/clickid/outbox"
)

// BenchmarkOrder compares the order's transaction with and without its
// conversion, in an idle shop and during the delivery of a backlog. It
// alternates between both and prints the medians and their ratio.
func BenchmarkOrder(b *testing.B) {
	table := ratio.NewTable("Order", 1, "", "with its conversion ÷ the order", "the order", "with its conversion")
	for _, setup := range shops {
		for _, drains := range []bool{false, true} {
			name := setup.name + ", idle"
			if drains {
				name = setup.name + ", while a backlog drains"
			}
			b.Run(name, func(b *testing.B) {
				p := newPlatform(b, latency)
				s := setup.open(b, outbox.Config{Destination: p.client(b)}, 0)
				if drains {
					s.fill(b, "backlog", backlog, 1)
					s.start(b)
					p.await(b, 1)
				}
				took := make(map[bool][]time.Duration)
				b.ResetTimer()
				for i := range b.N {
					for _, converts := range []bool{false, true} {
						began := time.Now()
						if err := s.order(context.Background(), fmt.Sprintf("O-%d-%v", i, converts), converts); err != nil {
							b.Fatal(err)
						}
						took[converts] = append(took[converts], time.Since(began))
					}
				}
				b.StopTimer()
				if drains && p.events.Load() >= backlog {
					b.Log("the backlog ended before the orders: use a smaller -benchtime")
				}
				without, with := ratio.Percentile(took[false], 50), ratio.Percentile(took[true], 50)
				table.Row(name, with.Seconds()/without.Seconds(), without, with)
			})
		}
	}
}
