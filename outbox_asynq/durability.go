package asynqoutbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// ErrVolatile says that the Redis server loses events that it acknowledged:
// see [Config].AcceptLoss.
var ErrVolatile = errors.New("asynqoutbox: Redis does not keep what it acknowledges")

// checkDurability asks the server how it keeps its data. On a cluster one node
// answers for all.
func (o *Outbox) checkDurability(ctx context.Context) error {
	if o.cfg.AcceptLoss {
		return nil
	}
	info, err := o.cfg.Redis.Info(ctx, "persistence", "memory").Result()
	if err != nil {
		// Redis before 7 takes one section at a time.
		if info, err = o.cfg.Redis.Info(ctx, "all").Result(); err != nil {
			return fmt.Errorf("asynqoutbox: Redis could not say how it keeps its data: %w", err)
		}
	}
	var problems []error
	if infoField(info, "aof_enabled") == "0" {
		problems = append(problems, fmt.Errorf("%w: a restart loses it; set appendonly yes, or AcceptLoss", ErrVolatile))
	}
	if policy := infoField(info, "maxmemory_policy"); policy != "" && policy != "noeviction" {
		problems = append(problems, fmt.Errorf("%w: a full memory evicts it; set maxmemory-policy noeviction, or AcceptLoss", ErrVolatile))
	}
	return errors.Join(problems...)
}

// infoField returns a field of the response to INFO, or "".
func infoField(info, name string) string {
	for _, line := range strings.Split(info, "\n") {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			return value
		}
	}
	return ""
}
