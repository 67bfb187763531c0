package asynqoutbox

import (
	"context"
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
