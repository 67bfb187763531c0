// Package reconcile compares what an outbox has delivered with what the platform
// has counted.
package reconcile

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/clickid/clickid/interchange"
	"github.com/clickid/clickid/outbox"
)

// Hour is an hour of the comparison.
type Hour struct {
	Hour      time.Time `json:"hour"`
	Delivered int64     `json:"delivered"`
	Counted   int64     `json:"counted"`
}

// Comparison is the result for a period.
type Comparison struct {
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Hours []Hour    `json:"hours"`
	// Delivered and Counted are the sums.
	Delivered int64 `json:"delivered"`
	Counted   int64 `json:"counted"`
}

// Compare returns the comparison of full hours from one to before another.
// Hours without events on either side are left out.
func Compare(from, to time.Time, delivered []outbox.HourCount, counted []interchange.HourCount) Comparison {
	c := Comparison{From: from, To: to, Hours: []Hour{}}
	for at := from; at.Before(to); at = at.Add(time.Hour) {
		hour := Hour{Hour: at}
		for _, d := range delivered {
			if d.Hour.Equal(at) {
				hour.Delivered = add(hour.Delivered, int64(d.Delivered))
			}
		}
		for _, n := range counted {
			if n.Hour.Equal(at) {
				hour.Counted = add(hour.Counted, n.Count)
			}
		}
		if hour.Delivered != 0 || hour.Counted != 0 {
			c.Hours = append(c.Hours, hour)
		}
		c.Delivered = add(c.Delivered, hour.Delivered)
		c.Counted = add(c.Counted, hour.Counted)
	}
	return c
}

// add returns the sum of two numbers of events. A response or a database can
// have any number: one below zero counts as zero, and the largest stays it.
func add(sum, n int64) int64 {
	if n = max(n, 0); n > math.MaxInt64-sum {
		return math.MaxInt64
	}
	return sum + n
}

// Difference returns the difference of the sums in percent of what was
// delivered. It is 100 if only the platform has events.
func (c Comparison) Difference() float64 {
	difference := math.Abs(float64(c.Delivered - c.Counted))
	if c.Delivered == 0 {
		if difference == 0 {
			return 0
		}
		return 100
	}
	return 100 * difference / float64(c.Delivered)
}

// chartWidth is the width of the longest bar, in characters.
const chartWidth = 30

// Write writes the comparison as a table with a bar for each hour: the filled
// part is what the platform has counted of the delivered events.
func (c Comparison) Write(w io.Writer) error {
	var most int64 = 1
	for _, h := range c.Hours {
		most = max(most, h.Delivered, h.Counted)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "HOUR (UTC)\tDELIVERED\tCOUNTED\tDIFFERENCE\t")
	for _, h := range c.Hours {
		fmt.Fprintf(table, "%s\t%d\t%d\t%+d\t%s\n", h.Hour.UTC().Format("2006-01-02 15:04"), h.Delivered, h.Counted, h.Counted-h.Delivered, bar(h, most))
	}
	fmt.Fprintf(table, "total\t%d\t%d\t%+d\t%.1f %%\n", c.Delivered, c.Counted, c.Counted-c.Delivered, c.Difference())
	return table.Flush()
}

func bar(h Hour, most int64) string {
	width := func(n int64) int { return int(math.Ceil(chartWidth * float64(n) / float64(most))) }
	both, either := width(min(h.Delivered, h.Counted)), width(max(h.Delivered, h.Counted))
	missing := "░" // delivered, but not counted
	if h.Counted > h.Delivered {
		missing = "▒" // counted, but not delivered by this outbox
	}
	return strings.Repeat("█", both) + strings.Repeat(missing, either-both)
}
