package sqliteoutbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clickid/clickid/internal/batch"
	"github.com/clickid/clickid/internal/sqldb"
	"github.com/clickid/clickid/outbox"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
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
	ctx     context.Context // of the caller, with a deadline
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

// enqueueGroup stores the records of several calls in a transaction. If it fails,
// each call gets its own, so that it fails only for its own records.
func (o *Outbox) enqueueGroup(ctx context.Context, group []*enqueueing) {
	err := o.enqueueTogether(ctx, group)
	if err == nil || len(group) == 1 || waited(err) {
		for _, e := range group {
			e.err = err
		}
		return
	}
	for _, e := range group {
		e.known, e.err = o.enqueueAll(e.ctx, e.records)
	}
}

// waited reports whether a transaction failed because it waited in vain. The next
// one would wait as long.
func waited(err error) bool {
	var failure *sqlite.Error
	return errors.Is(err, sqldb.ErrOwnTransaction) || errors.Is(err, sqldb.ErrNoConnection) ||
		errors.As(err, &failure) && failure.Code()&0xff == sqlite3.SQLITE_BUSY
}

// enqueueTogether stores the records of several calls in one transaction. The first
// record of an identity counts.
func (o *Outbox) enqueueTogether(ctx context.Context, group []*enqueueing) error {
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
	if err != nil {
		return err
	}
	for _, e := range group {
		e.known = make(map[string]string)
		for _, r := range e.records {
			if fingerprint, ok := known[r.Identity]; ok {
				e.known[r.Identity] = fingerprint
			} else if first[r.Identity] != e {
				e.known[r.Identity] = fingerprints[r.Identity]
			}
		}
	}
	return nil
}

func (o *Outbox) enqueueAll(ctx context.Context, records []outbox.Record) (map[string]string, error) {
	if err := sqldb.CheckFree(ctx, o.db); err != nil {
		return nil, fmt.Errorf("sqliteoutbox: storing events: %w", err)
	}
	return owned(o.river.Enqueue(ctx, records))
}
