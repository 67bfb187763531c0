package fields

import (
	"errors"
	"strconv"
	"time"
)

// zoned and local are the layouts of times with and without a time zone. They
// are those of ISO 8601; the order of day and month in others is ambiguous.
var (
	zoned = []string{time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 Z07:00", "2006-01-02 15:04:05 -0700", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z07:00"}
	local = []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"}
)

var (
	errNoZone = errors.New("has no time zone; -timezone names it, such as Europe/Berlin")
	errTime   = errors.New("is not a time such as 2026-05-04T15:04:05Z; upload -time-layout describes other forms")
)

// parseTime reads a time, or seconds since 1970.
func (o Options) parseTime(s string) (time.Time, error) {
	if o.TimeLayout != "" {
		return o.parseLayout(s)
	}
	for _, layout := range zoned {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	for _, layout := range local {
		t, err := time.ParseInLocation(layout, s, o.location())
		if err != nil {
			continue
		}
		if o.Location == nil {
			return time.Time{}, errNoZone
		}
		return t, nil
	}
	if seconds, err := strconv.ParseInt(s, 10, 64); err == nil && len(s) <= 10 {
		return time.Unix(seconds, 0), nil
	}
	return time.Time{}, errTime
}

// parseLayout reads a time in the user's layout.
func (o Options) parseLayout(s string) (time.Time, error) {
	t, err := time.ParseInLocation(o.TimeLayout, s, o.location())
	switch {
	case err != nil:
		return time.Time{}, errors.New("does not have the form of -time-layout")
	case o.Location == nil && !hasZone(o.TimeLayout):
		return time.Time{}, errNoZone
	}
	return t, nil
}

func (o Options) location() *time.Location {
	if o.Location == nil {
		return time.UTC
	}
	return o.Location
}

// hasZone reports whether times of a layout have a time zone: the same time in
// two zones is then written differently.
func hasZone(layout string) bool {
	t := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	wall := time.Date(2026, 5, 4, 12, 0, 0, 0, time.FixedZone("X", 3600))
	return t.Format(layout) != wall.Format(layout)
}
