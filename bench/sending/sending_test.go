package sending_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/bench/internal/ratio"
	"github.com/clickid/clickid/capi"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // Snowplow logs errors there
	os.Exit(ratio.Main(m))
}

// ours is the client in the comparisons.
var ours = direct("clickid", logEvent)

// stdBatch is about the number of these events in a request of the client.
const stdBatch = 2000

// TestSenders_deliver checks that every sender delivers every order to a healthy
// platform.
func TestSenders_deliver(t *testing.T) {
	all := append(peers(), ours, direct("ECAPI", ecapi), batched(), standard("standard library", 100, 2))
	for _, s := range all {
		if s.name == "Snowplow" && raceDetector {
			continue // its emitter has data races
		}
		t.Run(s.name, func(t *testing.T) {
			const orders = 1000
			p := newPlatform(t, orders, healthy)
			s.prepare(t, p.url, orders)()
			if delivered, _ := p.result(); delivered != orders {
				t.Errorf("%d of %d orders arrived", delivered, orders)
			}
		})
	}
}

// sending returns the variant of a sender that sends a number of orders.
func sending(b *testing.B, s sender, orders int) ratio.Variant {
	p := newPlatform(b, orders, healthy)
	var prepared []func()
	return ratio.Variant{
		Name: s.name,
		Prepare: func(n int) {
			prepared = prepared[:0]
			for range n {
				prepared = append(prepared, s.prepare(b, p.url, orders))
			}
		},
		Run: func(int) {
			for _, send := range prepared {
				p.reset()
				send()
				if delivered, _ := p.result(); delivered != orders {
					b.Fatalf("%s: %d of %d orders arrived", s.name, delivered, orders)
				}
			}
		},
	}
}

// BenchmarkSend sends 20,000 purchases to one local server.
func BenchmarkSend(b *testing.B) {
	const orders = 20_000
	variants := []ratio.Variant{
		sending(b, ours, orders),
		sending(b, standard("standard library, 1 goroutine", stdBatch, 1), orders),
		sending(b, standard("standard library, 8 goroutines", stdBatch, 8), orders),
	}
	for _, s := range peers() {
		variants = append(variants, sending(b, s, orders))
	}
	ratio.Compare(b, variants...)
}

// BenchmarkGrowth sends 100,000 purchases in calls of more and more events.
func BenchmarkGrowth(b *testing.B) {
	const orders = 100_000
	var variants []ratio.Variant
	for _, call := range []int{1000, 10_000, orders} {
		v := sending(b, ours, call)
		prepare := v.Prepare
		v.Name = "calls of " + thousands(call)
		v.Prepare = func(n int) { prepare(n * orders / call) }
		variants = append(variants, v)
	}
	ratio.Compare(b, variants...)
}

// thousands returns a number with commas.
func thousands(n int) string { return ratio.Number(float64(n)) }

// BenchmarkCallers lets callers send one purchase after the other to a platform
// that takes a millisecond.
func BenchmarkCallers(b *testing.B) {
	table := ratio.NewTable("Callers", 1, "callers", "CPU, Batcher ÷ client", "time, Batcher ÷ client", "client, CPU", "Batcher, CPU", "client, time", "Batcher, time")
	for _, callers := range []int{8, 64} {
		b.Run(fmt.Sprintf("%d", callers), func(b *testing.B) {
			p := newPlatform(b, 1<<20, healthy)
			p.delay = time.Millisecond
			client := newClient(b, p.url, logEvent, nil)
			batcher, err := capi.NewBatcher(client, capi.BatcherConfig{})
			if err != nil {
				b.Fatal(err)
			}
			r := ratio.Measure(b, calling(b, "client", client, callers), calling(b, "Batcher", batcher, callers))
			table.Row(callers, r[1].CPUOver(r[0]), r[1].TimeOver(r[0]), r[0].CPU(), r[1].CPU(), r[0].Time(), r[1].Time())
		})
	}
}

// calling returns a variant with callers that share n events.
func calling(b *testing.B, name string, s clickid.Sender, callers int) ratio.Variant {
	var events []clickid.Event
	return ratio.Variant{
		Name:    name,
		Prepare: func(n int) { events = purchases(n) },
		Run: func(n int) {
			var group sync.WaitGroup
			for caller := range callers {
				group.Go(func() {
					for i := caller; i < n; i += callers {
						if _, err := s.Send(context.Background(), events[i]); err != nil {
							b.Error(err)
						}
					}
				})
			}
			group.Wait()
		},
	}
}
