package asynqoutbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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

// keepDead stores a dead letter. Each step can be repeated after a crash: the
// letter comes first. A cluster may keep it on another server than the record, so
// that both cannot be changed at once.
func (o *Outbox) keepDead(ctx context.Context, r outbox.Record, f outbox.Failure, attempts int) error {
	id := letterID(r)
	if err := o.storeLetter(ctx, id, letter{
		Record: r, Reason: f.Reason, Status: f.Status, Attempts: attempts, FailedAt: time.Now().UTC(),
	}); err != nil {
		return err
	}
	settled, err := o.settleOwn(ctx, r, markDead+id+"|"+r.Fingerprint, 0)
	if err == nil && !settled {
		err = o.deleteLetter(ctx, id, newest)
	}
	if err != nil && !isAbsent(err) {
		return &postponement{wait: time.Second, reason: "Redis could not take the dead letter"}
	}
	return nil
}

// deleteLeft deletes what keepDead has stored before a crash of an event that was
// erased in between, or skipped by another worker.
func (o *Outbox) deleteLeft(ctx context.Context, identity string) error {
	ids, err := o.cfg.Redis.LRange(ctx, o.dead.pending(), 0, -1).Result()
	for _, id := range ids {
		if err == nil && strings.HasPrefix(id, identity+".") {
			err = o.deleteLetter(ctx, id, newest)
		}
	}
	if err != nil && !isAbsent(err) {
		return &postponement{wait: time.Second, reason: "Redis could not delete the dead letter of an erased event"}
	}
	return nil
}

func (o *Outbox) storeLetter(ctx context.Context, id string, l letter) error {
	payload, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("asynqoutbox: encoding the dead letter: %w", err)
	}
	_, err = o.client.EnqueueContext(ctx, asynq.NewTask(deadTask, payload),
		asynq.TaskID(id), asynq.Queue(o.dead.name), asynq.MaxRetry(endlessRetries))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return &postponement{wait: time.Second, reason: "Redis could not take the dead letter"}
	}
	return nil
}

// reasonLost is why a task without its record is a dead letter.
const reasonLost = "Redis has lost the event, by an eviction, a failover or a deletion; send the order's event again"

// keepLost stores that an event is lost. Its identity stays free, so that the
// event can be sent again.
func (o *Outbox) keepLost(ctx context.Context, identity string) error {
	now := time.Now().UTC()
	r := outbox.Record{Identity: identity, QueuedAt: now.Truncate(time.Millisecond)}
	o.delivery.Observe(ctx, outbox.Observation{Kind: outbox.KindRecordLost, Reason: reasonLost})
	if err := o.storeLetter(ctx, letterID(r), letter{Record: r, Reason: reasonLost, Attempts: 1, FailedAt: now}); err != nil {
		return err
	}
	// A task without an index entry is not another loss when asynq repeats it.
	_, err := o.settle(ctx, r, markLost, freeLifetime)
	return err
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
		letters = append(letters, readLetter(tasks[i]))
	}
	return letters, nil
}

// readLetter returns the dead letter of a task.
func readLetter(task *asynq.TaskInfo) outbox.DeadLetter {
	var l letter
	if err := json.Unmarshal(task.Payload, &l); err != nil {
		l.Reason = "the dead letter is damaged and can only be discarded"
	}
	failure := outbox.Failure{Reason: l.Reason, Status: l.Status}
	return outbox.NewDeadLetter(task.ID, l.Record, failure, l.Attempts, l.FailedAt)
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
		switch {
		case len(tasks) == listPage:
		case page == 1:
			return all, nil
		default:
			return o.withMissed(ctx, all)
		}
	}
}

// withMissed returns the dead letters that are in the list now, the oldest first, of
// which tasks has most. Each that is deleted between the reading of two pages moves
// another one to a page that has been read.
func (o *Outbox) withMissed(ctx context.Context, tasks []*asynq.TaskInfo) ([]*asynq.TaskInfo, error) {
	ids, err := o.cfg.Redis.LRange(ctx, o.dead.pending(), 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("asynqoutbox: listing dead letters: %w", err)
	}
	read := make(map[string]*asynq.TaskInfo, len(tasks))
	for _, task := range tasks {
		read[task.ID] = task
	}
	var all []*asynq.TaskInfo
	for _, id := range slices.Backward(ids) {
		if task, ok := read[id]; ok {
			all = append(all, task)
			continue
		}
		missed, err := o.chosen(ctx, []string{id})
		if err != nil {
			return nil, err
		}
		all = append(all, missed...)
	}
	return all, nil
}

// Replay implements [outbox.Outbox]. A damaged or lost dead letter stays one, and
// is an error only if ids contains it.
func (o *Outbox) Replay(ctx context.Context, ids ...string) (int, error) {
	tasks, err := o.chosen(ctx, ids)
	if err != nil {
		return 0, err
	}
	replayed, end := 0, newest
	if len(ids) == 0 {
		end = oldest // where the list of all dead letters begins
	}
	var damaged error
	for _, task := range tasks {
		var l letter
		if err := json.Unmarshal(task.Payload, &l); err != nil || len(l.Record.Payload) == 0 {
			if len(ids) > 0 {
				damaged = errors.New("asynqoutbox: a dead letter is damaged or lost, and can only be discarded")
			}
			continue
		}
		if err := o.replay(ctx, task.ID, end, l.Record); err != nil {
			return replayed, fmt.Errorf("asynqoutbox: replaying a dead letter: %w", err)
		}
		replayed++
	}
	return replayed, damaged
}

// replay queues a dead event. The letter is deleted last, so that every step
// can be repeated after a crash.
func (o *Outbox) replay(ctx context.Context, id string, end end, dead outbox.Record) error {
	r := dead.Replayed(time.Now())
	keys, args, err := o.storeArgs(r)
	if err != nil {
		return err
	}
	args = append(args, dead.QueuedAt.UnixMilli(), markDead+id+"|", markFree+id)
	stored, err := replayScript.Run(ctx, o.cfg.Redis, keys, args...).Int()
	if err != nil {
		return err
	}
	if stored == 1 {
		if err := o.enqueue(ctx, r.Identity, true); err != nil {
			return err
		}
	}
	if err := o.deleteLetter(ctx, id, end); err != nil && !isAbsent(err) {
		return err
	}
	return nil
}

// end is the end of the list of dead letters from which Redis looks for one.
type end int

const (
	oldest end = -1
	newest end = 1
)

// deleteLetter deletes a dead letter. asynq's inspector reads the whole list for it,
// so that a replay of all of them would take quadratic time.
func (o *Outbox) deleteLetter(ctx context.Context, id string, from end) error {
	deleted, err := deleteScript.Run(ctx, o.cfg.Redis, []string{o.dead.pending(), o.dead.taskPrefix() + id}, int(from), id).Int()
	if err != nil || deleted > 0 {
		return err
	}
	return o.inspector.DeleteTask(o.dead.name, id) // absent, or an operator has archived it
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
		// The identity comes first: a letter that is left can be discarded again.
		if err := o.free(ctx, id); err != nil {
			return discarded, fmt.Errorf("asynqoutbox: Redis could not discard the dead letter: %w", err)
		}
		err := o.deleteLetter(ctx, id, newest)
		if err != nil && !isAbsent(err) {
			return discarded, fmt.Errorf("asynqoutbox: discarding a dead letter: %w", err)
		}
		if err == nil {
			discarded++
		}
		if err := o.freed(ctx, id); err != nil {
			return discarded, fmt.Errorf("asynqoutbox: Redis could not discard the dead letter: %w", err)
		}
	}
	return discarded, nil
}

// free frees the identity of a dead letter.
func (o *Outbox) free(ctx context.Context, id string) error {
	identity, queued, _ := strings.Cut(id, ".")
	return freeScript.Run(ctx, o.cfg.Redis, []string{o.live.marker(identity), o.live.record(identity), o.live.waiting()},
		markDead+id+"|", markFree+id, seconds(freeLifetime), identity, queued).Err()
}

// freed ends the discarding of a dead letter.
func (o *Outbox) freed(ctx context.Context, id string) error {
	identity, _, _ := strings.Cut(id, ".")
	return discardedScript.Run(ctx, o.cfg.Redis, []string{o.live.marker(identity)}, markFree+id, markFree, seconds(freeLifetime)).Err()
}

// deleteTask deletes the task of an event, unless it is being worked on.
func (o *Outbox) deleteTask(identity string) error {
	for {
		task, err := o.inspector.GetTaskInfo(o.live.name, identity)
		if isAbsent(err) || err == nil && task.State == asynq.TaskStateActive {
			return nil
		}
		if err != nil {
			return err
		}
		state := task.State
		err = o.inspector.DeleteTask(o.live.name, identity)
		if err == nil || isAbsent(err) {
			return nil
		}
		// A worker may have taken the task since.
		task, failed := o.inspector.GetTaskInfo(o.live.name, identity)
		if failed == nil && task.State == state {
			return err
		}
	}
}
