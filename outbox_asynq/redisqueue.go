package asynqoutbox

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
)

// redisQueue returns the names of a queue's keys: those of asynq, for what its
// inspector does not support, and those of this package. The hash tag keeps all
// keys of a queue in one slot of a cluster.
type redisQueue struct{ name string }

func (q redisQueue) asynq(part string) string { return "asynq:{" + q.name + "}:" + part }

func (q redisQueue) pending() string    { return q.asynq("pending") }
func (q redisQueue) active() string     { return q.asynq("active") }
func (q redisQueue) lease() string      { return q.asynq("lease") }
func (q redisQueue) taskPrefix() string { return q.asynq("t:") }
func (q redisQueue) paused() string     { return q.asynq("paused") }

func (q redisQueue) own(part string) string { return "clickid:{" + q.name + "}:" + part }

// record is the key of the event of an identity, and marker that of its outcome.
// Half of an identity is long enough to distinguish events.
func (q redisQueue) record(identity string) string { return q.own("event:" + identity) }
func (q redisQueue) marker(identity string) string { return q.own("id:" + short(identity)) }

// events is the set of the identities that belong to an application's key.
func (q redisQueue) events(keyHash string) string { return q.own("key:" + short(keyHash)) }

// waiting has the identities of what waits, by the time of queueing.
func (q redisQueue) waiting() string { return q.own("waiting") }

// deliveries counts the delivered events of each hour.
func (q redisQueue) deliveries() string { return q.own("delivered") }

// skips has what remains of skipped events, by time.
func (q redisQueue) skips() string { return q.own("skipped") }

// server is where the server's replication ID is noted.
func (q redisQueue) server() string { return q.own("server") }

// short returns half of a hash in hexadecimal, in base64.
func short(hash string) string {
	data, err := hex.DecodeString(hash)
	if err != nil || len(data) != 32 {
		return hash
	}
	return base64.RawURLEncoding.EncodeToString(data[:16])
}

// sizes counts the events of the queue.
type sizes struct{ waiting, delivered, skipped, deadLetters int }

func (o *Outbox) sizes(ctx context.Context) (sizes, error) {
	pipe := o.cfg.Redis.Pipeline()
	waiting := pipe.ZCard(ctx, o.live.waiting())
	delivered := pipe.HGetAll(ctx, o.live.deliveries())
	o.trimSkips(ctx, pipe)
	skipped := pipe.ZCard(ctx, o.live.skips())
	if _, err := pipe.Exec(ctx); err != nil {
		return sizes{}, fmt.Errorf("asynqoutbox: counting events: %w", err)
	}
	dead, err := o.cfg.Redis.LLen(ctx, o.dead.pending()).Result()
	if err != nil {
		return sizes{}, fmt.Errorf("asynqoutbox: Redis could not count the dead letters: %w", err)
	}
	s := sizes{waiting: int(waiting.Val()), skipped: int(skipped.Val()), deadLetters: int(dead)}
	for hour, count := range delivered.Val() {
		h, _ := strconv.ParseInt(hour, 10, 64)
		n, _ := strconv.Atoi(count)
		if h >= o.firstHour() {
			s.delivered += n
		}
	}
	return s, nil
}

// oldest returns when the oldest waiting event was queued, or the zero time.
func (o *Outbox) oldest(ctx context.Context) (time.Time, error) {
	first, err := o.cfg.Redis.ZRangeWithScores(ctx, o.live.waiting(), 0, 0).Result()
	if err != nil {
		return time.Time{}, fmt.Errorf("asynqoutbox: reading the queue: %w", err)
	}
	if len(first) == 0 {
		return time.Time{}, nil
	}
	return time.UnixMilli(int64(first[0].Score)), nil
}
