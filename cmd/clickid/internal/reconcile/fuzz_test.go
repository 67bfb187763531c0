package reconcile_test

import (
	"encoding/json"
	"io"
	"math"
	"testing"
	"time"

	"github.com/clickid/clickid/cmd/clickid/internal/reconcile"
	"github.com/clickid/clickid/interchange"
	"github.com/clickid/clickid/outbox"
)

// FuzzCompare compares numbers that no platform and no outbox has. The result
// can be printed in both forms, and its sums do not change their sign.
func FuzzCompare(f *testing.F) {
	for _, count := range []int64{0, 1, 29, 31, -1, math.MaxInt32, math.MaxInt64 / 30, math.MaxInt64, math.MinInt64} {
		f.Add(count, int64(7), int64(3), int64(0))
		f.Add(int64(7), count, count, count)
	}
	from := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, delivered, counted, more, other int64) {
		hour := func(n int64) outbox.HourCount {
			return outbox.HourCount{Hour: from.Add(time.Duration(n&1) * time.Hour), Delivered: int(n)}
		}
		c := reconcile.Compare(from, from.Add(2*time.Hour),
			[]outbox.HourCount{hour(delivered), hour(more)},
			[]interchange.HourCount{{Hour: from, Count: counted}, {Hour: from, Count: other}, {Hour: from.Add(time.Hour), Count: more}})
		if err := c.Write(io.Discard); err != nil {
			t.Fatal(err)
		}
		if _, err := json.Marshal(c); err != nil {
			t.Fatal(err)
		}
		if counted >= 0 && more >= 0 && other >= 0 && c.Counted < max(counted, more, other) || c.Counted < 0 || c.Delivered < 0 {
			t.Fatalf("the sums are %d and %d", c.Delivered, c.Counted)
		}
		if difference := c.Difference(); difference < 0 || math.IsNaN(difference) || (difference == 0) != (c.Delivered == c.Counted) {
			t.Fatalf("%d and %d differ by %v %%", c.Delivered, c.Counted, difference)
		}
	})
}
