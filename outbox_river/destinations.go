package riveroutbox

import (
	"context"
	"encoding/json"

	"github.com/riverqueue/river/riverdriver"
)

// destinationKey is the member of a queue's metadata in River with the name of the
// destination, since the name of the queue is a hash.
const destinationKey = "clickid_destination"

// noteDestination stores the name of the destination for [Outbox.Destinations]. A
// queue that exists keeps its metadata.
func (o *Outbox[TTx]) noteDestination(ctx context.Context) error {
	metadata, err := json.Marshal(map[string]string{destinationKey: o.delivery.Destination().Name()})
	if err == nil {
		_, err = o.table.executor.QueueCreateOrSetUpdatedAt(ctx, &riverdriver.QueueCreateOrSetUpdatedAtParams{
			Metadata: metadata, Name: o.queue, Schema: o.cfg.Schema,
		})
	}
	return err
}

// Destinations returns the names of the destinations whose events are in the outbox,
// for tools. River forgets the name of a destination a day after its last delivery
// has stopped; then it is that of the queue in River, "clickid_" and a hash.
// Destinations reads all events.
func (o *Outbox[TTx]) Destinations(ctx context.Context) ([]string, error) {
	list, name := "json_group_array(name)", "'$."+destinationKey+"'"
	if o.table.postgres {
		list, name = "json_agg(name)::text", "'"+destinationKey+"'"
	}
	var found string
	err := o.table.executor.QueryRow(ctx, "SELECT coalesce("+list+", '[]') FROM ("+
		"SELECT coalesce(metadata ->> "+name+", queue) AS name FROM (SELECT DISTINCT queue FROM "+o.table.name()+") AS used "+
		"LEFT JOIN "+o.table.of("river_queue")+" AS known ON known.name = used.queue ORDER BY 1) AS names").Scan(&found)
	var names []string
	if err == nil {
		err = json.Unmarshal([]byte(found), &names)
	}
	return names, wrap("listing the destinations", err)
}
