package sqliteoutbox

import (
	"context"
	"fmt"
	"time"

	"github.com/clickid/clickid/internal/batch"
	"github.com/clickid/clickid/internal/sqldb"
	"github.com/clickid/clickid/outbox"
)

// SQLite commits one transaction after the other, each with a flush of the disk.
// Records that arrive during a commit are therefore stored together, by the next
// transaction.

const (
	// groupRecords is the number of records of a transaction. More wait for the
	// next one.
	groupRecords = 1000
	// groupTimeout limits the wait for other writers and the transaction.
	groupTimeout = time.Minute
)

// enqueueing is a call of Enqueue that waits for its transaction.
type enqueueing struct {
	records []outbox.Record
	known   map[string]string
	err     error
}

func (o *Outbox) newGroups() *batch.Collector[*enqueueing] {
	return batch.New(batch.Config[*enqueueing]{
		MaxItems: groupRecords,
		MaxSize:  groupRecords,
		Size:     func(e *enqueueing) int { return len(e.records) },
		MaxDelay: groupTimeout, // until the transaction in progress ends
		Run:      o.enqueueGroup,
	})
}

// enqueueGroup stores the records of several calls in a transaction. The first
// record of an identity counts.
func (o *Outbox) enqueueGroup(ctx context.Context, group []*enqueueing) {
	var records []outbox.Record
	first := make(map[string]*enqueueing)
	fingerprints := make(map[string]string)
	for _, e := range group {
		for _, r := range e.records {
			if first[r.Identity] == nil {
				first[r.Identity], fingerprints[r.Identity] = e, r.Fingerprint
				records = append(records, r)
			}
		}
	}
	known, err := o.enqueueAll(ctx, records)
	for _, e := range group {
		e.err, e.known = err, make(map[string]string)
		for _, r := range e.records {
			if fingerprint, ok := known[r.Identity]; ok {
				e.known[r.Identity] = fingerprint
			} else if first[r.Identity] != e {
				e.known[r.Identity] = fingerprints[r.Identity]
			}
		}
	}
}

func (o *Outbox) enqueueAll(ctx context.Context, records []outbox.Record) (map[string]string, error) {
	if err := sqldb.CheckFree(ctx, o.db); err != nil {
		return nil, fmt.Errorf("sqliteoutbox: storing events: %w", err)
	}
	return o.river.Enqueue(ctx, records)
}
