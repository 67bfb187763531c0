package asynqoutbox

import (
	"context"
	"fmt"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
	"github.com/hibiken/asynq"
)

// keysLifetime is how long the events of a key can be found: as long as dead
// letters may lie about. Each further event of the key begins it anew.
const keysLifetime = 400 * 24 * time.Hour

// fileKeys makes the records findable by the application's keys, in one round
// trip.
func (o *Outbox) fileKeys(ctx context.Context, records []outbox.Record) error {
	k := redisKeys{o.cfg.Queue}
	pipe := o.cfg.Redis.Pipeline()
	for _, r := range records {
		for _, hash := range r.Keys {
			pipe.SAdd(ctx, k.events(hash), r.Identity)
			pipe.Expire(ctx, k.events(hash), keysLifetime)
		}
	}
	if pipe.Len() == 0 {
		return nil
	}
	_, err := pipe.Exec(ctx)
	return err
}

// Erase implements [outbox.Outbox]. It also removes what is remembered of
// delivered events, so that the same ID would be sent again.
func (o *Outbox) Erase(ctx context.Context, key clickid.Key) (int, error) {
	if key.IsZero() {
		return 0, fmt.Errorf("%w: the key to erase is empty", clickid.ErrInvalid)
	}
	hash, err := key.MarshalText()
	if err != nil {
		return 0, err
	}
	k := redisKeys{o.cfg.Queue}
	identities, err := o.cfg.Redis.SMembers(ctx, k.events(string(hash))).Result()
	if err != nil {
		return 0, fmt.Errorf("clickid: Redis could not list the events of the key: %w", err)
	}
	erased := 0
	for _, identity := range identities {
		found, err := o.eraseEvent(ctx, identity)
		if err != nil {
			return erased, fmt.Errorf("clickid: Redis could not erase the event: %w", err)
		}
		if found {
			erased++
		}
	}
	if err := o.cfg.Redis.Del(ctx, k.events(string(hash))).Err(); err != nil {
		return erased, fmt.Errorf("clickid: Redis could not forget the key: %w", err)
	}
	return erased, nil
}

// eraseEvent removes an event from queue and dead letters and reports whether
// it was in either.
func (o *Outbox) eraseEvent(ctx context.Context, identity string) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	found := false
	for _, queue := range []string{o.deadQueue(), o.cfg.Queue} {
		task, err := o.inspector.GetTaskInfo(queue, identity)
		if isAbsent(err) {
			continue
		}
		if err != nil {
			return found, err
		}
		switch task.State {
		case asynq.TaskStateCompleted, asynq.TaskStateArchived:
		default:
			found = true
		}
		if task.State == asynq.TaskStateActive {
			// Asynq deletes no task that is being worked on. If this attempt
			// fails, the worker sees the mark and deletes it.
			err = o.cfg.Redis.Set(ctx, redisKeys{o.cfg.Queue}.erased(identity), 1, taskTimeout).Err()
		} else {
			err = o.inspector.DeleteTask(queue, identity)
		}
		if err != nil && !isAbsent(err) {
			return found, err
		}
	}
	return found, nil
}

// wasErased reports whether the event was erased while it was being sent. When
// Redis cannot tell, asynq cannot record the attempt either.
func (o *Outbox) wasErased(ctx context.Context, identity string) bool {
	n, err := o.cfg.Redis.Del(ctx, redisKeys{o.cfg.Queue}.erased(identity)).Result()
	return err == nil && n > 0
}
