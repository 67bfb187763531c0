package outbox

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/clickid/clickid"
)

var (
	errUnavailable = errors.New("outbox: " + reasonUnavailable)
	errNoResults   = errors.New("outbox: the number of results from the destination differs from that of the items")
)

// send sends the event in a batch and returns the outcome.
func (d *Delivery) send(ctx context.Context, r Record, e clickid.Event) Outcome {
	s := &sending{identity: r.Identity, metadata: r.Metadata, item: Item{Event: e, Responses: r.Progress.Responses}}
	if err := d.batches.Do(ctx, []*sending{s})[0]; err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return snooze(0, reasonInterrupted, 0)
		}
		return snooze(spread(2*d.cfg.MinSnooze), "it was not sent in time", 0)
	}
	if s.err == nil {
		switch s.result.Verdict {
		case clickid.VerdictAccepted:
			return done(s.result.Warnings)
		case clickid.VerdictSkippedOrganic, clickid.VerdictSkippedConsent:
			return skip(s.result.Reason)
		}
	}
	return d.judge(ctx, r, s)
}

// sendBatch passes a batch to the destination, unless the breaker is open.
func (d *Delivery) sendBatch(ctx context.Context, batch []*sending) {
	if len(batch) == 0 {
		return // no caller waits
	}
	done, ok := d.platform.allow()
	if !ok {
		for _, s := range batch {
			s.err = errUnavailable
		}
		return
	}
	ctx = withRequest(ctx, batch)
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
	end := d.settle(batch, report)
	done(end)
	d.remark(ctx, report)
}

// settle sets the result of each event of a batch, and returns the health of
// the platform.
func (d *Delivery) settle(batch []*sending, report clickid.Report) ending {
	accepted := slices.ContainsFunc(report.Results, func(r clickid.Result) bool { return r.Verdict == clickid.VerdictAccepted })
	if accepted {
		d.holds.accept()
	}
	for i, s := range batch {
		s.result, s.beside = report.Results[i], accepted
	}
	if len(batch) == 1 {
		all := append(slices.Clip(batch[0].result.Warnings), report.Warnings...)
		slices.Sort(all)
		batch[0].result.Warnings = slices.Compact(all)
	}
	if accepted {
		return ending{}
	}
	end := ending{health: healthUnknown}
	for _, s := range batch {
		this := d.diagnoseResult(s)
		if this.health == healthGood || end.err == nil || this.health == healthRefusing && this.every > 0 {
			end = this
		}
		if end.health == healthGood {
			break // a decision about an event shows that the platform works
		}
	}
	return end
}

// diagnoseResult returns the health of the platform after an event that was not
// accepted.
func (d *Delivery) diagnoseResult(s *sending) ending {
	switch {
	case isRefused(s.result.Err):
		// Count it before the breaker closes after a probe.
		if d.holds.add(holdCode(s.result.Err), s.identity) {
			return ending{health: healthRefusing, err: s.result.Err, every: d.holds.maxWait}
		}
		return ending{health: healthUnknown, err: s.result.Err}
	case s.result.Verdict == clickid.VerdictRejected && statusOf(s.result.Err) != 0:
		return ending{}
	case s.result.Verdict == clickid.VerdictFailed:
		return diagnose(s.result.Err)
	}
	return ending{health: healthUnknown}
}

func (d *Delivery) deliverItems(ctx context.Context, items []Item) (report clickid.Report, err error) {
	defer d.recovered(ctx, "the destination", &err)
	return d.cfg.Destination.Deliver(ctx, items)
}

// judge returns the outcome of an event that was not accepted, and its
// progress.
func (d *Delivery) judge(ctx context.Context, r Record, s *sending) Outcome {
	err := s.err
	if err == nil {
		err = s.result.Err
	}
	outcome, tried := d.judgeError(ctx, r, s, err)
	if !tried {
		return outcome
	}
	progress := r.Progress.with(Attempt{At: time.Now().UTC().Truncate(time.Millisecond), Status: statusOf(err), Code: codeOf(err)})
	progress.Responses += s.result.Responses
	if isRefused(err) && progress.Hold == nil {
		progress.Hold = &Hold{At: time.Now().UTC(), Code: holdCode(err)}
	}
	outcome.Progress = &progress
	return outcome
}

// judgeError is judge without the progress. tried is false if the event was not
// sent.
func (d *Delivery) judgeError(ctx context.Context, r Record, s *sending, err error) (outcome Outcome, tried bool) {
	refusal := clickid.SendError(nil)
	isSendError := errors.As(err, &refusal)
	switch {
	case isRefused(err):
		if s.beside || r.Progress.Hold != nil && d.holds.released(r.Progress.Hold.At) {
			return dead(reason(err), refusal.Status()), true
		}
		return snooze(d.patience(r, 0), reasonHeld+": "+reason(err), refusal.Status()), true
	case s.err == nil && s.result.Verdict == clickid.VerdictRejected:
		return dead(s.result.Reason, statusOf(err)), isSendError
	case isSendError && refusal.Kind() == clickid.SendErrorEvent:
		return dead(reason(refusal), refusal.Status()), true
	case isSendError && refusal.Status() == 0 && errors.Is(ctx.Err(), context.Canceled):
		return snooze(0, reasonInterrupted, 0), false
	case isSendError:
		return snooze(d.patience(r, refusal.RetryAfter()), reason(refusal), refusal.Status()), true
	case errors.Is(err, errUnavailable):
		return snooze(d.patience(r, 0), reasonUnavailable, 0), false
	case errors.Is(err, errPanicked):
		return Outcome{Failure: Failure{Reason: reason(err)}}, true
	case errors.Is(ctx.Err(), context.Canceled):
		return snooze(0, reasonInterrupted, 0), false
	case errors.Is(err, context.DeadlineExceeded):
		// The limits of the destination left no time for the event.
		return snooze(spread(2*d.cfg.MinSnooze), "it was not sent in time", 0), false
	}
	return snooze(d.patience(r, 0), "the destination failed", 0), true
}

// isRefused reports whether an error is a provisional refusal.
func isRefused(err error) bool {
	refusal := clickid.SendError(nil)
	return errors.As(err, &refusal) && refusal.Kind() == clickid.SendErrorRefused
}

// codeOf returns the platform's code in an error, or "".
func codeOf(err error) string {
	var coded interface{ ErrorCode() string }
	if errors.As(err, &coded) {
		return coded.ErrorCode()
	}
	return ""
}

// holdCode returns the code under which refused events are counted.
func holdCode(err error) string {
	if code := codeOf(err); code != "" {
		return code
	}
	return fmt.Sprint("status ", statusOf(err))
}

// reason returns the text of an error without the prefix of its package.
func reason(err error) string {
	_, text, ok := strings.Cut(err.Error(), ": ")
	if !ok {
		return err.Error()
	}
	return text
}

// patience returns the wait of an event in an outage.
func (d *Delivery) patience(r Record, asked time.Duration) time.Duration {
	wait, open := d.platform.remaining()
	if !open {
		wait = d.backoff(r)
	}
	return spread(max(wait, min(asked, maxAsked), d.cfg.MinSnooze))
}

func statusOf(err error) int {
	if refusal := clickid.SendError(nil); errors.As(err, &refusal) {
		return refusal.Status()
	}
	return 0
}

// diagnose returns the health of the platform after an error.
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
		case refusal.Kind() == clickid.SendErrorRefused:
			end.health = healthUnknown
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
	kinds := map[breakerState]Kind{breakerOpened: KindPlatformUnavailable, breakerLasting: KindStillUnavailable, breakerRefused: KindConfigurationRefused, breakerClosed: KindPlatformRecovered}
	d.observe(context.Background(), Observation{Kind: kinds[state], Status: statusOf(err), Code: codeOf(err), Err: err})
}
