package asynqoutbox

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
)

// repairInterval is how often crashed work is looked for, as asynq's own
// recoverer does.
const repairInterval = time.Minute

// repairScript repairs what asynq's recoverer passes over for ever. It goes by
// leases, so a task in the active list without one is never found; and it
// fails on each task that has an expired lease but has left that list.
//
// KEYS: active, lease. ARGV: the time of an expired lease in seconds, the
// prefix of task keys. Returns how many were repaired.
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

// repair gives abandoned events back to asynq's recoverer.
func (o *Outbox) repair(ctx context.Context) (repaired int, err error) {
	expired := time.Now().Add(-2 * time.Minute).Unix()
	repaired, err = repairScript.Run(ctx, o.cfg.Redis, []string{o.live.active(), o.live.lease()}, expired, o.live.taskPrefix()).Int()
	if err != nil {
		return 0, fmt.Errorf("asynqoutbox: Redis could not look for abandoned events: %w", err)
	}
	return repaired, nil
}

func (o *Outbox) repairRegularly(ctx context.Context) {
	ticker := time.NewTicker(repairInterval)
	defer ticker.Stop()
	for {
		repaired, err := o.repair(ctx)
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
