package interchange

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// EventClass is the platform's class of events.
type EventClass string

// The classes of events.
const (
	ClassConversion  EventClass = "conversion"
	ClassClick       EventClass = "click"
	ClassImpression  EventClass = "impression"
	ClassMeasurement EventClass = "measurement"
	ClassMMP         EventClass = "mmp"
)

// SummaryQuery selects the events of a summary.
type SummaryQuery struct {
	// Class selects one class of events. Defaults to all.
	Class EventClass
	// Start and End are full hours of UTC. Start is inclusive and End exclusive.
	// If both are zero, they select the last completed hour. One without the other
	// is an error.
	Start, End time.Time
}

// Summary contains the hourly numbers of events that the platform has counted
// for the advertiser, for all event sources together. They may be up to an hour
// late.
type Summary struct {
	// Start and End are the period, in UTC.
	Start, End time.Time
	// Hours has the number of each hour and class.
	Hours []HourCount
	// Total is the platform's sum, or that of Hours if the response has none.
	Total int64
}

// HourCount is the number of events of a class in an hour.
type HourCount struct {
	Hour  time.Time  // its beginning, in UTC
	Class EventClass // the class of the events
	Count int64      // their number
}

// Summary returns the numbers of events that the platform has counted.
func (c *Client) Summary(ctx context.Context, q SummaryQuery) (Summary, error) {
	if err := c.ready(true); err != nil {
		return Summary{}, err
	}
	query := url.Values{}
	switch q.Class {
	case "":
	case ClassConversion, ClassClick, ClassImpression, ClassMeasurement, ClassMMP:
		query.Set("eventType", string(q.Class))
	default:
		return Summary{}, errors.New("interchange: summary: Class must be one of the constants, such as ClassConversion, or empty")
	}
	if !q.Start.IsZero() || !q.End.IsZero() {
		if q.Start.IsZero() || !fullHour(q.Start) || !fullHour(q.End) || !q.Start.Before(q.End) {
			return Summary{}, errors.New("interchange: summary: Start and End must be full hours, Start the earlier one; use time.Time.Truncate(time.Hour)")
		}
		query.Set("startHour", q.Start.UTC().Format(time.RFC3339))
		query.Set("endHour", q.End.UTC().Format(time.RFC3339))
	}
	o, err := c.call(ctx, "summary", http.MethodGet, c.advertiserPath("/events/summary"), query, nil)
	if err != nil {
		return Summary{}, err
	}
	return readSummary(o)
}

func fullHour(t time.Time) bool { return t.Equal(t.Truncate(time.Hour)) }

func readSummary(o *object) (Summary, error) {
	s := Summary{Start: o.time("periodStart"), End: o.time("periodEnd")}
	entries, ok := o.objects("entries")
	if err := o.complete(ok); err != nil {
		return Summary{}, err
	}
	sum := int64(0)
	for _, entry := range entries {
		count, ok := entry.count("eventCount")
		h := HourCount{Hour: entry.time("eventHour"), Class: EventClass(entry.text("eventType")), Count: count}
		if err := o.complete(ok && !h.Hour.IsZero()); err != nil {
			return Summary{}, err
		}
		s.Hours = append(s.Hours, h)
		sum += count
	}
	if s.Total, ok = o.count("totalEventCount"); !ok {
		s.Total = sum
	}
	return s, nil
}
