package asynqoutbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/clickid/clickid/outbox"
	"github.com/hibiken/asynq"
)

// letter is the stored form of a dead letter.
type letter struct {
	Record   outbox.Record `json:"record"`
	Reason   string        `json:"reason"`
	Status   int           `json:"status,omitempty"`
	Attempts int           `json:"attempts"`
	FailedAt time.Time     `json:"failed_at"`
}

// bury stores a dead letter and makes asynq archive the event's task, so that
// its identity remains known. The letter is stored first, so that every step
// can be repeated after a crash.
func (o *Outbox) bury(ctx context.Context, r outbox.Record, f outbox.Failure, attempts int) error {
	payload, err := json.Marshal(letter{
		Record: r, Reason: f.Reason, Status: f.Status, Attempts: attempts, FailedAt: time.Now().UTC(),
	})
	if err != nil {
		return fmt.Errorf("asynqoutbox: encoding the dead letter: %w", err)
	}
	_, err = o.client.EnqueueContext(ctx, asynq.NewTask(deadTask, payload),
		asynq.TaskID(letterID(r)), asynq.Queue(o.dead.name), asynq.MaxRetry(endlessRetries))
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		err = nil
	}
	if err == nil {
		err = o.deleteRecord(ctx, r.Identity)
	}
	if err != nil {
		return &postponement{wait: time.Second, reason: "storing the dead letter failed"}
	}
	return fmt.Errorf("asynqoutbox: dead letter: %w", asynq.SkipRetry)
}

// letterID returns the ID of a dead letter. It contains the time of the record,
// which a replay renews, so that an event that dies again gets a new ID while
// the old letter is being deleted.
func letterID(r outbox.Record) string {
	return r.Identity + "." + strconv.FormatInt(r.QueuedAt.UnixMilli(), 10)
}

// DeadLetters implements [outbox.Outbox].
func (o *Outbox) DeadLetters(ctx context.Context, page outbox.Page) ([]outbox.DeadLetter, error) {
	page = page.WithDefaults()
	tasks, err := o.deadTasks(ctx)
	if err != nil {
		return nil, err
	}
	// asynq lists the oldest first.
	letters := make([]outbox.DeadLetter, 0, min(page.Limit, len(tasks)))
	for i := len(tasks) - 1 - page.Offset; i >= 0 && len(letters) < page.Limit; i-- {
		var l letter
		if err := json.Unmarshal(tasks[i].Payload, &l); err != nil {
			l.Reason = "the dead letter is damaged and can only be discarded"
		}
		failure := outbox.Failure{Reason: l.Reason, Status: l.Status}
		letters = append(letters, outbox.NewDeadLetter(tasks[i].ID, l.Record, failure, l.Attempts, l.FailedAt))
	}
	return letters, nil
}

// listPage is the number of tasks that the inspector reads at once.
const listPage = 1000

// deadTasks returns all dead letters, the oldest first.
func (o *Outbox) deadTasks(ctx context.Context) ([]*asynq.TaskInfo, error) {
	var all []*asynq.TaskInfo
	for page := 1; ; page++ {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("asynqoutbox: listing dead letters: %w", err)
		}
		tasks, err := o.inspector.ListPendingTasks(o.dead.name, asynq.PageSize(listPage), asynq.Page(page))
		if isAbsent(err) {
			return all, nil // the queue does not exist before the first dead letter
		}
		if err != nil {
			return nil, fmt.Errorf("asynqoutbox: listing dead letters: %w", err)
		}
		all = append(all, tasks...)
		if len(tasks) < listPage {
			return all, nil
		}
	}
}

// Replay implements [outbox.Outbox].
func (o *Outbox) Replay(ctx context.Context, ids ...string) (int, error) {
	tasks, err := o.chosen(ctx, ids)
	if err != nil {
		return 0, err
	}
	replayed := 0
	for _, task := range tasks {
		var l letter
		if err := json.Unmarshal(task.Payload, &l); err != nil {
			return replayed, fmt.Errorf("asynqoutbox: a dead letter is damaged; discard it: %w", err)
		}
		if err := o.replay(ctx, task.ID, l.Record.Replayed(time.Now())); err != nil {
			return replayed, fmt.Errorf("asynqoutbox: replaying a dead letter: %w", err)
		}
		replayed++
	}
	return replayed, nil
}

// replay queues a dead event. The letter is deleted last, so that every step
// can be repeated after a crash.
func (o *Outbox) replay(ctx context.Context, id string, r outbox.Record) error {
	if err := o.deleteTask(r.Identity); err != nil {
		return err
	}
	if err := o.Enqueue(ctx, []outbox.Record{r}); err != nil {
		return err
	}
	if err := o.inspector.DeleteTask(o.dead.name, id); err != nil && !isAbsent(err) {
		return err
	}
	return nil
}

// chosen returns the dead letters of the given IDs that exist, or all dead
// letters.
func (o *Outbox) chosen(ctx context.Context, ids []string) ([]*asynq.TaskInfo, error) {
	if len(ids) == 0 {
		return o.deadTasks(ctx)
	}
	var tasks []*asynq.TaskInfo
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("asynqoutbox: reading dead letters: %w", err)
		}
		task, err := o.inspector.GetTaskInfo(o.dead.name, id)
		switch {
		case isAbsent(err):
		case err != nil:
			return nil, fmt.Errorf("asynqoutbox: reading a dead letter: %w", err)
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
			return discarded, fmt.Errorf("asynqoutbox: discarding dead letters: %w", err)
		}
		err := o.inspector.DeleteTask(o.dead.name, id)
		switch {
		case isAbsent(err):
		case err != nil:
			return discarded, fmt.Errorf("asynqoutbox: discarding a dead letter: %w", err)
		default:
			discarded++
		}
	}
	return discarded, nil
}

// deleteTask deletes the task of an event, unless it is being delivered.
func (o *Outbox) deleteTask(identity string) error {
	task, err := o.inspector.GetTaskInfo(o.live.name, identity)
	if isAbsent(err) || err == nil && task.State == asynq.TaskStateActive {
		return nil
	}
	if err != nil {
		return err
	}
	if err := o.inspector.DeleteTask(o.live.name, identity); err != nil && !isAbsent(err) {
		return err
	}
	return nil
}
