package riveroutbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/clickid/clickid/outbox"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// JobKind is the kind of the outbox's jobs in River.
const JobKind = "clickid_event"

// recordKey is the key of the record in a job's metadata. The record is not in
// the arguments, because River can remove metadata in the statement that
// completes a job: only the identity of a delivered event is kept.
const recordKey = "clickid"

// jobArgs are the arguments of a job. They make it unique.
type jobArgs struct {
	Identity string `json:"identity"`

	wait time.Duration // time until the next attempt if Work returns an error
}

func (jobArgs) Kind() string { return JobKind }

func (jobArgs) InsertOpts() river.InsertOpts {
	// All states: the identity of a queued, delivered or dead event is known.
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: rivertype.JobStates()}}
}

// newJobs returns the jobs of the records, one per identity. River refuses to
// insert the same job twice in a statement.
func newJobs(records []outbox.Record) ([]river.InsertManyParams, error) {
	jobs := make([]river.InsertManyParams, 0, len(records))
	known := make(map[string]bool, len(records))
	for _, record := range records {
		if known[record.Identity] {
			continue
		}
		known[record.Identity] = true
		metadata, err := json.Marshal(map[string]outbox.Record{recordKey: record})
		if err != nil {
			return nil, fmt.Errorf("riveroutbox: encoding an event: %w", err)
		}
		jobs = append(jobs, river.InsertManyParams{
			Args:       jobArgs{Identity: record.Identity},
			InsertOpts: &river.InsertOpts{Metadata: metadata},
		})
	}
	return jobs, nil
}

// recordOf returns the record of a job. ok is false if the record was erased.
func recordOf(job *rivertype.JobRow) (record outbox.Record, ok bool, err error) {
	var metadata map[string]json.RawMessage
	if err := json.Unmarshal(job.Metadata, &metadata); err != nil {
		return record, false, errors.New("riveroutbox: the metadata of a job is not JSON")
	}
	raw, ok := metadata[recordKey]
	if !ok || string(raw) == "null" {
		return record, false, nil
	}
	if err := json.Unmarshal(raw, &record); err != nil {
		return record, false, errors.New("riveroutbox: the metadata of a job has no record")
	}
	return record, true, nil
}

// worker delivers the event of a job.
type worker struct {
	river.WorkerDefaults[jobArgs]
	delivery *outbox.Delivery
}

// Work delivers the event once and returns the outcome to River.
func (w *worker) Work(ctx context.Context, job *river.Job[jobArgs]) error {
	record, ok, err := recordOf(job.JobRow)
	if err != nil {
		return river.JobCancel(err)
	}
	if !ok {
		return nil // erased
	}
	outcome := w.delivery.Deliver(ctx, record, job.Attempt)
	if ctx.Err() == context.Canceled && (outcome.Action == outbox.ActionSnooze || outcome.Action == outbox.ActionRetry) {
		// Stop interrupted the delivery. River makes the job available again
		// and does not count the attempt.
		return ctx.Err()
	}
	switch outcome.Action {
	case outbox.ActionDone:
		return river.MetadataSet(ctx, recordKey, nil)
	case outbox.ActionSnooze:
		return river.JobSnooze(outcome.Wait)
	case outbox.ActionDeadLetter:
		if err := river.RecordOutput(ctx, outcome.Failure); err != nil {
			return err
		}
		return river.JobCancel(errors.New(outcome.Failure.Reason))
	}
	job.Args.wait = outcome.Wait
	return errors.New(outcome.Failure.Reason)
}

// NextRetry returns the time of the next attempt after an error. After a rescue
// it is now.
func (w *worker) NextRetry(job *river.Job[jobArgs]) time.Time {
	return time.Now().Add(job.Args.wait)
}
