// Package batch collects the items of concurrent callers into calls that take
// many items, such as requests with many events.
package batch

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// Config configures a [Collector].
type Config[T any] struct {
	// MaxItems is the largest number of items of a batch. Required.
	MaxItems int
	// MaxSize is the largest sum of the sizes of a batch's items. A larger item
	// is a batch by itself. 0 means no limit.
	MaxSize int
	// Size returns the size of an item. Required with MaxSize.
	Size func(T) int
	// MaxRunning is the number of batches that are processed at once. While
	// there are so many, items wait for the end of one, unless they fill a batch.
	// With 0, they wait for the end of the only one, at most for MaxDelay.
	MaxRunning int
	// MaxDelay is the longest time that an item waits for others if a batch may
	// start.
	MaxDelay time.Duration
	// MinInterval is the minimum time between the starts of two batches that
	// are not full, up to MaxDelay. It trades latency for larger batches. With
	// 0, an item starts a batch if none is being processed.
	MinInterval time.Duration
	// Run processes a batch. It is called concurrently. Required.
	Run func(ctx context.Context, items []T)
}

// Errors of [Collector.Do].
var (
	// ErrClosed means that the collector is closed.
	ErrClosed = errors.New("the collector is closed")
	// ErrLeft means that the caller stopped waiting before the item's batch
	// began. The item is not processed.
	ErrLeft = errors.New("the caller stopped waiting before the batch began")
	// ErrUnderWay means that the caller stopped waiting while the batch of the
	// item was being processed.
	ErrUnderWay = errors.New("the caller stopped waiting while the batch was under way")
)

// Collector collects the items of concurrent callers into batches. It is safe
// for concurrent use.
type Collector[T comparable] struct {
	cfg Config[T]

	mu      sync.Mutex
	open    *batch[T] // accepts more items; running has it as well while it starts; may be nil
	last    time.Time // start of the latest batch
	running map[*batch[T]]bool
	closed  bool
}

// batch holds the items of several callers.
type batch[T comparable] struct {
	ctx      context.Context // context of the first caller, for its values
	deadline time.Time       // the latest of all callers
	items    []T
	size     int
	callers  int                // number of callers that wait
	timer    *time.Timer        // may be nil
	cancel   context.CancelFunc // set when it accepts no more items
	done     chan struct{}
}

// New returns a collector.
func New[T comparable](cfg Config[T]) *Collector[T] {
	return &Collector[T]{cfg: cfg, running: make(map[*batch[T]]bool)}
}

// share is the part of a batch that belongs to one caller.
type share[T comparable] struct {
	batch *batch[T]
	first int // index of the first item in the caller's list
	items []T
}

// Do adds the items to one or more batches, waits until they have been
// processed, and returns an error for each item, nil after a success. ctx must
// have a deadline. When ctx ends, Do returns at once. A batch that has not
// started continues without the items of this caller. A batch that is being
// processed continues while another caller waits for it.
//
// The items must be distinct. Run may use an item after Do has returned
// ErrUnderWay for it.
func (c *Collector[T]) Do(ctx context.Context, items []T) []error {
	failures := make([]error, len(items))
	shares, err := c.join(ctx, items)
	if err != nil {
		for i := range failures {
			failures[i] = err
		}
		return failures
	}
	for _, s := range shares {
		select {
		case <-s.batch.done:
		case <-ctx.Done():
			err := c.leave(s, ctx.Err())
			for i := range s.items {
				failures[s.first+i] = err
			}
		}
	}
	return failures
}

// join adds the items to the open batch and to new ones when it is full.
func (c *Collector[T]) join(ctx context.Context, items []T) ([]share[T], error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	deadline, _ := ctx.Deadline()
	var shares []share[T]
	for i, item := range items {
		size := 0
		if c.cfg.MaxSize > 0 {
			size = c.cfg.Size(item)
			if c.open != nil && c.open.size+size > c.cfg.MaxSize {
				c.runNow()
			}
		}
		if c.open == nil {
			c.open = c.newBatch(ctx)
		}
		b := c.open
		if last := len(shares) - 1; last < 0 || shares[last].batch != b {
			shares = append(shares, share[T]{batch: b, first: i})
			b.callers++
		}
		own := &shares[len(shares)-1]
		own.items = append(own.items, item)
		b.items = append(b.items, item)
		b.size += size
		if deadline.After(b.deadline) {
			b.deadline = deadline
		}
		if len(b.items) >= c.cfg.MaxItems || c.cfg.MaxSize > 0 && b.size >= c.cfg.MaxSize {
			c.runNow()
		}
	}
	c.runIdle()
	return shares, nil
}

// runIdle starts the open batch if it may start now. The caller holds the lock.
func (c *Collector[T]) runIdle() {
	if len(c.running) < max(1, c.cfg.MaxRunning) && (c.cfg.MinInterval <= 0 || time.Since(c.last) >= c.cfg.MinInterval) {
		c.run()
	}
}

func (c *Collector[T]) newBatch(ctx context.Context) *batch[T] {
	b := &batch[T]{ctx: context.WithoutCancel(ctx), done: make(chan struct{})}
	if c.cfg.MaxRunning > 0 && c.cfg.MinInterval <= 0 {
		return b // nothing to wait for but the end of another batch
	}
	b.timer = time.AfterFunc(c.cfg.MaxDelay, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case c.open != b:
		case c.cfg.MaxRunning > 0:
			c.runIdle()
		default:
			c.run()
		}
	})
	return b
}

// run starts the open batch. The caller holds the lock. Callers that are about to
// join still join it.
func (c *Collector[T]) run() {
	b := c.open
	if b == nil || c.running[b] {
		return
	}
	c.last = time.Now()
	if b.timer != nil {
		b.timer.Stop()
	}
	c.running[b] = true
	go func() {
		runtime.Gosched()
		c.mu.Lock()
		c.seal(b)
		c.mu.Unlock()
		defer b.cancel()
		if len(b.items) > 0 { // not all callers have left
			c.cfg.Run(b.ctx, b.items)
		}
		c.mu.Lock()
		delete(c.running, b)
		c.runIdle()
		c.mu.Unlock()
		close(b.done)
	}()
}

// runNow starts the open batch without further items. The caller holds the lock.
func (c *Collector[T]) runNow() {
	if b := c.open; b != nil {
		c.run()
		c.seal(b)
	}
}

// seal closes a batch that is starting for further items. The caller holds the
// lock.
func (c *Collector[T]) seal(b *batch[T]) {
	if c.open == b {
		c.open = nil
		b.ctx, b.cancel = context.WithDeadline(b.ctx, b.deadline)
	}
}

// leave removes a caller from a batch.
func (c *Collector[T]) leave(s share[T], cause error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := s.batch
	b.callers--
	if c.open != b {
		if b.callers == 0 {
			b.cancel()
		}
		return fmt.Errorf("%w: %w", ErrUnderWay, cause)
	}
	mine := make(map[T]bool, len(s.items))
	for _, item := range s.items {
		mine[item] = true
		if c.cfg.MaxSize > 0 {
			b.size -= c.cfg.Size(item)
		}
	}
	kept := b.items[:0]
	for _, item := range b.items {
		if !mine[item] {
			kept = append(kept, item)
		}
	}
	b.items = kept
	return fmt.Errorf("%w: %w", ErrLeft, cause)
}

// Flush starts the open batch.
func (c *Collector[T]) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.run()
}

// Close starts the open batch and waits until every batch has been processed.
// It returns ctx's error if ctx ends first. Later calls of Do return ErrClosed.
func (c *Collector[T]) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.run()
	running := make([]*batch[T], 0, len(c.running))
	for b := range c.running {
		running = append(running, b)
	}
	c.mu.Unlock()
	for _, b := range running {
		select {
		case <-b.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
