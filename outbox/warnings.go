package outbox

import (
	"context"
	"sync"
	"time"

	"github.com/clickid/clickid"
)

// PlatformStats contains the platform's warnings about accepted events since
// this process started.
type PlatformStats struct {
	// Warnings is the number of warnings, and LastWarning the latest one.
	Warnings    int
	LastWarning string
	// MatchQuality is the platform's latest estimate of how well it can
	// attribute the events, from 0 to 1, or 0 if it gave none.
	MatchQuality float64
}

// maxWarnings limits the number of distinct warnings that are remembered.
const maxWarnings = 100

// remarks collects the platform's warnings and match quality.
type remarks struct {
	mu     sync.Mutex
	stats  PlatformStats
	logged map[string]time.Time
}

// note counts the warnings of a report and returns those to log.
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
// hook, and each warning once per alertInterval to the log.
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

// PlatformStats returns the platform's warnings for Stats of a queue.
func (d *Delivery) PlatformStats() PlatformStats { return d.remarks.current() }
