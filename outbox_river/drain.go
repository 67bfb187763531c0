package riveroutbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clickid/clickid/internal/sleep"
	"github.com/clickid/clickid/outbox"
	"github.com/riverqueue/river"
)

// drainInterval is the interval in which Drain looks for events that are due.
const drainInterval = 20 * time.Millisecond

var errPaused = errors.New("riveroutbox: the queue is paused in River; resume it, such as in River UI")

// Drain delivers the events that are due. See [outbox.Drainer]. It runs a River
// client until then, without LISTEN. It returns an error if the queue is paused in
// River.
func (o *Outbox[TTx]) Drain(ctx context.Context) (outbox.Drained, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.started {
		return outbox.Drained{}, outbox.ErrStarted
	}
	if err := o.prepare(ctx); err != nil {
		return outbox.Drained{}, err
	}
	if o.paused(ctx) {
		stats, err := o.Stats(ctx)
		return outbox.Drained{Remaining: stats.Queued}, errors.Join(errPaused, err)
	}
	begun := time.Now()
	if err := o.table.makeDue(ctx, o.queue, o.cfg.RescueAfter); err != nil {
		return outbox.Drained{}, wrap("looking for events that are due", err)
	}
	cfg := o.cfg.river(o.queue, o.workers)
	cfg.PollOnly = true
	client, err := river.NewClient(adapt(o.driver, o.table), cfg)
	if err != nil {
		return outbox.Drained{}, fmt.Errorf("riveroutbox: River refuses the configuration: %w", err)
	}
	working, settled := outbox.Draining(context.WithoutCancel(ctx))
	if err := client.Start(working); err != nil {
		return outbox.Drained{}, fmt.Errorf("riveroutbox: starting River: %w", err)
	}
	late, end := endsAfter(ctx, interruption)
	defer end()
	stopping, endStopping := endsAfter(ctx, interruption-counting)
	defer endStopping()
	err = errors.Join(o.awaitDelivered(ctx, client.ID(), begun), stopClient(ctx, stopping, client))
	remaining, counting := o.remaining(late)
	return outbox.Drained{Settled: settled(), Remaining: remaining}, errors.Join(err, counting)
}

// awaitDelivered waits until the client has delivered what was due when it began.
func (o *Outbox[TTx]) awaitDelivered(ctx context.Context, clientID string, begun time.Time) error {
	for {
		busy, err := o.table.busy(ctx, o.queue, clientID, time.Since(begun))
		if err != nil {
			return wrap("looking for events that are due", err)
		}
		if !busy {
			return nil
		}
		if err := sleep.For(ctx, drainInterval); err != nil {
			return fmt.Errorf("riveroutbox: draining: %w", err)
		}
	}
}

// makeDue makes the jobs available whose time has come, and those of a process
// that was killed long ago. River's leader does the same every few seconds.
func (t jobTable) makeDue(ctx context.Context, queue string, rescueAfter time.Duration) error {
	return t.executor.Exec(ctx, "UPDATE "+t.name()+" SET state = 'available' WHERE queue = $1 AND ("+
		"state IN ('retryable', 'scheduled') AND scheduled_at <= "+t.ago("$2")+
		" OR state = 'running' AND attempted_at < "+t.ago("$3")+")", queue, 0.0, rescueAfter.Seconds())
}

// busy reports whether a job has been due for some time, or the client delivers
// one. A job that is due since then belongs to the next drain.
func (t jobTable) busy(ctx context.Context, queue, clientID string, since time.Duration) (busy bool, err error) {
	running := "$3 = ANY (attempted_by)"
	if !t.postgres {
		running = "EXISTS (SELECT 1 FROM json_each(attempted_by) WHERE value = $3)"
	}
	err = t.executor.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+t.name()+" WHERE queue = $1 AND ("+
		"state = 'available' AND scheduled_at <= "+t.ago("$2")+" OR state = 'running' AND "+running+"))",
		queue, since.Seconds(), clientID).Scan(&busy)
	return busy, err
}

// ago returns the time that is a number of seconds before now, in SQL.
func (t jobTable) ago(seconds string) string {
	if t.postgres {
		return "now() - make_interval(secs => " + seconds + "::float8)"
	}
	return "datetime('now', '-' || " + seconds + " || ' seconds', 'subsec')"
}
