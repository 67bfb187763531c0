// Package batch lets concurrent callers share calls that take many items at
// once, such as a request that carries many events.
package batch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Config bounds the batches of a [Collector].
type Config[T any] struct {
	// MaxItems is the largest number of items of a batch. Required.
	MaxItems int
	// MaxSize bounds the sum of the items' sizes; a larger item makes a batch
	// of its own. 0 means no bound.
	MaxSize int
	// Size returns the size of an item. Required with MaxSize.
	Size func(T) int
	// MaxDelay is the longest that an item waits for others while another batch
	// is under way. Without one it does not wait.
	MaxDelay time.Duration
	// MinInterval is the shortest time between the beginnings of two batches
	// that are not full, up to MaxDelay. It trades latency for larger batches:
	// without one, an item that arrives while no batch is under way begins one.
	MinInterval time.Duration
	// Run processes one batch. It is called concurrently. Required.
	Run func(ctx context.Context, items []T)
}

// Errors of [Collector.Do].
var (
	// ErrClosed means that the item was not taken.
	ErrClosed = errors.New("the collector is closed")
	// ErrLeft means that the caller stopped waiting before the item's batch
	// began. The item is not processed.
	ErrLeft = errors.New("the caller stopped waiting before the batch began")
	// ErrUnderWay means that the caller stopped waiting while the item's batch
	// was being processed.
	ErrUnderWay = errors.New("the caller stopped waiting while the batch was under way")
)

// Collector collects the items of concurrent callers into batches. It is safe
// for concurrent use.
type Collector[T comparable] struct {
	cfg Config[T]

	mu      sync.Mutex
	open    *batch[T] // takes further items; nil when there is none
	last    time.Time // when the latest batch began
	running map[*batch[T]]bool
	closed  bool
}

// batch holds the items of several callers.
type batch[T comparable] struct {
	ctx      context.Context // the first caller's, for its values
	deadline time.Time       // the latest of the callers'
	items    []T
	size     int
	callers  int // that still wait
	timer    *time.Timer
	cancel   context.CancelFunc // set when it runs
	done     chan struct{}
}

// New returns a collector.
func New[T comparable](cfg Config[T]) *Collector[T] {
	return &Collector[T]{cfg: cfg, running: make(map[*batch[T]]bool)}
}

// share is the part of a batch that belongs to one caller.
type share[T comparable] struct {
	batch *batch[T]
	first int // index of its first item among the caller's
	items []T
}

// Do adds the items to one or more batches, waits until these have been
// processed, and returns one error for each item: nil when it was processed.
// ctx must have a deadline. When it ends, Do returns at once: a batch that has
// not begun goes on without this caller's items, and one that is under way goes
// on as long as another caller waits for it.
//
// Items must differ from each other. Run may still use an item after Do
// returned ErrUnderWay for it.
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

// join adds the items to the open batch, and to further ones when it is full.
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
				c.run()
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
			c.run()
		}
	}
	c.runIdle()
	return shares, nil
}

// runIdle begins the open batch when waiting would gain nothing. The caller
// holds the lock.
func (c *Collector[T]) runIdle() {
	if len(c.running) == 0 && (c.cfg.MinInterval <= 0 || time.Since(c.last) >= c.cfg.MinInterval) {
		c.run()
	}
}

func (c *Collector[T]) newBatch(ctx context.Context) *batch[T] {
	b := &batch[T]{ctx: context.WithoutCancel(ctx), done: make(chan struct{})}
	b.timer = time.AfterFunc(c.cfg.MaxDelay, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.open == b {
			c.run()
		}
	})
	return b
}

// run begins to process the open batch. The caller holds the lock.
func (c *Collector[T]) run() {
	b := c.open
	if b == nil {
		return
	}
	c.open, c.last = nil, time.Now()
	b.timer.Stop()
	ctx, cancel := context.WithDeadline(b.ctx, b.deadline)
	b.cancel = cancel
	c.running[b] = true
	go func() {
		defer cancel()
		c.cfg.Run(ctx, b.items)
		c.mu.Lock()
		delete(c.running, b)
		c.runIdle()
		c.mu.Unlock()
		close(b.done)
	}()
}

// leave takes a caller out of a batch.
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

// Flush begins to process what has been collected.
func (c *Collector[T]) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.run()
}

// Close processes what has been collected and returns nil when every batch has
// ended, or ctx's error when ctx ends first. Later calls of Do return
// ErrClosed.
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
