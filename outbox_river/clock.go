package riveroutbox

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"
)

// serverClock is the clock of the database's server. River takes some times from
// it and others from its own machine: an event that waits for a machine whose clock
// is an hour ahead would wait an hour longer, and a leader whose clock is an hour
// behind would schedule all waiting events an hour late. So the times of the machine
// are changed into those of the server. The nil clock changes none.
type serverClock struct {
	mu         sync.Mutex
	measured   time.Time
	difference time.Duration // by which this machine is ahead
}

const (
	clockInterval  = time.Minute // between two measurements
	clockTolerance = time.Second // a smaller difference has no effect
)

// rowReader is a connection or a pool.
type rowReader interface {
	QueryRow(ctx context.Context, sql string, args ...any) riverdriver.Row
}

// ahead returns by how much this machine is ahead of the server. If that cannot be
// measured, the earlier result counts; the caller's statement will fail as well.
func (c *serverClock) ahead(ctx context.Context, server rowReader) time.Duration {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if begun := time.Now(); c.measured.IsZero() || begun.Sub(c.measured) > clockInterval {
		var seconds float64
		if server.QueryRow(ctx, "SELECT extract(epoch FROM clock_timestamp())::float8").Scan(&seconds) == nil {
			now := begun.Add(time.Since(begun) / 2)
			c.measured, c.difference = begun, now.Sub(time.UnixMicro(int64(seconds*1e6)))
		}
	}
	if c.difference.Abs() < clockTolerance {
		return 0
	}
	return c.difference
}

// JobGetStuck implements [riverdriver.Executor]. River compares AttemptedAt with the
// clock of the machine.
func (e executor) JobGetStuck(ctx context.Context, params *riverdriver.JobGetStuckParams) ([]*rivertype.JobRow, error) {
	ahead := e.clock.ahead(ctx, e.Executor)
	changed := *params
	changed.StuckHorizon = params.StuckHorizon.Add(-ahead)
	jobs, err := e.Executor.JobGetStuck(ctx, &changed)
	for _, job := range jobs {
		if job.AttemptedAt != nil {
			*job.AttemptedAt = job.AttemptedAt.Add(ahead)
		}
	}
	return jobs, err
}

// JobRescueMany implements [riverdriver.Executor].
func (e executor) JobRescueMany(ctx context.Context, params *riverdriver.JobRescueManyParams) (*struct{}, error) {
	ahead := e.clock.ahead(ctx, e.Executor)
	changed := *params
	changed.StuckHorizon = params.StuckHorizon.Add(-ahead)
	changed.ScheduledAt = slices.Clone(params.ScheduledAt)
	for i, state := range params.State {
		if state == string(rivertype.JobStateRetryable) { // others keep the server's
			changed.ScheduledAt[i] = params.ScheduledAt[i].Add(-ahead)
		}
	}
	return e.Executor.JobRescueMany(ctx, &changed)
}

// Begin implements [riverdriver.Executor].
func (e executor) Begin(ctx context.Context) (riverdriver.ExecutorTx, error) {
	tx, err := e.Executor.Begin(ctx)
	if err != nil || e.clock == nil {
		return tx, err
	}
	return scheduler{tx, e.clock}, nil
}

// scheduler is a transaction in which River makes waiting jobs available.
type scheduler struct {
	riverdriver.ExecutorTx
	clock *serverClock
}

// JobSchedule implements [riverdriver.Executor].
func (s scheduler) JobSchedule(ctx context.Context, params *riverdriver.JobScheduleParams) ([]*riverdriver.JobScheduleResult, error) {
	if params.Now == nil {
		return s.ExecutorTx.JobSchedule(ctx, params)
	}
	changed := *params
	now := params.Now.Add(-s.clock.ahead(ctx, s.ExecutorTx))
	changed.Now = &now
	return s.ExecutorTx.JobSchedule(ctx, &changed)
}

// UnwrapTx implements [riverdriver.Driver].
func (d adaptedDriver[TTx]) UnwrapTx(tx riverdriver.ExecutorTx) TTx {
	if s, ok := tx.(scheduler); ok {
		tx = s.ExecutorTx
	}
	return d.Driver.UnwrapTx(tx)
}
