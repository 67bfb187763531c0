package outbox_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
)

// BenchmarkOrder measures the order's transaction without its conversion, with
// it, and with it while a backlog is delivered beside it.
func BenchmarkOrder(b *testing.B) {
	for _, setup := range shops {
		for _, row := range []struct {
			name     string
			converts bool
			drains   bool
		}{
			{"alone", false, false},
			{"with its conversion", true, false},
			{"alone while a backlog drains", false, true},
			{"with its conversion while a backlog drains", true, true},
		} {
			b.Run(setup.name+"/"+row.name, func(b *testing.B) {
				b.ReportAllocs()
				p := newPlatform(b, latency)
				s := setup.open(b, outbox.Config{Client: p.client(b)}, 0)
				if row.drains {
					s.fill(b, "backlog", backlog)
					s.start(b)
					p.await(b, 1)
				}
				b.ResetTimer()
				for i := range b.N {
					if err := s.order(context.Background(), fmt.Sprintf("O-%d", i), row.converts); err != nil {
						b.Fatal(err)
					}
				}
				b.StopTimer()
				if row.drains && p.events.Load() >= backlog {
					b.Log("the backlog was gone before the orders were: run with a shorter -benchtime")
				}
			})
		}
	}
}

// fillOnce queues the batch of one iteration.
func (s *shop) fillOnce(b *testing.B, iteration, size int) {
	b.Helper()
	events := make([]clickid.Event, size)
	for i := range events {
		events[i] = conversion(fmt.Sprintf("E-%d-%d", iteration, i))
	}
	if _, err := s.outbox.Send(context.Background(), events...); err != nil {
		b.Fatal(err)
	}
}
