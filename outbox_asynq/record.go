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

// recordLifetime bounds how long an event, and the list of events of a key,
// can lie about: far longer than any event waits or dead letter is kept.
const recordLifetime = 400 * 24 * time.Hour

// storeRecords stores the events beside their tasks, in one round trip. A task
// holds nothing but the identity, so that what is remembered of a delivered
// event for the window is small and no personal data.
func (o *Outbox) storeRecords(ctx context.Context, records []outbox.Record) error {
	pipe := o.cfg.Redis.Pipeline()
	for _, r := range records {
		value, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("asynqoutbox: the event cannot be stored as JSON: %w", err)
		}
		for _, hash := range r.Keys {
			pipe.SAdd(ctx, o.live.events(hash), r.Identity)
			pipe.Expire(ctx, o.live.events(hash), recordLifetime)
		}
		pipe.SetNX(ctx, o.live.record(r.Identity), value, recordLifetime)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("asynqoutbox: Redis could not store the event: %w", err)
	}
	return nil
}

// loadRecord returns the event of an identity. found is false when it was
// erased, or was done with before a crash kept that from being noted.
func (o *Outbox) loadRecord(ctx context.Context, identity string) (r outbox.Record, found bool, err error) {
	value, err := o.cfg.Redis.Get(ctx, o.live.record(identity)).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return r, false, nil
	case err != nil:
		return r, false, fmt.Errorf("asynqoutbox: Redis could not read the event: %w", err)
	}
	if r, err = decodeRecord(value); err != nil {
		r = outbox.Record{Identity: identity, Payload: value} // the delivery says what is wrong with it
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
		return 0, fmt.Errorf("asynqoutbox: Redis could not list the events of the key: %w", err)
	}
	erased := 0
	for _, identity := range identities {
		waited, err := o.eraseWaiting(ctx, identity)
		if err != nil {
			return erased, fmt.Errorf("asynqoutbox: Redis could not erase the event: %w", err)
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
		return erased + dead, fmt.Errorf("asynqoutbox: Redis could not forget the key: %w", err)
	}
	return erased + dead, nil
}

// eraseWaiting removes an event from the queue and reports whether it was
// there. A worker that has its task already finds no event, unless it has read
// it before.
func (o *Outbox) eraseWaiting(ctx context.Context, identity string) (bool, error) {
	n, err := o.cfg.Redis.Del(ctx, o.live.record(identity)).Result()
	if err != nil || n == 0 {
		return false, err
	}
	return true, o.deleteTask(identity)
}

// eraseDead removes the dead letters of a key and returns how many they were.
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
