package riveroutbox

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/clickid/clickid/outbox"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// JobKind is the kind of the outbox's jobs in River.
const JobKind = "clickid_event"

// Members of a job's metadata. None of this is in the arguments, because River
// can empty metadata in the same statement that completes a job: a delivered
// event is remembered by its identity and fingerprint only.
const (
	recordKey      = "clickid"             // the record, or null when it was delivered, skipped or erased
	stateKey       = "clickid_state"       // a jobState
	fingerprintKey = "clickid_fingerprint" // of the record
	skipKey        = "clickid_skip"        // the outbox.Skip of a skipped event, or null with ForgetSkips
	warningsKey    = "clickid_warnings"    // of a delivered event
)

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

// looseArgs are the arguments of a job that is stored without a unique key. The
// delivery claims the key.
type looseArgs struct {
	Identity string `json:"identity"`
}

func (looseArgs) Kind() string { return JobKind }

// uniqueKey returns the unique key that River gives the job of an identity.
func uniqueKey(identity string) []byte {
	sum := sha256.Sum256([]byte("&kind=" + JobKind + `&args={"identity":"` + identity + `"}`))
	return sum[:]
}

// jobState is what the attempts of a job leave behind. It is kept apart from the
// record, so that an erased record does not come back.
type jobState struct {
	Progress outbox.Progress `json:"progress,omitzero"`
	// Died means that the job is a dead letter. River itself can make it
	// available again.
	Died bool `json:"died,omitempty"`
	// ReplayedAt is when that happened last, and AttemptsBefore how many attempts
	// River had counted by then.
	ReplayedAt     time.Time `json:"replayed_at,omitzero"`
	AttemptsBefore int       `json:"attempts_before,omitempty"`
}

// newMetadata is the metadata of a job that is inserted.
type newMetadata struct {
	Record      outbox.Record `json:"clickid"`
	State       jobState      `json:"clickid_state"`
	Fingerprint string        `json:"clickid_fingerprint"`
}

func metadataOf(record outbox.Record) newMetadata {
	m := newMetadata{Record: record, State: jobState{Progress: record.Progress}, Fingerprint: record.Fingerprint}
	m.Record.Progress = outbox.Progress{}
	return m
}

// newJob returns the job of a record. A loose one has no unique key.
func newJob(queue string, record outbox.Record, loose bool) (river.InsertManyParams, error) {
	metadata, err := json.Marshal(metadataOf(record))
	if err != nil {
		return river.InsertManyParams{}, fmt.Errorf("riveroutbox: storing an event: %w", err)
	}
	var args river.JobArgs = jobArgs{Identity: record.Identity}
	if loose {
		args = looseArgs{Identity: record.Identity}
	}
	return river.InsertManyParams{Args: args, InsertOpts: &river.InsertOpts{Metadata: metadata, Queue: queue}}, nil
}

// stored is what a job's metadata holds.
type stored struct {
	record outbox.Record
	ok     bool // false when the event was delivered, skipped or erased
	ended  bool // it was delivered or skipped
	state  jobState
}

// readJob reads what a job's metadata holds.
func readJob(job *rivertype.JobRow) (stored, error) {
	var metadata map[string]json.RawMessage
	if err := json.Unmarshal(job.Metadata, &metadata); err != nil {
		return stored{}, errors.New("riveroutbox: the metadata of a job in the outbox is not JSON")
	}
	var s stored
	if raw, ok := metadata[stateKey]; ok {
		s.ended = string(raw) == "null"
		_ = json.Unmarshal(raw, &s.state) // a damaged state costs no event
		s.state.AttemptsBefore = min(max(s.state.AttemptsBefore, 0), job.Attempt)
	}
	raw, ok := metadata[recordKey]
	if !ok || string(raw) == "null" {
		return s, nil
	}
	if err := json.Unmarshal(raw, &s.record); err != nil {
		return s, errors.New("riveroutbox: a job in the outbox holds no record")
	}
	s.ok = true
	s.record.Progress = s.state.Progress
	if s.state.ReplayedAt.After(s.record.QueuedAt) {
		s.record.QueuedAt = s.state.ReplayedAt
		s.record.Refused = ""
	}
	return s, nil
}

// worker delivers the event of a job.
type worker struct {
	river.WorkerDefaults[jobArgs]
	delivery *outbox.Delivery
	table    jobTable
	working  sync.Map // the numbers of the jobs in progress
}

// Work delivers the event once and returns the outcome to River.
//
// A process that paused for longer than the lease can get its own job again. It waits
// for its first delivery: River keeps one outcome of a job at a time, so that of the
// second one could replace an acceptance.
func (w *worker) Work(ctx context.Context, job *river.Job[jobArgs]) error {
	if _, twice := w.working.LoadOrStore(job.ID, true); twice {
		return settleWork(ctx, river.JobSnooze(time.Second))
	}
	defer w.working.Delete(job.ID)
	return settleWork(ctx, w.work(ctx, job))
}

func (w *worker) work(ctx context.Context, job *river.Job[jobArgs]) error {
	s, err := readJob(job.JobRow)
	if err != nil {
		return river.JobCancel(err)
	}
	switch {
	case s.ended && !s.ok:
		return nil // another instance has completed the job
	case !s.ok:
		// The event was erased. Its identity is free, as that of an event that was
		// erased before its delivery.
		if err := w.table.release(ctx, w.table.executor, strconv.FormatInt(job.ID, 10)); err != nil {
			return river.JobSnooze(time.Second)
		}
		return nil
	}
	if len(job.UniqueKey) == 0 {
		claimed, err := w.table.claim(ctx, job.ID, job.Args.Identity)
		switch {
		case err != nil:
			return river.JobSnooze(time.Second)
		case claimed == claimPending:
			return river.JobSnooze(time.Second)
		case claimed == claimDuplicate:
			return river.MetadataSet(ctx, recordKey, nil)
		}
	}
	if s.state.Died {
		// River made a dead letter available again, such as by River UI. That is a
		// replay: the platform would repeat its response to the old request.
		s.record = s.record.Replayed(time.Now())
		s.state = jobState{Progress: s.record.Progress, ReplayedAt: s.record.QueuedAt, AttemptsBefore: job.Attempt - 1}
		if err := river.MetadataSet(ctx, stateKey, s.state); err != nil {
			return err
		}
	}
	outcome := w.delivery.Deliver(ctx, s.record, job.Attempt-s.state.AttemptsBefore)
	if ctx.Err() == context.Canceled && (outcome.Action == outbox.ActionSnooze || outcome.Action == outbox.ActionRetry) {
		// Stop interrupted the delivery. River makes the job available again
		// and does not count the attempt.
		return ctx.Err()
	}
	return w.settle(ctx, job, s.state, outcome)
}

// settle stores what an outcome leaves behind, and returns it as River's.
func (w *worker) settle(ctx context.Context, job *river.Job[jobArgs], state jobState, outcome outbox.Outcome) error {
	if outcome.Progress != nil {
		state.Progress = *outcome.Progress
	}
	if state.Died = outcome.Action == outbox.ActionDeadLetter; state.Died || outcome.Progress != nil {
		if err := river.MetadataSet(ctx, stateKey, state); err != nil {
			return err
		}
	}
	switch outcome.Action {
	case outbox.ActionDone:
		if len(outcome.Warnings) > 0 {
			if err := river.MetadataSet(ctx, warningsKey, outcome.Warnings); err != nil {
				return err
			}
		}
		return forget(ctx)
	case outbox.ActionSkip:
		// With the skip, which is nil if ForgetSkips is set, the executor frees the
		// identity.
		return errors.Join(forget(ctx), river.MetadataSet(ctx, skipKey, outcome.Skip))
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

// forget removes the record of an event that is done or skipped.
func forget(ctx context.Context) error {
	return errors.Join(river.MetadataSet(ctx, recordKey, nil), river.MetadataSet(ctx, stateKey, nil))
}

// NextRetry returns when to try again after an error, and at once after a rescue.
func (w *worker) NextRetry(job *river.Job[jobArgs]) time.Time {
	return time.Now().Add(job.Args.wait)
}
