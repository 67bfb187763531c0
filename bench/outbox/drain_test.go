package outbox_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/clickid/clickid/bench/internal/ratio"
	"github.com/clickid/clickid/outbox"
)

const (
	backlog = 20_000
	latency = 100 * time.Millisecond
)

// BenchmarkDrain delivers a backlog of 20,000 events to a platform that takes
// 100 ms per request. Run it with -benchtime=1x.
func BenchmarkDrain(b *testing.B) {
	table := ratio.NewTable("Drain", 2, "", "workers", "events per second", "delivered after", "requests", "heap")
	for _, setup := range shops {
		for _, workers := range []int{200, 500, 2000} {
			b.Run(fmt.Sprintf("%s/%d workers", setup.name, workers), func(b *testing.B) {
				for range b.N {
					b.StopTimer()
					p := newPlatform(b, latency)
					s := setup.open(b, outbox.Config{Destination: p.client(b)}, workers)
					s.fill(b, "A", backlog, 1)
					heap := watchHeap()
					b.StartTimer()
					began := time.Now()
					s.start(b)
					p.await(b, backlog)
					took := time.Since(began)
					b.StopTimer()
					table.Row(setup.name, ratio.Number(float64(workers)), backlog/took.Seconds(), took, p.requests.Load(), fmt.Sprintf("%d MiB", heap()>>20))
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
