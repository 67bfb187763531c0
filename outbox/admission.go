package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/clickid/clickid"
)

// admit checks events exactly as c would before it sends them, and returns the
// records of those that are to be queued. The report gives these as queued,
// and the others as they are: skipped, rejected or failed.
func admit(c *clickid.Client, events []clickid.Event) (clickid.Report, []Record) {
	report := clickid.Report{Results: make([]clickid.Result, len(events))}
	var records []Record
	known := make(map[string]bool)
	now := time.Now()
	for i, e := range events {
		result := c.Check(e)
		if result.Verdict == clickid.Ready {
			record, err := newRecord(c.Destination(), e, now)
			if err != nil {
				result.Verdict, result.Reason = clickid.Rejected, err.Error()
				result.Err = fmt.Errorf("%w: %w", clickid.ErrInvalidEvent, err)
			} else {
				result.Verdict = clickid.Queued
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

// send admits events and puts their records into a queue. When the queue takes
// none of them, they failed.
func send(ctx context.Context, c *clickid.Client, q Queue, events []clickid.Event) (clickid.Report, error) {
	report, records := admit(c, events)
	if len(records) > 0 {
		if err := q.Enqueue(ctx, records); err != nil {
			for i := range report.Results {
				if result := &report.Results[i]; result.Verdict == clickid.Queued {
					result.Verdict, result.Err = clickid.Failed, err
				}
			}
		}
	}
	return report, report.Err()
}

// QueueFunc is a function as a [Queue], such as an insertion in a transaction.
type QueueFunc func(ctx context.Context, records []Record) error

// Enqueue calls f.
func (f QueueFunc) Enqueue(ctx context.Context, records []Record) error { return f(ctx, records) }
