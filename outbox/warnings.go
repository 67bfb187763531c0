package outbox

import (
	"context"
	"sync"
	"time"

	"github.com/clickid/clickid"
)

// PlatformStats is what the platform has remarked on the events that it
// accepted, since this process started.
type PlatformStats struct {
	// Warnings counts the warnings, and LastWarning is the latest one.
	Warnings    int
	LastWarning string
	// MatchQuality is the platform's latest estimate of how well it can
	// attribute the events, from 0 to 1, or 0 when it gave none.
	MatchQuality float64
}

// maxWarnings bounds how many distinct warnings are remembered, to log each of
// them once in alertInterval.
const maxWarnings = 100

// remarks collects what the platform remarks.
type remarks struct {
	mu     sync.Mutex
	stats  PlatformStats
	logged map[string]time.Time
}

// note counts the remarks of a report and returns the warnings that are to be
// logged.
func (r *remarks) note(report clickid.Report) (fresh []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if report.MatchQuality != nil {
		r.stats.MatchQuality = *report.MatchQuality
	}
	now := time.Now()
	for _, warning := range report.Warnings {
		r.stats.Warnings++
		r.stats.LastWarning = warning
		if now.Sub(r.logged[warning]) < alertInterval {
			continue
		}
		if r.logged == nil || len(r.logged) >= maxWarnings {
			r.logged = make(map[string]time.Time)
		}
		r.logged[warning] = now
		fresh = append(fresh, warning)
	}
	return fresh
}

func (r *remarks) current() PlatformStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// remark reports the platform's warnings and match quality: all of them to the
// hook, and each warning once in a while to the log.
func (d *Delivery) remark(ctx context.Context, report clickid.Report) {
	fresh := d.remarks.note(report)
	if len(report.Warnings) == 0 {
		return
	}
	o := Observation{Kind: KindWarning, Warnings: report.Warnings, MatchQuality: report.MatchQuality}
	d.call(ctx, o)
	if len(fresh) > 0 {
		o.Warnings = fresh
		d.log(ctx, o)
	}
}

// PlatformStats returns what the platform has remarked, for a queue's Stats.
func (d *Delivery) PlatformStats() PlatformStats { return d.remarks.current() }
