package capi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/batch"
)

// BatcherConfig limits the requests of a [Batcher].
type BatcherConfig struct {
	// MaxEvents is the number of waiting events that are sent at once. Defaults
	// to the client's MaxBatchEvents, its maximum.
	MaxEvents int
	// MaxBytes is the size of waiting events that are sent at once. Defaults to
	// the client's MaxBatchBytes, its maximum.
	MaxBytes int
	// MaxDelay is the longest time that an event waits for others. It makes
	// fewer requests of more events, at most one in this time until they are
	// full. Defaults to 0: events wait for others only while the client's
	// Concurrency is used up.
	MaxDelay time.Duration
}

// Batcher is a Sender whose concurrent Send calls share requests. It sends at
// once while the client may send, and collects events while the client's requests
// are in progress or wait for its rate limit. It is of no use for a dialect with
// one event per request. Use [NewBatcher].
type Batcher struct {
	client    *Client
	collector *batch.Collector[*outgoing]
}

// NewBatcher returns a batcher in front of c. Its error joins all problems of
// cfg.
func NewBatcher(c *Client, cfg BatcherConfig) (*Batcher, error) {
	var problems []error
	if c == nil {
		problems = append(problems, errors.New("capi: NewBatcher requires a client"))
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
	return &Batcher{client: c, collector: batch.New(batch.Config[*outgoing]{
		MaxItems:    cfg.MaxEvents,
		MaxSize:     cfg.MaxBytes,
		Size:        func(o *outgoing) int { return len(o.data) + len(",") },
		MaxRunning:  c.cfg.Concurrency,
		MaxDelay:    cfg.MaxDelay,
		MinInterval: cfg.MaxDelay,
		Run:         func(ctx context.Context, events []*outgoing) { c.deliver(ctx, c.cfg.Retry, events) },
	})}, nil
}

// Send checks the events as [Client.Send] does, waits until they have been sent
// together with those of other callers, and reports the results of its own
// events.
//
// When ctx ends, or after the client's TotalTimeout if ctx has no deadline,
// Send returns at once, and the requests of other callers continue. The error
// of an event that was not sent matches [ErrNotSent]. A shared request may take
// until the latest deadline of its callers.
func (b *Batcher) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	if b == nil {
		return failAll(newEvents(events), errNilClient)
	}
	ctx, cancel := b.client.bounded(ctx)
	defer cancel()
	results, ready := b.client.prepare(ctx, newEvents(events), nil)
	// The request may outlive this call, so it writes to copies of the results.
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

// Close sends the waiting events and waits until every request has ended. When
// ctx ends first, it returns an error, and the requests continue until the
// deadlines of their callers. Later calls of Send fail. A second call has no
// effect.
func (b *Batcher) Close(ctx context.Context) error {
	if err := b.collector.Close(ctx); err != nil {
		return fmt.Errorf("capi: close batcher: requests are in progress: %w", err)
	}
	return nil
}
