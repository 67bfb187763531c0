package riveroutbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/sleep"
	"github.com/clickid/clickid/outbox"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// pageSize is the number of jobs that a statement reads or moves.
const pageSize = 1000

// DeadLetters lists the dead letters, the latest first. See [outbox.Outbox].
func (o *Outbox[TTx]) DeadLetters(ctx context.Context, page outbox.Page) ([]outbox.DeadLetter, error) {
	page = page.WithDefaults()
	params := river.NewJobListParams().
		Queues(o.queue).
		States(dead()...).
		OrderBy(river.JobListOrderByFinalizedAt, river.SortOrderDesc)
	var letters []outbox.DeadLetter
	skip := page.Offset
	for missing := page.Offset + page.Limit; missing > 0; {
		// River only supports cursors.
		wanted := min(missing, pageSize)
		list, err := o.client.JobList(ctx, params.First(wanted))
		if err != nil {
			return nil, fmt.Errorf("riveroutbox: listing dead letters: %w", err)
		}
		for _, job := range list.Jobs {
			if skip > 0 {
				skip--
				continue
			}
			letters = append(letters, deadLetter(job))
		}
		if len(list.Jobs) < wanted {
			break
		}
		missing -= wanted
		params = params.After(list.LastCursor)
	}
	return letters, nil
}

func deadLetter(job *rivertype.JobRow) outbox.DeadLetter {
	failure := outbox.Failure{Reason: "the job was cancelled in River"}
	if len(job.Errors) > 0 {
		failure.Reason = job.Errors[len(job.Errors)-1].Error
	}
	if output := job.Output(); output != nil {
		_ = json.Unmarshal(output, &failure) // on an error the reason above remains
	}
	s, err := readJob(job)
	if !s.ok || err != nil {
		s.record.QueuedAt = job.CreatedAt // there is no event to show or to replay
	}
	return outbox.NewDeadLetter(strconv.FormatInt(job.ID, 10), s.record, failure, job.Attempt-s.state.AttemptsBefore, *job.FinalizedAt)
}

// Replay queues dead letters again. See [outbox.Outbox]. A damaged dead letter
// stays one, and is an error only if ids contains it.
func (o *Outbox[TTx]) Replay(ctx context.Context, ids ...string) (int, error) {
	params := river.NewJobListParams().Queues(o.queue).States(dead()...).OrderBy(river.JobListOrderByID, river.SortOrderAsc).First(pageSize)
	if len(ids) > 0 {
		known := jobIDs(ids)
		if len(known) == 0 {
			return 0, nil // without IDs, River would select all jobs
		}
		params = params.IDs(known...)
	} else {
		// Jobs that fail again meanwhile are not replayed forever.
		last, err := o.client.JobList(ctx, river.NewJobListParams().Queues(o.queue).
			States(dead()...).OrderBy(river.JobListOrderByID, river.SortOrderDesc).First(1))
		if err != nil || len(last.Jobs) == 0 {
			return 0, wrap("replaying dead letters", err)
		}
		params = params.Where("id <= @last", river.NamedArgs{"last": last.Jobs[0].ID})
	}
	total := 0
	var damaged error
	for {
		page, err := o.client.JobList(ctx, params)
		if err != nil {
			return total, wrap("replaying dead letters", err)
		}
		var intact []*rivertype.JobRow
		for _, job := range page.Jobs {
			if _, err := readJob(job); err == nil {
				intact = append(intact, job)
			} else if len(ids) > 0 {
				damaged = fmt.Errorf("dead letter %d: %w", job.ID, err)
			}
		}
		replayed, err := o.replay(ctx, intact)
		total += replayed
		if err != nil || len(page.Jobs) < pageSize {
			return total, wrap("replaying dead letters", errors.Join(err, damaged))
		}
		params = params.After(page.LastCursor)
	}
}

// replay replaces dead jobs by new ones, which have no past.
func (o *Outbox[TTx]) replay(ctx context.Context, jobs []*rivertype.JobRow) (replayed int, err error) {
	if len(jobs) == 0 {
		return 0, nil
	}
	ids, identities := make([]int64, len(jobs)), make([]string, len(jobs))
	for i, job := range jobs {
		ids[i], identities[i] = job.ID, identityOf(job)
	}
	params := river.NewJobDeleteManyParams().Queues(o.queue).States(dead()...).IDs(ids...).First(pageSize)
	err = o.inTransaction(ctx, func(tx TTx) error {
		if err := o.waitForLocks(ctx, tx, identities); err != nil {
			return err
		}
		deleted, err := o.client.JobDeleteManyTx(ctx, tx, params)
		if err != nil {
			return err
		}
		records := make([]outbox.Record, 0, len(deleted.Jobs))
		for _, job := range deleted.Jobs {
			s, err := readJob(job)
			if err != nil {
				return fmt.Errorf("dead letter %d: %w", job.ID, err)
			}
			if s.ok {
				records = append(records, s.record.Replayed(time.Now()))
			}
		}
		replayed = len(deleted.Jobs)
		_, err = o.insert(ctx, tx, records)
		return err
	})
	if err != nil {
		return 0, err
	}
	return replayed, nil
}

// Discard deletes dead letters. See [outbox.Outbox].
func (o *Outbox[TTx]) Discard(ctx context.Context, ids ...string) (int, error) {
	known := jobIDs(ids)
	if len(known) == 0 {
		return 0, nil
	}
	discarded, err := o.deleteAll(ctx, river.NewJobDeleteManyParams().Queues(o.queue).States(dead()...).IDs(known...))
	return discarded, wrap("discarding dead letters", err)
}

// Erase erases the events of a user or order. See [outbox.Outbox].
//
// It removes the record of an event that is being sent, and frees its identity. If
// this attempt fails, the event is not sent again.
func (o *Outbox[TTx]) Erase(ctx context.Context, k clickid.Key) (int, error) {
	hash, err := outbox.KeyHash(k)
	if err != nil {
		return 0, err
	}
	total := 0
	if o.table.postgres {
		total, err = o.erase(ctx, "metadata @> $2::text::jsonb", withKey(hash))
		return total, wrap("erasing events", err)
	}
	err = o.table.inParts(ctx, func(after, until int64) error {
		n, err := o.erase(ctx, "id > $3 AND id <= $4 AND EXISTS (SELECT 1 FROM json_each(metadata, '$."+recordKey+".keys') WHERE value = $2)",
			hash, after, until)
		total += n
		return err
	})
	return total, wrap("erasing events", err)
}

// withKey returns what the metadata of a job contains whose record has a key.
func withKey(hash string) string {
	return `{"` + recordKey + `":{"keys":["` + hash + `"]}}`
}

// eraseInterval is between two attempts to erase what another transaction has locked.
const eraseInterval = 10 * time.Millisecond

// erase removes the jobs that meet a condition. It looks for them before it
// locks them: on SQLite, orders wait for a statement that deletes.
func (o *Outbox[TTx]) erase(ctx context.Context, where string, args ...any) (int, error) {
	total := 0
	for {
		// Between the steps a queued event may have become a running one, and a
		// dead letter another job, and both are skipped while a transaction locks
		// them. So the steps are repeated until no record is left.
		ids, err := o.table.ids(ctx, where, append([]any{o.queue}, args...)...)
		erased := 0
		for part := range slices.Chunk(ids, pageSize) {
			n := 0
			if err == nil {
				n, err = o.eraseRunning(ctx, part)
				erased += n
			}
			if err == nil {
				n, err = o.deleteAll(ctx, river.NewJobDeleteManyParams().States(append(waiting(), dead()...)...).IDs(part...))
				erased += n
			}
		}
		total += erased
		if err == nil && len(ids) > 0 && erased == 0 {
			err = sleep.For(ctx, eraseInterval)
		}
		if err != nil || len(ids) == 0 {
			return total, err
		}
	}
}

// eraseRunning removes the records of those jobs that are running. River does not
// delete such jobs.
func (o *Outbox[TTx]) eraseRunning(ctx context.Context, ids []int64) (erased int, err error) {
	running, err := o.client.JobList(ctx, river.NewJobListParams().States(rivertype.JobStateRunning).IDs(ids...).First(pageSize))
	if err != nil {
		return 0, err
	}
	for _, job := range running.Jobs {
		found, err := o.table.eraseRecord(ctx, job.ID)
		if err != nil {
			return erased, err
		}
		if found {
			erased++
		}
	}
	return erased, nil
}

// deleteAll deletes all jobs that match params.
func (o *Outbox[TTx]) deleteAll(ctx context.Context, params *river.JobDeleteManyParams) (int, error) {
	total := 0
	for {
		deleted, err := o.client.JobDeleteMany(ctx, params.First(pageSize))
		if err != nil {
			return total, err
		}
		total += len(deleted.Jobs)
		if len(deleted.Jobs) < pageSize {
			return total, nil
		}
	}
}

// jobIDs parses the IDs and drops invalid ones, which no dead letter has.
func jobIDs(ids []string) []int64 {
	known := make([]int64, 0, len(ids))
	for _, id := range ids {
		if n, err := strconv.ParseInt(id, 10, 64); err == nil {
			known = append(known, n)
		}
	}
	return known
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("riveroutbox: %s: %w", what, err)
}
