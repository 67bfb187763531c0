package asynqoutbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
)

// repairInterval is the interval of repair, that of asynq's recoverer.
const repairInterval = time.Minute

// repairScript repairs tasks that asynq's recoverer does not find. It searches
// by leases, so it never finds a task in the active list without a lease, and
// it fails for a task with an expired lease that is not in that list.
//
// KEYS: active, lease. ARGV: the time of an expired lease in seconds, the
// prefix of task keys. Returns the number of repaired tasks.
var repairScript = redis.NewScript(`
local repaired = 0
local active = {}
for _, id in ipairs(redis.call("LRANGE", KEYS[1], 0, -1)) do
	active[id] = true
	if not redis.call("ZSCORE", KEYS[2], id) then
		redis.call("ZADD", KEYS[2], ARGV[1], id)
		repaired = repaired + 1
	end
end
for _, id in ipairs(redis.call("ZRANGEBYSCORE", KEYS[2], "-inf", ARGV[1])) do
	if not active[id] then
		if redis.call("HGET", ARGV[2] .. id, "state") == "active" then
			redis.call("LPUSH", KEYS[1], id)
			repaired = repaired + 1
		else
			redis.call("ZREM", KEYS[2], id)
		end
	end
end
return repaired`)

// repair makes abandoned events available to asynq's recoverer.
func (o *Outbox) repair(ctx context.Context) (repaired int, err error) {
	expired := time.Now().Add(-2 * time.Minute).Unix()
	repaired, err = repairScript.Run(ctx, o.cfg.Redis, []string{o.live.active(), o.live.lease()}, expired, o.live.taskPrefix()).Int()
	if err != nil {
		return 0, fmt.Errorf("asynqoutbox: searching for abandoned events: %w", err)
	}
	return repaired, nil
}

// orphanPages bounds how many pages of listPage waiting events one repair looks at.
const orphanPages = 50

// repairOrphans gives a task to waiting events that have none: a crash came
// between the two, or a failover forgot the task.
func (o *Outbox) repairOrphans(ctx context.Context) (repaired int, err error) {
	before := fmt.Sprint(time.Now().Add(-orphanAge).UnixMilli())
	for page := range int64(orphanPages) {
		identities, err := o.cfg.Redis.ZRangeByScore(ctx, o.live.waiting(), &redis.ZRangeBy{
			Min: "-inf", Max: before, Offset: page * listPage, Count: listPage,
		}).Result()
		if err != nil {
			return repaired, fmt.Errorf("asynqoutbox: Redis could not list what waits: %w", err)
		}
		pipe := o.cfg.Redis.Pipeline()
		exist := make([]*redis.IntCmd, len(identities))
		for i, identity := range identities {
			exist[i] = pipe.Exists(ctx, o.live.taskPrefix()+identity)
		}
		if _, err := pipe.Exec(ctx); err != nil && len(identities) > 0 {
			return repaired, fmt.Errorf("asynqoutbox: Redis could not look for tasks: %w", err)
		}
		for i, identity := range identities {
			if exist[i].Val() == 1 {
				continue
			}
			if err := o.enqueue(ctx, identity, false); err != nil {
				return repaired, fmt.Errorf("asynqoutbox: Redis could not take the event: %w", err)
			}
			repaired++
		}
		if len(identities) < listPage {
			break
		}
	}
	return repaired, nil
}

// orphanAge is how old a waiting event must be to be an orphan: Send stores the
// record first.
const orphanAge = 10 * time.Second

func (o *Outbox) repairRegularly(ctx context.Context) {
	ticker := time.NewTicker(repairInterval)
	defer ticker.Stop()
	for {
		repaired, err := o.repair(ctx)
		orphans, err2 := o.repairOrphans(ctx)
		repaired, err = repaired+orphans, errors.Join(err, err2, o.checkServer(ctx), o.announce(ctx))
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			o.logger.LogAttrs(ctx, slog.LevelWarn, "asynqoutbox: abandoned events", slog.Any("error", err))
		case repaired > 0:
			o.logger.LogAttrs(ctx, slog.LevelWarn, "asynqoutbox: abandoned events are delivered again", slog.Int("events", repaired))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
