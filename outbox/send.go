package outbox

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/clickid/clickid"
)

var (
	errUnavailable = errors.New("outbox: " + reasonUnavailable)
	errNoResults   = errors.New("outbox: the destination returned another number of results than of items")
)

// sendBatch gives the events of one batch to the destination, unless the
// breaker holds them back.
func (d *Delivery) sendBatch(ctx context.Context, batch []*sending) {
	if len(batch) == 0 {
		return // everybody has left
	}
	done, ok := d.platform.allow()
	if !ok {
		for _, s := range batch {
			s.err = errUnavailable
		}
		return
	}
	items := make([]Item, len(batch))
	for i, s := range batch {
		items[i] = s.item
	}
	report, err := d.deliverItems(ctx, items)
	if len(report.Results) != len(batch) {
		if err == nil {
			err = errNoResults
		}
		for _, s := range batch {
			s.err = err
		}
		done(diagnose(err))
		return
	}
	for i, s := range batch {
		s.result = report.Results[i]
	}
	done(diagnoseReport(report))
}

func (d *Delivery) deliverItems(ctx context.Context, items []Item) (report clickid.Report, err error) {
	defer d.recovered(ctx, "the destination", &err)
	return d.cfg.Destination.Deliver(ctx, items)
}

// judge decides what becomes of an event that was not accepted this time.
func (d *Delivery) judge(ctx context.Context, r Record, err error) Outcome {
	var refusal clickid.SendError
	switch {
	case errors.As(err, &refusal):
		if refusal.Status() == http.StatusConflict || refusal.Kind() == clickid.SendErrorEvent {
			return Outcome{Failure: Failure{Reason: reason(refusal), Status: refusal.Status()}}
		}
		if refusal.Status() == 0 && errors.Is(ctx.Err(), context.Canceled) {
			return snooze(0, reasonInterrupted, 0)
		}
		return snooze(d.patience(r, refusal.RetryAfter()), reason(refusal), refusal.Status())
	case errors.Is(err, errUnavailable):
		return snooze(d.patience(r, 0), reasonUnavailable, 0)
	case errors.Is(err, errPanicked):
		return Outcome{Failure: Failure{Reason: reason(err)}}
	case errors.Is(ctx.Err(), context.Canceled):
		return snooze(0, reasonInterrupted, 0)
	case errors.Is(err, context.DeadlineExceeded):
		// The destination's own limits left no time for it.
		return snooze(spread(2*d.cfg.MinSnooze), "it was not sent in time", 0)
	}
	return snooze(d.patience(r, 0), "the destination failed", 0)
}

// reason returns the text of an error without the prefix of its package.
func reason(err error) string {
	_, text, ok := strings.Cut(err.Error(), ": ")
	if !ok {
		return err.Error()
	}
	return text
}

// patience returns how long an event waits that an outage stopped.
func (d *Delivery) patience(r Record, asked time.Duration) time.Duration {
	wait, open := d.platform.remaining()
	if !open {
		wait = d.backoff(r)
	}
	return spread(max(wait, asked, d.cfg.MinSnooze))
}

func statusOf(err error) int {
	if refusal := clickid.SendError(nil); errors.As(err, &refusal) {
		return refusal.Status()
	}
	return 0
}

// diagnoseReport returns what a report tells about the platform's health: one
// event that it decided about proves that it works.
func diagnoseReport(report clickid.Report) ending {
	end := ending{health: healthUnknown}
	for _, result := range report.Results {
		switch {
		case result.Verdict == clickid.VerdictAccepted, result.Verdict == clickid.VerdictRejected && statusOf(result.Err) != 0:
			return ending{}
		case result.Verdict == clickid.VerdictFailed && end.err == nil:
			end = diagnose(result.Err)
		}
	}
	return end
}

// diagnose returns what an error tells about the platform's health.
func diagnose(err error) ending {
	end := ending{err: err}
	var refusal clickid.SendError
	switch {
	case errors.Is(err, context.Canceled):
		end.health = healthUnknown
	case errors.As(err, &refusal):
		end.wait = refusal.RetryAfter()
		switch {
		case refusal.Kind() == clickid.SendErrorConfiguration:
			end.health = healthRefusing
		case refusal.Kind() == clickid.SendErrorEvent, refusal.Status() == http.StatusConflict:
			end.health = healthGood
		case refusal.Status() == http.StatusTooManyRequests || refusal.RetryAfter() > 0:
			end.health = healthPausing
		default:
			end.health = healthFailing
		}
	case errors.Is(err, errPanicked), errors.Is(err, context.DeadlineExceeded):
		end.health = healthUnknown
	default:
		end.health = healthFailing
	}
	return end
}

func (d *Delivery) platformChanged(state breakerState, err error) {
	kinds := map[breakerState]Kind{breakerOpened: KindPlatformUnavailable, breakerRefused: KindConfigurationRefused, breakerClosed: KindPlatformRecovered}
	d.observe(context.Background(), Observation{Kind: kinds[state], Status: statusOf(err), Err: err})
}
