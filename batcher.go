package clickid

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// BatcherConfig bounds the requests of a [Batcher].
type BatcherConfig struct {
	// MaxEvents sends as soon as so many events wait. Defaults to the client's
	// MaxBatchEvents, which it never exceeds.
	MaxEvents int
	// MaxBytes sends as soon as the waiting events have so many bytes. Defaults
	// to the client's MaxBatchBytes, which it never exceeds.
	MaxBytes int
	// MaxDelay is the longest that an event waits for company. Defaults to 50
	// milliseconds.
	MaxDelay time.Duration
}

const defaultBatchDelay = 50 * time.Millisecond

// Batcher is a [Sender] that lets many concurrent Send calls share requests. A
// dialect that takes one event per request gains nothing by it, and loses
// nothing: its events are sent at once.
type Batcher struct {
	client *Client
	cfg    BatcherConfig

	mu      sync.Mutex
	open    *sharedBatch // takes further events; nil when there are none
	running map[*sharedBatch]bool
	closed  bool
}

// sharedBatch is the events of several callers.
type sharedBatch struct {
	ctx      context.Context // the first caller's, for its values
	deadline time.Time       // the latest of the callers'
	events   []*outgoing
	size     int
	callers  int // that still wait
	timer    *time.Timer
	cancel   context.CancelFunc // set when it is being sent
	done     chan struct{}
}

// NewBatcher returns a batcher in front of c, or every problem of cfg at once.
func NewBatcher(c *Client, cfg BatcherConfig) (*Batcher, error) {
	var problems []error
	if c == nil {
		problems = append(problems, errors.New("clickid: NewBatcher needs a client"))
	}
	if cfg.MaxEvents < 0 || cfg.MaxBytes < 0 || cfg.MaxDelay < 0 {
		problems = append(problems, errors.New("clickid: MaxEvents, MaxBytes and MaxDelay must not be negative"))
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
	return &Batcher{client: c, cfg: cfg, running: make(map[*sharedBatch]bool)}, nil
}

// Send checks the events as [Client.Send] does, waits until they have been
// sent together with those of other callers, and reports what became of its
// own.
//
// When ctx ends first, or the client's TotalTimeout where ctx has no deadline,
// it returns at once without harm to the others: its events failed, with an
// error that matches [ErrNotSent] if they were still waiting. A shared request
// may take as long as the most patient of its callers.
func (b *Batcher) Send(ctx context.Context, events ...Event) (Report, error) {
	ctx, cancel := b.client.bounded(ctx)
	defer cancel()
	results, ready, warnings := b.client.prepare(ctx, events)
	// The request may outlive this call, so it settles copies of the results.
	targets := make([]*Result, len(ready))
	for i, o := range ready {
		targets[i] = o.result
		private := *o.result
		o.result = &private
	}
	shares, err := b.join(ctx, ready)
	if err != nil {
		for _, target := range targets {
			target.Verdict, target.Err = Failed, err
		}
	}
	settled := ready[:0:0]
	for _, share := range shares {
		select {
		case <-share.batch.done:
			for i, o := range share.events {
				*targets[share.first+i] = *o.result
			}
			settled = append(settled, share.events...)
		case <-ctx.Done():
			err := b.leave(share, ctx.Err())
			for i := range share.events {
				target := targets[share.first+i]
				target.Verdict, target.Err = Failed, err
			}
		}
	}
	report := newReport(results, settled, warnings)
	return report, report.Err()
}

// share is the events of one caller in one batch.
type share struct {
	batch  *sharedBatch
	events []*outgoing
	first  int // index of events[0] among the caller's
}

// join adds a caller's events to the open batch, and to further ones when it
// is full.
func (b *Batcher) join(ctx context.Context, ready []*outgoing) ([]share, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, fmt.Errorf("%w: the batcher is closed", ErrNotSent)
	}
	deadline, _ := ctx.Deadline()
	var shares []share
	for i, o := range ready {
		if b.open != nil && b.open.size+len(o.data) > b.cfg.MaxBytes {
			b.send()
		}
		if b.open == nil {
			b.open = b.newBatch(ctx)
		}
		batch := b.open
		if last := len(shares) - 1; last < 0 || shares[last].batch != batch {
			shares = append(shares, share{batch: batch, first: i})
			batch.callers++
		}
		own := &shares[len(shares)-1]
		own.events = append(own.events, o)
		batch.events = append(batch.events, o)
		batch.size += len(o.data) + len(",")
		if deadline.After(batch.deadline) {
			batch.deadline = deadline
		}
		if len(batch.events) >= b.cfg.MaxEvents || batch.size >= b.cfg.MaxBytes {
			b.send()
		}
	}
	return shares, nil
}

func (b *Batcher) newBatch(ctx context.Context) *sharedBatch {
	batch := &sharedBatch{ctx: context.WithoutCancel(ctx), done: make(chan struct{})}
	batch.timer = time.AfterFunc(b.cfg.MaxDelay, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.open == batch {
			b.send()
		}
	})
	return batch
}

// send starts the sending of the open batch. The caller holds the lock.
func (b *Batcher) send() {
	batch := b.open
	if batch == nil {
		return
	}
	b.open = nil
	batch.timer.Stop()
	ctx, cancel := context.WithDeadline(batch.ctx, batch.deadline)
	batch.cancel = cancel
	b.running[batch] = true
	go func() {
		defer cancel()
		b.client.deliver(ctx, batch.events)
		b.mu.Lock()
		delete(b.running, batch)
		b.mu.Unlock()
		close(batch.done)
	}()
}

// leave takes a caller out of a batch and returns why its events failed. What
// was not sent yet is not; what is under way goes on as long as anybody waits
// for it.
func (b *Batcher) leave(s share, cause error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	batch := s.batch
	batch.callers--
	if b.open != batch {
		if batch.callers == 0 {
			batch.cancel()
		}
		return fmt.Errorf("clickid: the request was under way when the caller stopped waiting: %w", cause)
	}
	mine := make(map[*outgoing]bool, len(s.events))
	for _, o := range s.events {
		mine[o] = true
		batch.size -= len(o.data) + len(",")
	}
	kept := batch.events[:0]
	for _, o := range batch.events {
		if !mine[o] {
			kept = append(kept, o)
		}
	}
	batch.events = kept
	return fmt.Errorf("%w: %w", ErrNotSent, cause)
}

// Flush starts to send what is waiting, without waiting for its company or its
// answer.
func (b *Batcher) Flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.send()
}

// Close sends what is waiting and returns nil when every request has ended, or
// an error when ctx ends first; the requests then go on until their callers'
// deadlines. Later Sends fail. Closing twice is no error.
func (b *Batcher) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	b.send()
	running := make([]*sharedBatch, 0, len(b.running))
	for batch := range b.running {
		running = append(running, batch)
	}
	b.mu.Unlock()
	for _, batch := range running {
		select {
		case <-batch.done:
		case <-ctx.Done():
			return fmt.Errorf("clickid: closing the batcher: requests are still under way: %w", ctx.Err())
		}
	}
	return nil
}
