package asynqoutbox

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisQueue returns the names of a queue's keys: those of asynq, for what its
// inspector does not support, and those of this package. The hash tag keeps all
// keys of a queue in one slot of a cluster.
type redisQueue struct{ name string }

func (q redisQueue) asynq(part string) string { return "asynq:{" + q.name + "}:" + part }

func (q redisQueue) pending() string    { return q.asynq("pending") }
func (q redisQueue) active() string     { return q.asynq("active") }
func (q redisQueue) lease() string      { return q.asynq("lease") }
func (q redisQueue) scheduled() string  { return q.asynq("scheduled") }
func (q redisQueue) retry() string      { return q.asynq("retry") }
func (q redisQueue) completed() string  { return q.asynq("completed") }
func (q redisQueue) taskPrefix() string { return q.asynq("t:") }

func (q redisQueue) own(part string) string { return "clickid:{" + q.name + "}:" + part }

// record returns the key of the event of an identity.
func (q redisQueue) record(identity string) string { return q.own("event:" + identity) }

// events returns the key of the set of identities that belong to an
// application's key.
func (q redisQueue) events(keyHash string) string { return q.own("key:" + keyHash) }

// sizes counts the events of a queue.
type sizes struct{ waiting, completed int }

func (o *Outbox) sizes(ctx context.Context, q redisQueue) (sizes, error) {
	pipe := o.cfg.Redis.Pipeline()
	waiting := []*redis.IntCmd{
		pipe.LLen(ctx, q.pending()), pipe.LLen(ctx, q.active()),
		pipe.ZCard(ctx, q.scheduled()), pipe.ZCard(ctx, q.retry()),
	}
	completed := pipe.ZCard(ctx, q.completed())
	if _, err := pipe.Exec(ctx); err != nil {
		return sizes{}, fmt.Errorf("asynqoutbox: counting events: %w", err)
	}
	s := sizes{completed: int(completed.Val())}
	for _, count := range waiting {
		s.waiting += int(count.Val())
	}
	return s, nil
}

// oldestLooked limits the number of events among which oldest searches.
const oldestLooked = 1000

// oldest returns the time at which the oldest queued event was queued, or the
// zero time.
func (o *Outbox) oldest(ctx context.Context) (time.Time, error) {
	pipe := o.cfg.Redis.Pipeline()
	lists := []*redis.StringSliceCmd{
		pipe.LRange(ctx, o.live.pending(), -1, -1), // asynq pushes on the left
		pipe.LRange(ctx, o.live.active(), 0, oldestLooked),
		pipe.ZRange(ctx, o.live.retry(), 0, oldestLooked),
		pipe.ZRange(ctx, o.live.scheduled(), 0, oldestLooked),
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return time.Time{}, fmt.Errorf("asynqoutbox: listing the queue: %w", err)
	}
	var keys []string
	for _, list := range lists {
		for _, identity := range list.Val() {
			keys = append(keys, o.live.record(identity))
		}
	}
	if len(keys) == 0 {
		return time.Time{}, nil
	}
	values, err := o.cfg.Redis.MGet(ctx, keys...).Result()
	if err != nil {
		return time.Time{}, fmt.Errorf("asynqoutbox: reading the queue: %w", err)
	}
	var oldest time.Time
	for _, value := range values {
		text, _ := value.(string) // nil if the event was delivered in the meantime
		if r, err := decodeRecord([]byte(text)); err == nil && (oldest.IsZero() || r.QueuedAt.Before(oldest)) {
			oldest = r.QueuedAt
		}
	}
	return oldest, nil
}
