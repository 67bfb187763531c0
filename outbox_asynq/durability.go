package asynqoutbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// ErrVolatile means that the Redis server may lose events that it has
// acknowledged; see [Config].AcceptLoss.
var ErrVolatile = errors.New("asynqoutbox: Redis may lose acknowledged events")

// checkDurability checks the persistence settings of the server, or of one node
// of a cluster.
func (o *Outbox) checkDurability(ctx context.Context) error {
	if o.cfg.AcceptLoss {
		return nil
	}
	info, err := o.cfg.Redis.Info(ctx, "persistence", "memory").Result()
	if err != nil {
		// Redis before version 7 accepts one section.
		if info, err = o.cfg.Redis.Info(ctx, "all").Result(); err != nil {
			return fmt.Errorf("asynqoutbox: reading the persistence settings of Redis: %w", err)
		}
	}
	var problems []error
	if infoField(info, "aof_enabled") == "0" {
		problems = append(problems, fmt.Errorf("%w in a restart; set appendonly to yes, or AcceptLoss", ErrVolatile))
	}
	if policy := infoField(info, "maxmemory_policy"); policy != "" && policy != "noeviction" {
		problems = append(problems, fmt.Errorf("%w when its memory is full; set maxmemory-policy to noeviction, or AcceptLoss", ErrVolatile))
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
