package outbox_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/bench/internal/ratio"
	"github.com/clickid/clickid/outbox"
)

// bySize runs a benchmark of each shop with each number of events of a list, such
// as 1000,10000, and adds the cells that it returns to a table.
func bySize(b *testing.B, sizes string, table *ratio.Table, run func(b *testing.B, setup setup, events int) []any) {
	for _, setup := range allShops {
		for _, size := range strings.Split(sizes, ",") {
			events, err := strconv.Atoi(size)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(setup.name+"/"+size, func(b *testing.B) {
				cells := run(b, setup, events)
				table.Row(append([]any{setup.name, ratio.Number(float64(events))}, cells...)...)
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// calls is the number of calls of a median.
const calls = 7

// medianOf returns the median time of a call.
func medianOf(b *testing.B, do func(i int) error) time.Duration {
	b.Helper()
	var took []time.Duration
	for i := range calls {
		began := time.Now()
		if err := do(i); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	return ratio.Percentile(took, 50)
}

// medianCalls returns the medians of Stats, Find and Erase with events of a state,
// which fill has stored. Each call of Erase erases an event by its key.
func (s *shop) medianCalls(b *testing.B, prefix string, events int, state outbox.State, key func(id string) clickid.Key) (stats, find, erase time.Duration) {
	b.Helper()
	ctx := context.Background()
	id := func(i int) string { return fmt.Sprintf("%s-%d", prefix, i*events/8) }
	stats = medianOf(b, func(int) error {
		_, err := s.outbox.Stats(ctx)
		return err
	})
	find = medianOf(b, func(i int) error {
		entries, err := s.outbox.Find(ctx, id(i))
		if err == nil && (len(entries) != 1 || entries[0].State != state) {
			err = fmt.Errorf("%+v", entries)
		}
		return err
	})
	erase = medianOf(b, func(i int) error {
		erased, err := s.outbox.Erase(ctx, key(id(i)))
		if err == nil && erased != 1 {
			err = fmt.Errorf("%d events were erased", erased)
		}
		return err
	})
	return stats, find, erase
}
