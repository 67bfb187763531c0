package outbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid/bench/internal/ratio"
	"github.com/clickid/clickid/outbox"
)

func TestMain(m *testing.M) {
	slog.SetLogLoggerLevel(slog.LevelWarn) // River reports each migration
	os.Exit(ratio.Main(m))
}

const (
	visitors = 32  // that order at once
	bulk     = 500 // events of a Send
)

// peer is another library's way to store events durably.
type peer struct {
	name string
	// open returns a function that stores n events.
	open func(b *testing.B) func(n int)
}

// peers are the other libraries. Snowplow's needs cgo.
var peers []peer

// BenchmarkDurable stores orders with and without their conversions, each in a
// transaction of its own, one after the other and from many visitors. The last
// column is empty without cgo.
func BenchmarkDurable(b *testing.B) {
	table := ratio.NewTable("Durable", 1, "", "with its conversion ÷ the order", "32 orders at once", "the order", "with its conversion", "an event of Snowplow")
	for _, setup := range allShops {
		b.Run(setup.name, func(b *testing.B) {
			s := setup.open(b, outbox.Config{Destination: newPlatform(b, 0).client(b)}, 0)
			var number atomic.Int64
			store := func(converts bool) func() {
				return func() {
					if err := s.order(context.Background(), fmt.Sprint(number.Add(1)), converts); err != nil {
						b.Error(err)
					}
				}
			}
			variants := []ratio.Variant{
				ratio.Calls("the order", 1, store(false)),
				ratio.Calls("with its conversion", 1, store(true)),
				ratio.Calls("the order, at once", visitors, store(false)),
				ratio.Calls("with its conversion, at once", visitors, store(true)),
			}
			for _, p := range peers {
				variants = append(variants, ratio.Variant{Name: p.name, Run: p.open(b)})
			}
			r := ratio.Measure(b, variants...)
			cells := []any{setup.name, r[1].TimeOver(r[0]), r[3].TimeOver(r[2]), r[0].Call(50), r[1].Call(50)}
			for _, peer := range r[4:] {
				cells = append(cells, peer.Time())
			}
			table.Row(cells...)
		})
	}
}

// BenchmarkBulk stores 500 events with each Send. Snowplow's tracker, the first
// row, takes one event a call.
func BenchmarkBulk(b *testing.B) {
	table := ratio.NewTable("Bulk", 1, "", "Snowplow's time ÷ this", "500 events")
	var variants []ratio.Variant
	for _, p := range peers {
		store := p.open(b)
		variants = append(variants, ratio.Variant{Name: p.name, Run: func(n int) { store(n * bulk) }})
	}
	for _, setup := range allShops {
		s := setup.open(b, outbox.Config{Destination: newPlatform(b, 0).client(b)}, 0)
		var number int
		variants = append(variants, ratio.Variant{Name: setup.name, Run: repeat(func() {
			number++
			s.fill(b, fmt.Sprintf("%s-%d", setup.name, number), bulk, 1)
		})})
	}
	results := ratio.Measure(b, variants...)
	for _, r := range results {
		table.Row(r.Name, results[0].TimeOver(r), r.Time())
	}
}

// repeat returns a function that calls f n times.
func repeat(f func()) func(n int) {
	return func(n int) {
		for range n {
			f()
		}
	}
}

// BenchmarkIdleLatency measures the time from an order's commit to the
// platform's acceptance. The queue is empty, the last event was accepted 100 ms
// ago, and the platform responds at once.
func BenchmarkIdleLatency(b *testing.B) {
	table := ratio.NewTable("IdleLatency", 1, "", "median", "90 %")
	for _, setup := range allShops {
		b.Run(setup.name, func(b *testing.B) {
			p := newPlatform(b, 0)
			s := setup.open(b, outbox.Config{Destination: p.client(b)}, 0)
			s.start(b)
			s.fill(b, "warm", 1, 1)
			p.await(b, 1)
			var waits []time.Duration
			for i := range b.N {
				time.Sleep(100*time.Millisecond + time.Duration(i%7)*7*time.Millisecond) // at no fixed point of an interval
				if err := s.order(context.Background(), fmt.Sprintf("I-%d", i), true); err != nil {
					b.Fatal(err)
				}
				committed := time.Now()
				p.await(b, i+2)
				waits = append(waits, time.Since(committed))
			}
			table.Row(setup.name, ratio.Percentile(waits, 50), ratio.Percentile(waits, 90))
			b.ReportMetric(0, "ns/op")
		})
	}
}
