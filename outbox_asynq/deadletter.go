package asynqoutbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/clickid/clickid/outbox"
	"github.com/hibiken/asynq"
)

const deadTaskType = "clickid:dead"

// bury files a dead letter and tells asynq to archive the event's own task,
// which keeps its identity known. The letter comes first: after a crash
// between the two the event is delivered, and buried, again.
func (o *Outbox) bury(ctx context.Context, r outbox.Record, f outbox.Failure, attempts int) error {
	payload, err := json.Marshal(deadTask{
		Record: r, Reason: f.Reason, Status: f.Status, Attempts: attempts, FailedAt: time.Now().UTC(),
	})
	if err != nil {
		return fmt.Errorf("clickid: the dead letter cannot be stored as JSON: %w", err)
	}
	_, err = o.client.EnqueueContext(ctx, asynq.NewTask(deadTaskType, payload),
		asynq.TaskID(r.Identity), asynq.Queue(o.deadQueue()), asynq.MaxRetry(endlessRetries))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return &postponement{wait: time.Second, reason: "the dead letter could not be stored"}
	}
	return fmt.Errorf("clickid: dead letter: %w", asynq.SkipRetry)
}

// Failed implements [outbox.Outbox].
func (o *Outbox) Failed(ctx context.Context, page outbox.Page) ([]outbox.DeadLetter, error) {
	if page.Limit <= 0 {
		page.Limit = outbox.DefaultPageLimit
	}
	tasks, err := o.deadTasks(ctx)
	if err != nil {
		return nil, err
	}
	// asynq lists the oldest first.
	letters := make([]outbox.DeadLetter, 0, min(page.Limit, len(tasks)))
	for i := len(tasks) - 1 - max(page.Offset, 0); i >= 0 && len(letters) < page.Limit; i-- {
		letters = append(letters, deadLetter(tasks[i]))
	}
	return letters, nil
}

func deadLetter(task *asynq.TaskInfo) outbox.DeadLetter {
	letter := outbox.DeadLetter{ID: task.ID}
	var dead deadTask
	if err := json.Unmarshal(task.Payload, &dead); err != nil {
		letter.Reason = "the dead letter is damaged"
		return letter
	}
	letter.Reason, letter.Status, letter.Attempts = dead.Reason, dead.Status, dead.Attempts
	letter.QueuedAt, letter.FailedAt = dead.Record.QueuedAt, dead.FailedAt
	if event, err := dead.Record.Event(); err == nil {
		letter.Event, letter.Type, letter.EventID = event, event.Type, event.ID
	}
	return letter
}

// listPage is how many tasks one call of the inspector reads.
const listPage = 1000

// deadTasks lists all dead letters, the oldest first.
func (o *Outbox) deadTasks(ctx context.Context) ([]*asynq.TaskInfo, error) {
	var all []*asynq.TaskInfo
	for page := 1; ; page++ {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("clickid: listing the dead letters: %w", err)
		}
		tasks, err := o.inspector.ListPendingTasks(o.deadQueue(), asynq.PageSize(listPage), asynq.Page(page))
		if errors.Is(err, asynq.ErrQueueNotFound) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("clickid: Redis could not list the dead letters: %w", err)
		}
		all = append(all, tasks...)
		if len(tasks) < listPage {
			return all, nil
		}
	}
}

// Replay implements [outbox.Outbox].
func (o *Outbox) Replay(ctx context.Context, ids ...string) (int, error) {
	letters, err := o.chosen(ctx, ids)
	if err != nil {
		return 0, err
	}
	replayed := 0
	for _, task := range letters {
		var dead deadTask
		if err := json.Unmarshal(task.Payload, &dead); err != nil {
			return replayed, fmt.Errorf("clickid: a dead letter is damaged and can only be discarded: %w", err)
		}
		dead.Record.QueuedAt = time.Now().UTC()
		// Each step can be repeated after a crash: the letter goes last.
		if err := o.deleteTask(o.cfg.Queue, task.ID); err != nil {
			return replayed, fmt.Errorf("clickid: Redis could not replay the dead letter: %w", err)
		}
		if err := o.Enqueue(ctx, []outbox.Record{dead.Record}); err != nil {
			return replayed, err
		}
		if err := o.deleteTask(o.deadQueue(), task.ID); err != nil {
			return replayed, fmt.Errorf("clickid: Redis could not replay the dead letter: %w", err)
		}
		replayed++
	}
	return replayed, nil
}

// chosen returns the dead letters of the given IDs as far as they exist, or
// all of them.
func (o *Outbox) chosen(ctx context.Context, ids []string) ([]*asynq.TaskInfo, error) {
	if len(ids) == 0 {
		return o.deadTasks(ctx)
	}
	var tasks []*asynq.TaskInfo
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("clickid: reading the dead letters: %w", err)
		}
		task, err := o.inspector.GetTaskInfo(o.deadQueue(), id)
		switch {
		case isAbsent(err):
		case err != nil:
			return nil, fmt.Errorf("clickid: Redis could not read the dead letter: %w", err)
		default:
			tasks = append(tasks, task)
		}
	}
	return tasks, nil
}

// Discard implements [outbox.Outbox].
func (o *Outbox) Discard(ctx context.Context, ids ...string) (int, error) {
	discarded := 0
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return discarded, fmt.Errorf("clickid: discarding dead letters: %w", err)
		}
		err := o.inspector.DeleteTask(o.deadQueue(), id)
		switch {
		case isAbsent(err):
		case err != nil:
			return discarded, fmt.Errorf("clickid: Redis could not discard the dead letter: %w", err)
		default:
			discarded++
		}
	}
	return discarded, nil
}

// deleteTask deletes a task; one that does not exist, or that is already being
// delivered again, is no error.
func (o *Outbox) deleteTask(queue, id string) error {
	info, err := o.inspector.GetTaskInfo(queue, id)
	if isAbsent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.State == asynq.TaskStateActive {
		return nil
	}
	if err := o.inspector.DeleteTask(queue, id); err != nil && !isAbsent(err) {
		return err
	}
	return nil
}

func isAbsent(err error) bool {
	return errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound)
}
