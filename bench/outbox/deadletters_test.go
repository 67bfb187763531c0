package outbox_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/bench/internal/ratio"
	"github.com/clickid/clickid/outbox"
)

var refused = flag.String("refused", "1000,10000", "numbers of refused events of BenchmarkDeadLetters")

// BenchmarkDeadLetters measures an outbox whose events the platform refuses, all
// of them: the time of an event until it is a dead letter, the medians of Stats,
// Find, Erase and of a page at the beginning and at the end of the dead letters,
// and the time of an event from Replay to its acceptance. Run it with
// -benchtime=1x.
func BenchmarkDeadLetters(b *testing.B) {
	bySize(b, *refused, ratio.NewTable("DeadLetters", 2, "", "dead letters", "an event refused", "an event replayed", "`Stats`", "`Find`", "`Erase`", "first page", "last page"), benchmarkDeadLetters)
}

func benchmarkDeadLetters(b *testing.B, setup setup, events int) []any {
	ctx := context.Background()
	p := newPlatform(b, 0)
	p.refuses.Store(true)
	s := setup.open(b, outbox.Config{Destination: p.client(b), Logger: slog.New(slog.DiscardHandler)}, 0)
	s.fill(b, "refused", events, 1)
	perEvent := func(do func()) time.Duration {
		began := time.Now()
		do()
		return time.Since(began) / time.Duration(events)
	}
	refused := perEvent(func() {
		s.start(b)
		s.awaitEmpty(b)
	})
	page := func(offset int) time.Duration {
		return medianOf(b, func(int) error {
			letters, err := s.outbox.DeadLetters(ctx, outbox.Page{Offset: offset, Limit: 50})
			if err == nil && len(letters) != 50 {
				err = fmt.Errorf("%d dead letters", len(letters))
			}
			return err
		})
	}
	first, last := page(0), page(events-50)
	stats, find, erase := s.medianCalls(b, "refused", events, outbox.StateDeadLettered, clickid.OrderKey)
	p.refuses.Store(false)
	replayed := perEvent(func() {
		if n, err := s.outbox.Replay(ctx); err != nil || n != events-calls {
			b.Fatalf("%d of %d dead letters are replayed: %v", n, events-calls, err)
		}
		s.awaitEmpty(b)
	})
	return []any{refused, replayed, stats, find, erase, first, last}
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
