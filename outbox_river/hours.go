package riveroutbox

import (
	"context"
	"encoding/json"
	"time"

	"github.com/clickid/clickid/outbox"
)

// DeliveredByHour implements [outbox.HourCounter].
func (o *Outbox[TTx]) DeliveredByHour(ctx context.Context, from, to time.Time) ([]outbox.HourCount, error) {
	byHour := make(map[int64]int)
	add := func(query string, args ...any) error {
		var data string
		if err := o.table.executor.QueryRow(ctx, query, args...).Scan(&data); err != nil {
			return err
		}
		var part map[int64]int
		if err := json.Unmarshal([]byte(data), &part); err != nil {
			return err
		}
		for hour, n := range part {
			byHour[hour] += n
		}
		return nil
	}
	const delivered = "state = 'completed' AND unique_key IS NOT NULL"
	var err error
	if o.table.postgres {
		err = add(`SELECT coalesce(json_object_agg(hour, n), '{}')::text FROM (
				SELECT floor(extract(epoch FROM finalized_at) / 3600)::bigint AS hour, count(*) AS n FROM `+o.table.name()+`
				WHERE queue = $1 AND `+delivered+` AND finalized_at >= to_timestamp($2::bigint) AND finalized_at < to_timestamp($3::bigint)
				GROUP BY 1) AS hours`, o.queue, from.Unix(), to.Unix())
	} else {
		err = o.table.inParts(ctx, func(after, until int64) error {
			return add(`SELECT coalesce(json_group_object(CAST(hour AS TEXT), n), '{}') FROM (
					SELECT CAST(strftime('%s', finalized_at) AS INTEGER) / 3600 AS hour, count(*) AS n FROM river_job
					WHERE id > $1 AND id <= $2 AND queue = $3 AND `+delivered+`
					GROUP BY 1)`, after, until, o.queue)
		})
	}
	if err != nil {
		return nil, wrap("counting deliveries", err)
	}
	return outbox.HourCounts(byHour, from, to), nil
}
