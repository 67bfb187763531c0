package outbox_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid/bench/internal/ratio"
	"github.com/clickid/clickid/outbox"
)

func TestMain(m *testing.M) { os.Exit(ratio.Main(m)) }

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
// transaction of its own, one after the other and from many visitors.
func BenchmarkDurable(b *testing.B) {
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
				ratio.Calls("order", 1, store(false)),
				ratio.Calls("with its conversion", 1, store(true)),
				ratio.Calls(fmt.Sprintf("order, %d at once", visitors), visitors, store(false)),
				ratio.Calls(fmt.Sprintf("with its conversion, %d at once", visitors), visitors, store(true)),
			}
			for _, p := range peers {
				variants = append(variants, ratio.Variant{Name: p.name, Run: p.open(b)})
			}
			ratio.Compare(b, variants...)
		})
	}
}

// BenchmarkBulk stores 500 events with each Send.
func BenchmarkBulk(b *testing.B) {
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
	ratio.Compare(b, variants...)
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
			slices.Sort(waits)
			b.ReportMetric(milliseconds(median(waits)), "ms-median")
			b.ReportMetric(milliseconds(waits[len(waits)*9/10]), "ms-90%")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
