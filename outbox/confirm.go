package outbox

import (
	"context"
	"fmt"
	"time"
)

// confirmLoop looks regularly for the outcomes of moved events until ctx ends
// or stop is closed.
func (r *Relay) confirmLoop(ctx context.Context, stop <-chan struct{}) {
	queue, ok := r.cfg.Queue.(Volatile)
	if !ok {
		return
	}
	pause := r.cfg.ConfirmAfter
	for {
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-stop:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil || isClosed(stop) {
			return
		}
		began := time.Now()
		if err := r.confirmAll(ctx, queue); err != nil && ctx.Err() == nil {
			r.report(ctx, err, false)
		}
		// A large backlog must not keep the servers busy.
		pause = max(r.cfg.ConfirmAfter, 10*time.Since(began))
	}
}

// confirmAll deletes the moved events that have their outcome, and enqueues
// again those that the queue has forgotten.
func (r *Relay) confirmAll(ctx context.Context, queue Volatile) error {
	before := time.Now().Add(-r.cfg.ConfirmAfter)
	forgotten := 0
	defer func() {
		if forgotten > 0 {
			r.observe(ctx, Observation{Kind: KindRequeued, Reason: fmt.Sprintf("the queue has forgotten %d events; the relay has enqueued them again", forgotten)})
		}
	}()
	for after := int64(0); ; {
		batch, n, err := r.confirmBatch(ctx, queue, after, before)
		forgotten += n
		if err != nil || len(batch) < r.cfg.Batch {
			return err
		}
		after = batch[len(batch)-1].id
	}
}

// confirmBatch returns the batch after an id and the number of its forgotten
// events.
func (r *Relay) confirmBatch(ctx context.Context, queue Volatile, after int64, before time.Time) (batch []rowKey, forgotten int, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	table := r.cfg.Table
	batch, err = table.movedBefore(ctx, r.cfg.DB, after, before, r.cfg.Batch)
	if err != nil {
		return nil, 0, fmt.Errorf("outbox: relay: reading the moved events: %w", err)
	}
	if len(batch) == 0 {
		return nil, 0, nil
	}
	identities := make([]string, len(batch))
	for i, moved := range batch {
		identities[i] = moved.identity
	}
	outcomes, err := queue.Outcomes(ctx, identities)
	if err != nil {
		return nil, 0, fmt.Errorf("outbox: relay: reading the outcomes of moved events: %w", err)
	}
	var ended, unknown []rowKey
	for _, moved := range batch {
		if done, known := outcomes[moved.identity]; !known {
			unknown = append(unknown, moved)
		} else if done {
			ended = append(ended, moved)
		}
	}
	if len(ended)+len(unknown) == 0 {
		return batch, 0, nil
	}
	err = r.inTransaction(ctx, func(db database) error {
		if _, err := table.remove(ctx, db, table.moved, ended); err != nil {
			return fmt.Errorf("outbox: relay: deleting moved events: %w", err)
		}
		forgotten, err = r.enqueueAgain(ctx, db, unknown)
		return err
	})
	return batch, forgotten, err
}

// enqueueAgain enqueues moved events that were not erased meanwhile.
func (r *Relay) enqueueAgain(ctx context.Context, db database, keys []rowKey) (int, error) {
	if len(keys) == 0 {
		return 0, nil
	}
	rows, err := r.cfg.Table.lockMoved(ctx, db, keys)
	if err != nil {
		return 0, fmt.Errorf("outbox: relay: reading the moved events: %w", err)
	}
	// The latest event of an identity counts: the earlier one was discarded, skipped or
	// forgotten before it could be stored.
	records := distinct(rows)
	if len(records) == 0 {
		return 0, nil
	}
	if _, err := r.cfg.Queue.Enqueue(ctx, records); err != nil {
		return 0, fmt.Errorf("outbox: relay: enqueueing again: %w", err)
	}
	return len(records), nil
}
