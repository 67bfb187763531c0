package asynqoutbox

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/clickid/clickid/outbox"
)

// DeliveredByHour implements [outbox.HourCounter].
func (o *Outbox) DeliveredByHour(ctx context.Context, from, to time.Time) ([]outbox.HourCount, error) {
	delivered, err := o.cfg.Redis.HGetAll(ctx, o.live.deliveries()).Result()
	if err != nil {
		return nil, fmt.Errorf("asynqoutbox: counting deliveries: %w", err)
	}
	byHour := make(map[int64]int)
	for hour, count := range delivered {
		h, _ := strconv.ParseInt(hour, 10, 64)
		n, _ := strconv.Atoi(count)
		byHour[h] = n
	}
	return outbox.HourCounts(byHour, from, to), nil
}
