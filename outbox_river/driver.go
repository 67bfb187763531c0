package riveroutbox

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"
)

// adapt returns the driver that River gets.
func adapt[TTx any](d riverdriver.Driver[TTx], table jobTable) riverdriver.Driver[TTx] {
	adapted := adaptedDriver[TTx]{Driver: d, table: table}
	if table.postgres { // SQLite has the clock of its machine
		adapted.clock = &serverClock{}
	}
	return adapted
}

// adaptedDriver completes jobs with fewer statements, listens more often on SQLite,
// repeats notifications on PostgreSQL, and has the clock of the server; see [executor],
// [listener], [repeater] and [serverClock].
type adaptedDriver[TTx any] struct {
	riverdriver.Driver[TTx]
	table jobTable
	clock *serverClock
}

// GetExecutor implements [riverdriver.Driver].
func (d adaptedDriver[TTx]) GetExecutor() riverdriver.Executor {
	return executor{d.Driver.GetExecutor(), d.table, d.clock}
}

// GetListener implements [riverdriver.Driver].
func (d adaptedDriver[TTx]) GetListener(params *riverdriver.GetListenenerParams) riverdriver.Listener {
	found := d.Driver.GetListener(params)
	if d.table.postgres {
		return &repeater{Listener: found}
	}
	return listener{found}
}

// executor completes the jobs of delivered events with one UPDATE. River runs an
// UPDATE for each job on SQLite, and reads the jobs again on both databases, for
// subscribers, of which the outbox has none. Its times are those of the clock.
type executor struct {
	riverdriver.Executor
	table jobTable
	clock *serverClock // nil on SQLite
}

// forgotten is the change of metadata with which River completes the job of a
// delivered event without warnings; see [forget].
const forgotten = `{"` + recordKey + `":null,"` + stateKey + `":null}`

// JobSetStateIfRunningMany implements [riverdriver.Executor].
func (e executor) JobSetStateIfRunningMany(ctx context.Context, params *riverdriver.JobSetStateIfRunningManyParams) ([]*rivertype.JobRow, error) {
	var done []string
	rest := &riverdriver.JobSetStateIfRunningManyParams{Now: params.Now, Schema: params.Schema}
	for i, id := range params.ID {
		if params.State[i] == rivertype.JobStateCompleted && params.Attempt[i] == nil && params.ErrData[i] == nil &&
			params.ScheduledAt[i] == nil && params.MetadataDoMerge[i] && string(params.MetadataUpdates[i]) == forgotten {
			done = append(done, strconv.FormatInt(id, 10))
			continue
		}
		rest.ID = append(rest.ID, id)
		rest.Attempt = append(rest.Attempt, params.Attempt[i])
		rest.ErrData = append(rest.ErrData, params.ErrData[i])
		rest.FinalizedAt = append(rest.FinalizedAt, params.FinalizedAt[i])
		rest.MetadataDoMerge = append(rest.MetadataDoMerge, params.MetadataDoMerge[i])
		rest.MetadataUpdates = append(rest.MetadataUpdates, params.MetadataUpdates[i])
		scheduled := params.ScheduledAt[i]
		if scheduled != nil {
			at := scheduled.Add(-e.clock.ahead(ctx, e.Executor))
			scheduled = &at
		}
		rest.ScheduledAt = append(rest.ScheduledAt, scheduled)
		rest.State = append(rest.State, params.State[i])
	}
	if len(done) > 0 {
		if err := e.table.complete(ctx, done); err != nil {
			return nil, err
		}
	}
	if len(rest.ID) == 0 {
		return nil, nil
	}
	jobs, err := e.setStates(ctx, rest)
	if err != nil {
		return nil, err
	}
	return jobs, e.tidy(ctx, jobs)
}

// setStates sets the states of jobs, and frees the identities of skipped events in the
// same transaction: another instance may be delivering the event as well, and must
// neither find its identity free before the skip is stored, nor claim it after that.
func (e executor) setStates(ctx context.Context, params *riverdriver.JobSetStateIfRunningManyParams) ([]*rivertype.JobRow, error) {
	var skipped []string
	for i, id := range params.ID {
		var updates map[string]json.RawMessage
		_ = json.Unmarshal(params.MetadataUpdates[i], &updates) // most jobs have none
		if _, ok := updates[skipKey]; ok {
			skipped = append(skipped, strconv.FormatInt(id, 10))
		}
	}
	if len(skipped) == 0 {
		return e.Executor.JobSetStateIfRunningMany(ctx, params)
	}
	tx, err := e.Executor.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // without effect after the commit
	if err := e.table.release(ctx, tx, skipped...); err != nil {
		return nil, err
	}
	jobs, err := tx.JobSetStateIfRunningMany(ctx, params)
	if err != nil {
		return nil, err
	}
	return jobs, tx.Commit(ctx)
}

// tidy removes the jobs of events that were erased during their delivery, and
// completes those that this instance has delivered or skipped after another one has
// made them dead letters.
func (e executor) tidy(ctx context.Context, jobs []*rivertype.JobRow) error {
	var erased, done []string
	for _, job := range jobs {
		s, err := readJob(job)
		switch {
		case err != nil || s.ok || job.State == rivertype.JobStateCompleted || job.State == rivertype.JobStateRunning:
		case !s.ended:
			erased = append(erased, strconv.FormatInt(job.ID, 10))
		case slices.Contains(dead(), job.State):
			done = append(done, strconv.FormatInt(job.ID, 10))
		}
	}
	if len(done) > 0 {
		if err := e.table.complete(ctx, done); err != nil {
			return err
		}
	}
	if len(erased) == 0 {
		return nil
	}
	return e.table.executor.Exec(ctx, "DELETE FROM "+e.table.name()+" WHERE "+e.table.listed()+" AND state <> 'running'", strings.Join(erased, ","))
}

// listed is the condition for the jobs whose numbers are in the list $1.
func (t jobTable) listed() string {
	if t.postgres {
		return "id = ANY (string_to_array($1::text, ',')::bigint[])"
	}
	return "id IN (SELECT value FROM json_each('[' || $1 || ']'))"
}

// isOpen is the condition for the jobs that complete ends.
const isOpen = "state IN ('running', 'cancelled', 'discarded')"

// complete removes the records of jobs, and completes those that are running or, since
// another instance has taken them over, dead letters.
func (t jobTable) complete(ctx context.Context, ids []string) error {
	metadata, state, now := "jsonb_set(metadata, '$."+recordKey+"', json('null'), '$."+stateKey+"', json('null'))", "'completed'", "datetime('now', 'subsec')"
	if t.postgres {
		metadata, state, now = "metadata || '"+forgotten+"'", `'completed'::"`+t.schema+`".river_job_state`, "now()"
	}
	return t.executor.Exec(ctx, "UPDATE "+t.name()+" SET metadata = "+metadata+
		", finalized_at = CASE WHEN "+isOpen+" THEN "+now+" ELSE finalized_at END"+
		", state = CASE WHEN "+isOpen+" THEN "+state+" ELSE state END WHERE "+t.listed(), strings.Join(ids, ","))
}

// repeater repeats the last notification of an insertion on PostgreSQL, since the
// insertions of the next milliseconds have none; see [Outbox.notice].
type repeater struct {
	riverdriver.Listener
	last *riverdriver.Notification // nil after its repetition
	due  time.Time
}

// repeatAfter is the time after which a notification is repeated.
const repeatAfter = 2 * fetchCooldown

// WaitForNotification implements [riverdriver.Listener].
func (r *repeater) WaitForNotification(ctx context.Context) (*riverdriver.Notification, error) {
	wait, cancel := ctx, func() {}
	if r.last != nil {
		wait, cancel = context.WithDeadline(ctx, r.due)
	}
	defer cancel()
	found, err := r.Listener.WaitForNotification(wait)
	switch {
	case err == nil && found.Topic == insertTopic:
		r.last, r.due = found, time.Now().Add(repeatAfter)
	case err != nil && r.last != nil && wait.Err() != nil && ctx.Err() == nil:
		found, err, r.last = r.last, nil, nil
	}
	return found, err
}

// listener waits for notifications on SQLite, which are rows of a table. River
// looks for them every 50 milliseconds.
type listener struct{ riverdriver.Listener }

// listenInterval is the interval in which the table is read.
const listenInterval = 20 * time.Millisecond

// WaitForNotification implements [riverdriver.Listener].
func (l listener) WaitForNotification(ctx context.Context) (*riverdriver.Notification, error) {
	for {
		// River's listener looks at once and waits for its own interval.
		look, cancel := context.WithTimeout(ctx, listenInterval)
		found, err := l.Listener.WaitForNotification(look)
		ended := look.Err() != nil
		cancel()
		if err == nil || !ended || ctx.Err() != nil {
			return found, err
		}
	}
}
