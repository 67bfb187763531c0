package outbox_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/clickid/clickid/outbox"
)

const (
	backlog = 20_000
	latency = 100 * time.Millisecond
)

// BenchmarkDrain delivers a backlog of 20,000 events to a platform that takes
// 100 ms per request. Run it with -benchtime=1x.
func BenchmarkDrain(b *testing.B) {
	for _, setup := range shops {
		for _, workers := range []int{200, 500, 2000} {
			b.Run(fmt.Sprintf("%s/%d workers", setup.name, workers), func(b *testing.B) {
				b.ReportAllocs()
				for range b.N {
					b.StopTimer()
					p := newPlatform(b, latency)
					s := setup.open(b, outbox.Config{Destination: p.client(b)}, workers)
					s.fill(b, "A", backlog)
					heap := watchHeap()
					b.StartTimer()
					began := time.Now()
					s.start(b)
					p.await(b, backlog)
					took := time.Since(began)
					b.StopTimer()
					b.ReportMetric(backlog/took.Seconds(), "events/s")
					b.ReportMetric(float64(p.requests.Load()), "requests")
					b.ReportMetric(float64(heap())/(1<<20), "MiB-heap")
				}
			})
		}
	}
}

// watchHeap measures the heap until the returned function is called. That
// function returns the growth.
func watchHeap() (grown func() uint64) {
	heap := func() uint64 {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapInuse
	}
	runtime.GC()
	before := heap()
	stop, peak := make(chan struct{}), make(chan uint64)
	go func() {
		most := before
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				most = max(most, heap())
			case <-stop:
				peak <- most
				return
			}
		}
	}()
	return func() uint64 {
		close(stop)
		return <-peak - before
	}
}

// BenchmarkEnqueue stores events, each in its own transaction.
func BenchmarkEnqueue(b *testing.B) {
	for _, setup := range shops {
		for _, size := range []int{1, 10, 100, 1000} {
			b.Run(fmt.Sprintf("%s/%d", setup.name, size), func(b *testing.B) {
				b.ReportAllocs()
				s := setup.open(b, outbox.Config{Destination: newPlatform(b, 0).client(b)}, 0)
				b.ResetTimer()
				for i := range b.N {
					s.fillOnce(b, i, size)
				}
				b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}

// BenchmarkIdleLatency measures the time from an order's commit to the
// platform's acceptance with an empty queue. The platform responds at once.
func BenchmarkIdleLatency(b *testing.B) {
	for _, setup := range shops {
		b.Run(setup.name, func(b *testing.B) {
			p := newPlatform(b, 0)
			s := setup.open(b, outbox.Config{Destination: p.client(b)}, 0)
			s.start(b)
			s.fill(b, "warm", 1)
			p.await(b, 1)
			var waited time.Duration
			b.ResetTimer()
			for i := range b.N {
				if err := s.order(context.Background(), fmt.Sprintf("I-%d", i), true); err != nil {
					b.Fatal(err)
				}
				committed := time.Now()
				p.await(b, i+2)
				waited += time.Since(committed)
			}
			b.ReportMetric(float64(waited.Milliseconds())/float64(b.N), "ms-to-acceptance")
		})
	}
}
