// Package load_test runs a shop under load, with faults, and compares what the
// visitors did with what the library counted:
//
//	scripts/load -views 350000
//
// Two of a hundred page views are landings, and one of a thousand is an order.
// During the run the store and the platform become unavailable, and the outbox
// restarts.
package load_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/bench/internal/ratio"
)

var (
	views       = flag.Int("views", 5000, "page views for each store")
	chosen      = flag.String("store", "all", "stores, separated by commas: cookie, memory, redis, postgres, mariadb, sqlite, or all")
	connections = flag.Int("connections", 8, "connections of visitors at the same time")
)

func TestMain(m *testing.M) { os.Exit(ratio.Main(m)) }

func TestLoad(t *testing.T) {
	table := ratio.NewTable("Load", 1, "store", "pages per second", "clicks", "landings without a store", "orders with a click", "organic orders", "orders sent again",
		"MiB of heap after a quarter", "at the end")
	names := strings.Split(*chosen, ",")
	for _, s := range stores {
		if *chosen != "all" && !slices.Contains(names, s.name) {
			continue
		}
		names = slices.DeleteFunc(names, func(name string) bool { return name == s.name })
		before := runtime.NumGoroutine()
		t.Run(s.name, func(t *testing.T) { table.Row(append([]any{s.name}, run(t, s.open(t))...)...) })
		await(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
	}
	if *chosen != "all" && len(names) > 0 {
		t.Errorf("-store names %s, which is not one of the stores", strings.Join(names, ", "))
	}
}

// run visits a shop with a store, compares the counts, and returns them as cells of
// a table.
func run(t *testing.T, store clickid.Store) []any {
	t.Helper()
	shop := openShop(t, store)
	defer shop.close(t)
	var early uint64 // the size of the heap at a quarter
	crowd := &crowd{shop: shop, total: int64(*views), orders: make(map[string]string)}
	crowd.plan = map[int64]func() error{
		crowd.percent(20): func() error { shop.store.unavailable.Store(true); return nil },
		crowd.percent(25): func() error { early = heap(); return nil },
		crowd.percent(30): func() error { shop.store.unavailable.Store(false); return nil },
		crowd.percent(35): func() error { shop.failPlatform(); return nil },
		crowd.percent(45): func() error { shop.platform.ClearFaults(); return nil },
		crowd.percent(50): shop.restart,
		crowd.percent(60): shop.restart,
		// All at once.
		crowd.percent(70): func() error { shop.store.unavailable.Store(true); shop.failPlatform(); return nil },
		crowd.percent(75): shop.restart,
		crowd.percent(80): func() error { shop.store.unavailable.Store(false); shop.platform.ClearFaults(); return nil },
	}
	began := time.Now()
	var visitors sync.WaitGroup
	for range *connections {
		visitors.Go(crowd.visit)
	}
	visitors.Wait()
	took := time.Since(began)
	failOn(t, crowd.err)

	want := make(map[string]string) // the click of each order that has one
	organic := 0
	for order, click := range crowd.orders {
		if click == "" {
			organic++
		} else {
			want[order] = click
		}
	}
	await(t, "the outbox is empty", func() bool { return shop.stats(t).Queued == 0 })
	late := heap()

	equal := func(what string, got, want int) {
		if got != want {
			t.Errorf("%s: %d, and the visitors count %d", what, got, want)
		}
	}
	captured, lost := int(crowd.captured.Load()), int(crowd.landings.Load()-crowd.captured.Load())
	equal("clicks that the tracker reports as captured", int(shop.captured.Load()), captured)
	equal("landings that it reports as failed", int(shop.failed.Load()), lost)
	equal("other observations", int(shop.others.Load()), 0)
	accepted, unexpected := shop.received()
	if !maps.Equal(accepted, want) {
		t.Errorf("the platform has the clicks of %d orders, and the visitors of %d, or some differ", len(accepted), len(want))
	}
	if len(unexpected) > 0 {
		t.Errorf("the platform refused events or received them twice: %s", strings.Join(unexpected, ", "))
	}
	stats := shop.stats(t)
	equal("delivered events of the outbox", stats.Delivered, len(want))
	equal("the same by hour", shop.deliveredByHour(t), len(want))
	equal("skipped events of the outbox", stats.Skipped, organic)
	equal("dead letters", stats.DeadLetters, 0)
	// A memory store keeps the clicks on the heap, by design.
	if limit := early + early/4 + 2<<20 + shop.onHeap(captured); late > limit {
		t.Errorf("the heap has grown from %d to %d bytes; at most %d are expected", early, late, limit)
	}
	mebibytes := func(bytes uint64) string { return fmt.Sprintf("%.1f", float64(bytes)/(1<<20)) }
	return []any{float64(*views) / took.Seconds(), float64(captured), float64(lost), float64(len(want)), float64(organic), crowd.retries.Load(), mebibytes(early), mebibytes(late)}
}

// heap returns the size of the live heap.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// await waits until a condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("after two minutes it does not hold that %s", what)
		}
	}
}
