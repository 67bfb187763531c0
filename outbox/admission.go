package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/clickid/clickid"
)

// sender is the Send of every outbox: it checks events as the destination
// would, and gives the records of those that are to be sent to a queue.
type sender struct {
	destination Destination
	queue       Enqueuer
}

// ResolvesTokens reports whether the clicks of tokens are looked up at
// delivery. [clickid.Convert] asks no store then.
func (s sender) ResolvesTokens() bool { return resolverOf(s.destination) != nil }

// Send implements [clickid.Sender].
func (s sender) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	report, records := admit(s.destination, events)
	if len(records) > 0 {
		if err := s.queue.Enqueue(ctx, records); err != nil {
			for i := range report.Results {
				if result := &report.Results[i]; result.Verdict == clickid.VerdictQueued {
					result.Verdict, result.Err = clickid.VerdictFailed, err
				}
			}
		}
	}
	return report, report.Err()
}

// admit checks events exactly as d does before it sends them, and returns the
// records of those that are to be queued. The report gives these as queued, and
// the others as they are: skipped, rejected or failed. Events of the same
// identity share a record.
func admit(d Destination, events []clickid.Event) (clickid.Report, []Record) {
	report := clickid.Report{Results: make([]clickid.Result, len(events))}
	var records []Record
	known := make(map[string]bool)
	now := time.Now()
	for i, e := range events {
		result := d.Check(e)
		if result.Verdict == clickid.VerdictReady {
			record, err := newRecord(d.Name(), e, now)
			if err != nil {
				result.Verdict, result.Reason = clickid.VerdictRejected, err.Error()
				result.Err = fmt.Errorf("%w: %w", clickid.ErrInvalidEvent, err)
			} else {
				result.Verdict = clickid.VerdictQueued
				if !known[record.Identity] {
					known[record.Identity] = true
					records = append(records, record)
				}
			}
		}
		report.Results[i] = result
	}
	return report, records
}

// EnqueueFunc is a function as an [Enqueuer], such as an insertion in a
// transaction.
type EnqueueFunc func(ctx context.Context, records []Record) error

// Enqueue calls f.
func (f EnqueueFunc) Enqueue(ctx context.Context, records []Record) error { return f(ctx, records) }
