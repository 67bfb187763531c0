package outbox

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"
)

// HourCount is the number of events that were delivered in an hour.
type HourCount struct {
	Hour      time.Time `json:"hour"`      // its beginning, in UTC
	Delivered int       `json:"delivered"` // number of events
}

// HourCounter is an [Outbox] that counts its deliveries by hour. Every queue of
// this project is one.
type HourCounter interface {
	// DeliveredByHour returns the hours with deliveries from one full hour to
	// before another, the earliest first. An event counts in the hour in which
	// the platform accepted it, not in that of its time. Hours before the
	// deduplication window are incomplete.
	DeliveredByHour(ctx context.Context, from, to time.Time) ([]HourCount, error)
}

// HourCounts returns the counts of hours since 1970, for an [HourCounter].
func HourCounts(byHour map[int64]int, from, to time.Time) []HourCount {
	var counts []HourCount
	for _, hour := range slices.SortedFunc(maps.Keys(byHour), cmp.Compare[int64]) {
		at := time.Unix(hour*3600, 0).UTC()
		if n := byHour[hour]; n > 0 && !at.Before(from) && at.Before(to) {
			counts = append(counts, HourCount{at, n})
		}
	}
	return counts
}
