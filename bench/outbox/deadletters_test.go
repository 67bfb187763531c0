package outbox_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
)

var refused = flag.String("refused", "1000,10000", "numbers of refused events of BenchmarkDeadLetters")

// BenchmarkDeadLetters measures an outbox whose events the platform refuses, all
// of them: the time of an event until it is a dead letter, the medians of Stats,
// Find, Erase and of a page at the beginning and at the end of the dead letters,
// and the time of an event from Replay to its acceptance. Run it with
// -benchtime=1x.
func BenchmarkDeadLetters(b *testing.B) {
	bySize(b, *refused, benchmarkDeadLetters)
}

func benchmarkDeadLetters(b *testing.B, setup setup, events int) {
	ctx := context.Background()
	p := newPlatform(b, 0)
	p.refuses.Store(true)
	s := setup.open(b, outbox.Config{Destination: p.client(b), Logger: slog.New(slog.DiscardHandler)}, 0)
	s.fill(b, "refused", events, 1)
	perEvent := func(unit string, do func()) {
		began := time.Now()
		do()
		b.ReportMetric(float64(time.Since(began).Microseconds())/float64(events), unit)
	}
	perEvent("µs/refused", func() {
		s.start(b)
		s.awaitEmpty(b)
	})
	page := func(offset int) func(int) error {
		return func(int) error {
			letters, err := s.outbox.DeadLetters(ctx, outbox.Page{Offset: offset, Limit: 50})
			if err == nil && len(letters) != 50 {
				err = fmt.Errorf("%d dead letters", len(letters))
			}
			return err
		}
	}
	reportMedian(b, "ms/first-page", page(0))
	reportMedian(b, "ms/last-page", page(events-50))
	s.reportCalls(b, "refused", events, outbox.StateDeadLettered, clickid.OrderKey)
	p.refuses.Store(false)
	perEvent("µs/replayed", func() {
		if n, err := s.outbox.Replay(ctx); err != nil || n != events-calls {
			b.Fatalf("%d of %d dead letters are replayed: %v", n, events-calls, err)
		}
		s.awaitEmpty(b)
	})
	b.ReportMetric(0, "ns/op")
}

// awaitEmpty waits until no event is queued.
func (s *shop) awaitEmpty(b *testing.B) {
	b.Helper()
	for end := time.Now().Add(5 * time.Minute); ; {
		stats, err := s.outbox.Stats(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		if stats.Queued == 0 {
			return
		}
		if time.Now().After(end) {
			b.Fatalf("%d events are queued", stats.Queued)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
