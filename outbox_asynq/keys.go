package asynqoutbox

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// redisKeys are asynq's keys of one queue, for what its own inspector cannot
// do: count within a deadline, and find what crashes leave behind. The hash
// tag keeps a queue, and what we file beside it, in one slot of a cluster.
type redisKeys struct{ queue string }

func (k redisKeys) asynq(part string) string { return "asynq:{" + k.queue + "}:" + part }

func (k redisKeys) pending() string    { return k.asynq("pending") }
func (k redisKeys) active() string     { return k.asynq("active") }
func (k redisKeys) lease() string      { return k.asynq("lease") }
func (k redisKeys) scheduled() string  { return k.asynq("scheduled") }
func (k redisKeys) retry() string      { return k.asynq("retry") }
func (k redisKeys) completed() string  { return k.asynq("completed") }
func (k redisKeys) taskPrefix() string { return k.asynq("t:") }

// events is the set of the identities that can be erased by an application's
// key, given by its hash.
func (k redisKeys) events(keyHash string) string { return "clickid:{" + k.queue + "}:key:" + keyHash }

// erased marks an event that was being sent when it was erased.
func (k redisKeys) erased(identity string) string {
	return "clickid:{" + k.queue + "}:erased:" + identity
}

// sizes counts the events of a queue.
type sizes struct{ waiting, completed int }

func (o *Outbox) sizes(ctx context.Context, queue string) (sizes, error) {
	k := redisKeys{queue}
	pipe := o.cfg.Redis.Pipeline()
	counts := []*redis.IntCmd{
		pipe.LLen(ctx, k.pending()), pipe.LLen(ctx, k.active()),
		pipe.ZCard(ctx, k.scheduled()), pipe.ZCard(ctx, k.retry()),
	}
	completed := pipe.ZCard(ctx, k.completed())
	if _, err := pipe.Exec(ctx); err != nil {
		return sizes{}, fmt.Errorf("clickid: Redis could not count the events: %w", err)
	}
	var s sizes
	for _, count := range counts {
		s.waiting += int(count.Val())
	}
	s.completed = int(completed.Val())
	return s, nil
}
