package asynqoutbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
	"github.com/redis/go-redis/v9"
)

// recordLifetime limits the lifetime of an event and of the list of a key's
// events. It is longer than any event waits or any dead letter is kept.
const recordLifetime = 400 * 24 * time.Hour

// storeRecords stores the events beside their tasks in one round trip. A task
// only has the identity, so that a delivered event leaves little data, and no
// personal data, for the deduplication window.
func (o *Outbox) storeRecords(ctx context.Context, records []outbox.Record) error {
	pipe := o.cfg.Redis.Pipeline()
	for _, r := range records {
		value, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("asynqoutbox: encoding an event: %w", err)
		}
		for _, hash := range r.Keys {
			pipe.SAdd(ctx, o.live.events(hash), r.Identity)
			pipe.Expire(ctx, o.live.events(hash), recordLifetime)
		}
		pipe.SetNX(ctx, o.live.record(r.Identity), value, recordLifetime)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("asynqoutbox: storing an event: %w", err)
	}
	return nil
}

// loadRecord returns the event of an identity. found is false if it was erased,
// or if it was delivered before a crash and asynq does not know.
func (o *Outbox) loadRecord(ctx context.Context, identity string) (r outbox.Record, found bool, err error) {
	value, err := o.cfg.Redis.Get(ctx, o.live.record(identity)).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return r, false, nil
	case err != nil:
		return r, false, fmt.Errorf("asynqoutbox: reading an event: %w", err)
	}
	if r, err = decodeRecord(value); err != nil {
		r = outbox.Record{Identity: identity, Payload: value} // the delivery reports the problem
	}
	return r, true, nil
}

func decodeRecord(value []byte) (outbox.Record, error) {
	var r outbox.Record
	err := json.Unmarshal(value, &r)
	return r, err
}

func (o *Outbox) deleteRecord(ctx context.Context, identity string) error {
	return o.cfg.Redis.Del(ctx, o.live.record(identity)).Err()
}

// Erase implements [outbox.Outbox].
func (o *Outbox) Erase(ctx context.Context, key clickid.Key) (int, error) {
	hash, err := outbox.KeyHash(key)
	if err != nil {
		return 0, err
	}
	identities, err := o.cfg.Redis.SMembers(ctx, o.live.events(hash)).Result()
	if err != nil {
		return 0, fmt.Errorf("asynqoutbox: listing the events of the key: %w", err)
	}
	erased := 0
	for _, identity := range identities {
		waited, err := o.eraseWaiting(ctx, identity)
		if err != nil {
			return erased, fmt.Errorf("asynqoutbox: erasing an event: %w", err)
		}
		if waited {
			erased++
		}
	}
	dead, err := o.eraseDead(ctx, hash)
	if err != nil {
		return erased + dead, err
	}
	if err := o.cfg.Redis.Del(ctx, o.live.events(hash)).Err(); err != nil {
		return erased + dead, fmt.Errorf("asynqoutbox: deleting the key: %w", err)
	}
	return erased + dead, nil
}

// eraseWaiting deletes an event from the queue and reports whether it was
// there. A worker that has its task finds no event, unless it has already read
// it.
func (o *Outbox) eraseWaiting(ctx context.Context, identity string) (bool, error) {
	n, err := o.cfg.Redis.Del(ctx, o.live.record(identity)).Result()
	if err != nil || n == 0 {
		return false, err
	}
	return true, o.deleteTask(identity)
}

// eraseDead deletes the dead letters of a key and returns their number.
func (o *Outbox) eraseDead(ctx context.Context, hash string) (int, error) {
	tasks, err := o.deadTasks(ctx)
	if err != nil {
		return 0, err
	}
	var ids []string
	for _, task := range tasks {
		var l letter
		if json.Unmarshal(task.Payload, &l) == nil && slices.Contains(l.Record.Keys, hash) {
			ids = append(ids, task.ID)
		}
	}
	return o.Discard(ctx, ids...)
}
