package riveroutbox

import (
	"context"
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
// and has the clock of the server; see [executor], [listener] and [serverClock].
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
		return found
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
// delivered event without warnings; see [worker.forget].
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
	return e.Executor.JobSetStateIfRunningMany(ctx, rest)
}

// complete removes the records of jobs, and completes those that are running.
func (t jobTable) complete(ctx context.Context, ids []string) error {
	metadata, state, now := "jsonb_set(metadata, '$."+recordKey+"', json('null'), '$."+stateKey+"', json('null'))", "'completed'", "datetime('now', 'subsec')"
	which := "id IN (SELECT value FROM json_each('[' || $1 || ']'))"
	if t.postgres {
		metadata, state, now = "metadata || '"+forgotten+"'", `'completed'::"`+t.schema+`".river_job_state`, "now()"
		which = "id = ANY (string_to_array($1::text, ',')::bigint[])"
	}
	return t.executor.Exec(ctx, "UPDATE "+t.name()+" SET metadata = "+metadata+
		", finalized_at = CASE WHEN state = 'running' THEN "+now+" ELSE finalized_at END"+
		", state = CASE WHEN state = 'running' THEN "+state+" ELSE state END WHERE "+which, strings.Join(ids, ","))
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
