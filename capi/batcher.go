package capi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/batch"
)

// BatcherConfig bounds the requests of a [Batcher].
type BatcherConfig struct {
	// MaxEvents sends as soon as so many events wait. Defaults to the client's
	// MaxBatchEvents, which it never exceeds.
	MaxEvents int
	// MaxBytes sends as soon as the waiting events have so many bytes. Defaults
	// to the client's MaxBatchBytes, which it never exceeds.
	MaxBytes int
	// MaxDelay is the longest that an event waits for others to share its
	// request. It does not wait while no request is under way. Defaults to 50
	// milliseconds.
	MaxDelay time.Duration
}

const defaultBatchDelay = 50 * time.Millisecond

// Batcher is a Sender that lets concurrent Send calls share requests. It gains
// nothing for a dialect that takes one event per request. Use [NewBatcher].
type Batcher struct {
	client    *Client
	collector *batch.Collector[*outgoing]
}

// NewBatcher returns a batcher in front of c, or every problem of cfg at once.
func NewBatcher(c *Client, cfg BatcherConfig) (*Batcher, error) {
	var problems []error
	if c == nil {
		problems = append(problems, errors.New("capi: NewBatcher needs a client"))
	}
	if cfg.MaxEvents < 0 || cfg.MaxBytes < 0 || cfg.MaxDelay < 0 {
		problems = append(problems, errors.New("capi: MaxEvents, MaxBytes and MaxDelay must not be negative"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if cfg.MaxEvents == 0 || cfg.MaxEvents > c.cfg.MaxBatchEvents {
		cfg.MaxEvents = c.cfg.MaxBatchEvents
	}
	if cfg.MaxBytes == 0 || cfg.MaxBytes > c.cfg.MaxBatchBytes {
		cfg.MaxBytes = c.cfg.MaxBatchBytes
	}
	if cfg.MaxDelay == 0 {
		cfg.MaxDelay = defaultBatchDelay
	}
	return &Batcher{client: c, collector: batch.New(batch.Config[*outgoing]{
		MaxItems: cfg.MaxEvents,
		MaxSize:  cfg.MaxBytes,
		Size:     func(o *outgoing) int { return len(o.data) + len(",") },
		MaxDelay: cfg.MaxDelay,
		Run:      func(ctx context.Context, events []*outgoing) { c.deliver(ctx, c.cfg.Retry, events) },
	})}, nil
}

// Send checks the events as [Client.Send] does, waits until they have been
// sent together with those of other callers, and reports what became of its
// own.
//
// When ctx ends first, or the client's TotalTimeout where ctx has no deadline,
// it returns at once and the other callers' events go on. The error of an event
// that was still waiting matches [ErrNotSent]. A shared request may take as
// long as the latest deadline of its callers allows.
func (b *Batcher) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	items := make([]clickid.QueuedEvent, len(events))
	for i := range events {
		items[i].Event = events[i]
	}
	if b == nil {
		return failAll(items, errNilClient)
	}
	ctx, cancel := b.client.bounded(ctx)
	defer cancel()
	results, ready := b.client.prepare(ctx, items)
	// The request may outlive this call, so it settles copies of the results.
	targets := make([]*clickid.Result, len(ready))
	for i, o := range ready {
		targets[i] = o.result
		private := *o.result
		o.result = &private
	}
	settled := ready[:0:0]
	for i, err := range b.collector.Do(ctx, ready) {
		switch {
		case err == nil:
			*targets[i] = *ready[i].result
			settled = append(settled, ready[i])
			continue
		case errors.Is(err, batch.ErrUnderWay):
			err = fmt.Errorf("capi: %w", err)
		default:
			err = fmt.Errorf("%w: %w", ErrNotSent, err)
		}
		targets[i].Verdict, targets[i].Err = clickid.VerdictFailed, err
	}
	report := newReport(results, settled)
	return report, report.Err()
}

// Flush sends the waiting events now. It does not wait for the responses.
func (b *Batcher) Flush() { b.collector.Flush() }

// Close sends what is waiting and returns nil when every request has ended, or
// an error when ctx ends first; the requests then go on until their callers'
// deadlines. Later Sends fail. Closing twice is not an error.
func (b *Batcher) Close(ctx context.Context) error {
	if err := b.collector.Close(ctx); err != nil {
		return fmt.Errorf("capi: closing the batcher: requests are still under way: %w", err)
	}
	return nil
}
