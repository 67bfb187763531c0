package asynqoutbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clickid/clickid/internal/sleep"
	"github.com/clickid/clickid/outbox"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

const (
	eventTask = "clickid:event"
	deadTask  = "clickid:dead"

	// endlessRetries disables asynq's limit. The delivery decides when an event
	// is dead.
	endlessRetries = 1 << 30
	// taskTimeout is longer than every delivery.
	taskTimeout = outbox.MaxDuration + 10*time.Second
)

// Enqueue implements [outbox.Enqueuer]. Its only deadline is that of ctx.
func (o *Outbox) Enqueue(ctx context.Context, records []outbox.Record) (known map[string]string, err error) {
	before, err := o.beforeWrites(ctx)
	if err != nil {
		return nil, err
	}
	found, err := o.store(ctx, records)
	if err != nil {
		return nil, err
	}
	known = make(map[string]string)
	for i, r := range records {
		if !found[i].fresh {
			known[r.Identity] = found[i].fingerprint
		}
		if found[i].enqueued || !found[i].fresh && !found[i].waits {
			continue
		}
		if err := o.enqueue(ctx, r.Identity, found[i].fresh); err != nil {
			return nil, fmt.Errorf("asynqoutbox: Redis could not take the event: %w", err)
		}
	}
	if err := o.confirm(ctx, before); err != nil {
		return nil, err
	}
	return known, nil
}

// storedAs is the result of store for a record.
type storedAs struct {
	fresh       bool   // it was stored
	waits       bool   // it was stored before, and waits
	fingerprint string // of the known one
	enqueued    bool   // it got a task
}

// store stores the records that are unknown, and a task for each record, in one
// round trip, so that a server that flushes every write to its disk does so once.
// The worker ignores the task of a record that has its outcome.
func (o *Outbox) store(ctx context.Context, records []outbox.Record) ([]storedAs, error) {
	pipe := o.cfg.Redis.Pipeline()
	stored, tasks := make([]*redis.Cmd, len(records)), make([]*redis.Cmd, len(records))
	for i, r := range records {
		keys, args, err := o.storeArgs(r)
		if err != nil {
			return nil, err
		}
		stored[i] = pipe.Eval(ctx, storeScript, keys, args...)
		call, err := o.enqueueCall(ctx, r.Identity)
		if err != nil {
			return nil, fmt.Errorf("asynqoutbox: Redis could not take the event: %w", err)
		}
		if call.script != "" {
			tasks[i] = pipe.Eval(ctx, call.script, call.keys, call.args...)
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("asynqoutbox: Redis could not store the event: %w", err)
	}
	found := make([]storedAs, len(records))
	for i := range records {
		text, err := stored[i].Text()
		if err != nil {
			return nil, fmt.Errorf("asynqoutbox: Redis could not store the event: %w", err)
		}
		found[i] = readStored(text)
		if tasks[i] != nil {
			n, err := tasks[i].Int()
			found[i].enqueued = err == nil && n == 1
		}
	}
	return found, nil
}

// scriptCall is a call of a script.
type scriptCall struct {
	script string
	keys   []string
	args   []any
}

// enqueueCall returns the call with which asynq stores the task of an identity. It
// is empty if another version of asynq does so without a script, and has done it.
func (o *Outbox) enqueueCall(ctx context.Context, identity string) (call scriptCall, err error) {
	err = o.enqueueTask(context.WithValue(ctx, callKey{}, &call), identity)
	return call, err
}

func (o *Outbox) enqueueTask(ctx context.Context, identity string) error {
	_, err := o.client.EnqueueContext(ctx, asynq.NewTask(eventTask, nil),
		asynq.TaskID(identity), asynq.Queue(o.live.name),
		asynq.MaxRetry(endlessRetries), asynq.Timeout(taskTimeout))
	return err
}

// recorder is the Redis client of asynq's client. It records the script that asynq
// calls instead of calling it, if the context has a scriptCall.
type recorder struct{ redis.UniversalClient }

type callKey struct{}

// EvalSha implements [redis.Scripter].
func (r recorder) EvalSha(ctx context.Context, hash string, keys []string, args ...any) *redis.Cmd {
	if ctx.Value(callKey{}) == nil {
		return r.UniversalClient.EvalSha(ctx, hash, keys, args...)
	}
	result := redis.NewCmd(ctx)
	result.SetErr(noScript{}) // go-redis calls Eval with the whole script
	return result
}

// Eval implements [redis.Scripter].
func (r recorder) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	call, ok := ctx.Value(callKey{}).(*scriptCall)
	if !ok {
		return r.UniversalClient.Eval(ctx, script, keys, args...)
	}
	*call = scriptCall{script: script, keys: keys, args: args}
	result := redis.NewCmd(ctx)
	result.SetVal(int64(1))
	return result
}

// noScript is Redis's error for the hash of an unknown script.
type noScript struct{}

func (noScript) Error() string { return "NOSCRIPT" }

// RedisError implements [redis.Error].
func (noScript) RedisError() {}

// enqueue gives asynq the task of an identity, unless it has it. A record that
// was stored just now can meet the task of an earlier outcome that asynq is about
// to remove; then it is tried again.
func (o *Outbox) enqueue(ctx context.Context, identity string, fresh bool) error {
	for {
		err := o.enqueueTask(ctx, identity)
		if !errors.Is(err, asynq.ErrTaskIDConflict) {
			return err
		}
		task, err := o.inspector.GetTaskInfo(o.live.name, identity)
		switch {
		case isAbsent(err):
			continue
		case err != nil:
			return err
		case task.State == asynq.TaskStateCompleted, task.State == asynq.TaskStateArchived:
			if err := o.deleteTask(identity); err != nil {
				return err
			}
			continue
		case task.State != asynq.TaskStateActive || !fresh:
			return nil
		}
		// The worker that has the task may have read the record or not. Repair
		// finds the records that it leaves without a task.
		if timeLeft(ctx) < 2*conflictPause || sleep.For(ctx, conflictPause) != nil {
			return nil
		}
	}
}

// conflictPause is between two attempts to enqueue beside an outcome.
const conflictPause = 20 * time.Millisecond

// timeLeft returns the time until ctx's deadline.
func timeLeft(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return time.Hour
	}
	return time.Until(deadline)
}
