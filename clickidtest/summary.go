package clickidtest

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

const summaryClass = "conversion" // of every log_event

var summaryClasses = oneOf(summaryClass, "click", "impression", "measurement", "mmp")

// hour counts the events of an hour.
type hour struct {
	Hour  string `json:"eventHour"`
	Class string `json:"eventType"`
	Count int    `json:"eventCount"`
}

// summary counts the advertiser's events by the hour.
func (x *exchange) summary() response {
	values, resp, ok := x.query("eventType", "startHour", "endHour")
	if !ok {
		return resp
	}
	var p problems
	if values.Has("eventType") {
		if problem := summaryClasses(values.Get("eventType")); problem != "" {
			p.add("/eventType", "%s", problem)
		}
	}
	end := x.cfg.Now().UTC().Truncate(time.Hour)
	start := end.Add(-time.Hour)
	if values.Has("startHour") != values.Has("endHour") {
		p.add("/startHour", "must come with endHour")
	} else if values.Has("startHour") {
		start, end = fullHour(&p, values, "startHour"), fullHour(&p, values, "endHour")
		if len(p.found) == 0 && !start.Before(end) {
			p.add("/startHour", "must be before endHour")
		}
	}
	if len(p.found) > 0 {
		return x.invalid(p.found)
	}
	hours, total := []hour{}, 0
	if class := values.Get("eventType"); class == "" || class == summaryClass {
		hours, total = x.count(start, end)
	}
	return x.data(map[string]any{
		"periodStart": timeOrNull(start), "periodEnd": timeOrNull(end), "entries": hours, "totalEventCount": total,
	})
}

// fullHour returns a time of the query that has the form of an aligned hour in
// UTC.
func fullHour(p *problems, values url.Values, name string) time.Time {
	t, err := time.Parse("2006-01-02T15:00:00Z", values.Get(name))
	if err != nil {
		p.add("/"+name, "must be a full hour, such as 2026-03-27T14:00:00Z")
	}
	return t
}

// count counts the accepted events of the advertiser's sources from start to
// end.
func (x *exchange) count(start, end time.Time) (hours []hour, total int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	sources := x.sourcesOf(x.advertiser)
	byHour := make(map[time.Time]int)
	for _, e := range x.ledger.events {
		if e.Dialect != DialectLogEvent || e.TestCode != "" || findSource(sources, e.Destination) == nil {
			continue
		}
		if !e.Time.Before(start) && e.Time.Before(end) {
			byHour[e.Time.UTC().Truncate(time.Hour)]++
			total++
		}
	}
	hours = []hour{}
	for at, count := range byHour {
		hours = append(hours, hour{at.Format(time.RFC3339), summaryClass, count})
	}
	slices.SortFunc(hours, func(a, b hour) int { return strings.Compare(a.Hour, b.Hour) })
	return hours, total
}
