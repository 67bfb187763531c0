package capi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/sleep"
)

// delivery is the sending of the events of one call.
type delivery struct {
	*Client
	ctx   context.Context
	retry Retry

	mu      sync.Mutex
	until   time.Time // the platform asked not to be called before
	stopped error     // why nothing more is sent
	misled  bool      // the platform named an event that turned out to be fine
}

// deliver sends the events and settles each of them.
func (c *Client) deliver(ctx context.Context, retry Retry, events []*outgoing) {
	if len(events) == 0 {
		return
	}
	d := &delivery{Client: c, ctx: ctx, retry: retry}
	unique, duplicates := withoutDuplicates(events)
	batches := c.plan(unique)
	queue := make(chan []*outgoing, len(batches))
	for _, batch := range batches {
		queue <- batch
	}
	close(queue)
	work := func() {
		for batch := range queue {
			d.send(batch)
		}
	}
	// Workers are not what bounds the requests, but there is no use for more.
	var group sync.WaitGroup
	for range min(c.cfg.Concurrency, len(batches)) - 1 {
		group.Add(1)
		go func() {
			defer group.Done()
			work()
		}()
	}
	work()
	group.Wait()
	for duplicate, first := range duplicates {
		duplicate.response = first.response
		duplicate.settle(first.result.Verdict, first.result.Reason, first.result.Err)
	}
}

// withoutDuplicates sets events aside that have the same identity on the wire as an
// earlier one, which the platform would not count either.
func withoutDuplicates(events []*outgoing) (unique []*outgoing, duplicates map[*outgoing]*outgoing) {
	type identity struct{ kind, id string }
	first := make(map[identity]*outgoing, len(events))
	for _, o := range events {
		id := identity{o.kind, o.id}
		if earlier, ok := first[id]; ok {
			if duplicates == nil {
				duplicates = make(map[*outgoing]*outgoing)
			}
			duplicates[o] = earlier
			continue
		}
		first[id] = o
		unique = append(unique, o)
	}
	return unique, duplicates
}

// plan divides the events into requests that keep the bounds of count and
// bytes. No request has two events of the same ID, since partial failures name
// events by their ID alone.
func (c *Client) plan(events []*outgoing) [][]*outgoing {
	empty := len(c.cfg.Dialect.request([][]byte{nil}, 0))
	var batches [][]*outgoing
	for len(events) > 0 {
		var batch, later []*outgoing
		ids := make(map[string]bool)
		size, taken := empty, 0
		for _, o := range events {
			if len(batch) == c.cfg.MaxBatchEvents || size+len(o.data) > c.cfg.MaxBatchBytes && len(batch) > 0 {
				break
			}
			taken++
			if ids[o.id] {
				later = append(later, o)
				continue
			}
			ids[o.id] = true
			batch = append(batch, o)
			size += len(o.data) + len(",")
		}
		batches = append(batches, batch)
		if events = events[taken:]; len(later) > 0 {
			events = append(later, events...)
		}
	}
	return batches
}

// send sends one batch and settles its events. A batch that the platform
// refuses for one of its events is divided until that stands alone.
func (d *delivery) send(batch []*outgoing) {
	for len(batch) > 0 {
		body := d.requestOf(batch)
		resp, err := d.exchange(body, len(batch))
		if err == nil {
			d.accept(batch, resp)
			return
		}
		if len(batch) == 1 || !blamesEvents(err, len(body)) {
			d.refuse(batch, err)
			return
		}
		named, rest := d.divide(batch, err)
		for _, part := range named {
			d.send(part)
			if len(part) == 1 && part[0].result.Verdict == clickid.VerdictAccepted {
				d.setMisled()
			}
		}
		batch = rest
	}
}

// requestOf returns the body of the request that carries the batch.
func (c *Client) requestOf(batch []*outgoing) []byte {
	events, responses := make([][]byte, len(batch)), 0
	for i, o := range batch {
		events[i] = o.data
		responses += o.responses
	}
	return c.cfg.Dialect.request(events, responses)
}

// largeBody is the size from which a cut connection is taken as a refusal of
// the body's size. Platforms have been seen to cut from one megabyte on.
const largeBody = 256 << 10

// blamesEvents reports whether a smaller request may fare better.
func blamesEvents(err error, size int) bool {
	if re := (*ResponseError)(nil); errors.As(err, &re) {
		return re.refusal() == refusedEvent
	}
	te := (*TransportError)(nil)
	return errors.As(err, &te) && te.cut && size > largeBody
}

// divide takes the events that the platform named out of a refused batch, each
// to be sent alone, so that one that was named wrongly is not lost. Where none
// is named, it divides the batch in halves.
func (d *delivery) divide(batch []*outgoing, err error) (parts [][]*outgoing, rest []*outgoing) {
	named := make(map[int]bool)
	if re := (*ResponseError)(nil); errors.As(err, &re) && !d.isMisled() {
		for _, index := range re.indexes {
			if index < len(batch) {
				named[index] = true
			}
		}
	}
	if len(named) == 0 || len(named) == len(batch) {
		half := len(batch) / 2
		return [][]*outgoing{batch[:half]}, batch[half:]
	}
	for i, o := range batch {
		if named[i] {
			parts = append(parts, batch[i:i+1])
		} else {
			rest = append(rest, o)
		}
	}
	return parts, rest
}

func (d *delivery) setMisled() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.misled = true
}

func (d *delivery) isMisled() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.misled
}

// accept settles the events of a request that was accepted as a whole.
func (d *delivery) accept(batch []*outgoing, r *response) {
	for _, o := range batch {
		o.response = r
		o.settle(clickid.VerdictAccepted, "", nil)
	}
	unknown := 0
	for _, failed := range r.failures {
		i := failed.find(batch)
		switch {
		case i < 0:
			unknown++
		case isDuplicate(failed.err):
			// The platform has it from an earlier attempt.
		default:
			batch[i].settleRefusal(failed.err)
		}
	}
	if unknown > 0 {
		r.warn(fmt.Sprintf("%d partial failures name no event of the request", unknown))
	}
}

// find returns the index of the event that the failure names, or -1.
func (f *partialFailure) find(batch []*outgoing) int {
	if f.eventID != "" {
		return slices.IndexFunc(batch, func(o *outgoing) bool { return o.id == f.eventID })
	}
	if len(f.err.indexes) == 1 && f.err.indexes[0] < len(batch) {
		return f.err.indexes[0]
	}
	if len(batch) == 1 {
		return 0
	}
	return -1
}

// refuse settles the events of a request that brought no success.
func (d *delivery) refuse(batch []*outgoing, err error) {
	if re := (*ResponseError)(nil); errors.As(err, &re) && len(batch) == 1 {
		if isDuplicate(re) {
			batch[0].settle(clickid.VerdictAccepted, "", nil)
			return
		}
		if re.refusal() == refusedEvent {
			batch[0].settleRefusal(re)
			return
		}
	}
	for _, o := range batch {
		o.fail(err)
	}
}

// settleRefusal records the platform's refusal of this very event.
func (o *outgoing) settleRefusal(err *ResponseError) {
	if err.refusal() == refusedEvent {
		o.settle(clickid.VerdictRejected, err.reason(), err)
		return
	}
	o.fail(err)
}

// exchange sends one request, again where the policy allows it, and returns
// the response of a success or the last failure.
func (d *delivery) exchange(body []byte, events int) (*response, error) {
	var last error
	failed := 0
	for number := 1; ; number++ {
		done, err := d.admit()
		if err != nil {
			if last != nil {
				return nil, fmt.Errorf("%w; no further attempt: %w", last, err)
			}
			return nil, fmt.Errorf("%w: %w", ErrNotSent, err)
		}
		resp, err := d.attempt(d.ctx, body, events, number)
		done()
		if err == nil {
			return resp, nil
		}
		last = err
		if te := (*TransportError)(nil); errors.As(err, &te) && (d.ctx.Err() != nil || events > 1 && blamesEvents(err, len(body))) {
			return nil, err
		}
		if isConfiguration(err) {
			d.stop(err)
			return nil, err
		}
		wait, again := d.retry.wait(err, &failed)
		if d.retry.Attempts == 1 && isTemporary(err) {
			// The outbox decides when to try again, for the other events too.
			d.stop(err)
		}
		deadline, _ := d.ctx.Deadline()
		if again = again && time.Now().Add(wait).Before(deadline); !again {
			if retryAfter(err) > 0 && isTemporary(err) {
				d.stop(err)
			}
			return nil, err
		}
		if retryAfter(err) > 0 {
			d.hold(time.Now().Add(wait))
			continue
		}
		if err := sleep.For(d.ctx, wait); err != nil {
			return nil, fmt.Errorf("%w; no further attempt: %w", last, err)
		}
	}
}

func isConfiguration(err error) bool {
	re := (*ResponseError)(nil)
	return errors.As(err, &re) && re.refusal() == refusedConfiguration
}

// isDuplicate reports whether the refusal says that the platform already has
// the event.
func isDuplicate(err *ResponseError) bool {
	return err.Code == "DUPLICATE" || err.Code == "DUPLICATE_EVENT" || err.Code == "ALREADY_EXISTS"
}

// stop ends the delivery: events that were not sent yet are not.
func (d *delivery) stop(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped == nil {
		d.stopped = err
	}
}

// hold makes all requests of the delivery wait.
func (d *delivery) hold(until time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if until.After(d.until) {
		d.until = until
	}
}

func (d *delivery) state() (wait time.Duration, stopped error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Until(d.until), d.stopped
}

// admit waits until the next request may go out. The caller calls done when it
// has ended.
func (d *delivery) admit() (done func(), err error) {
	for {
		wait, stopped := d.state()
		if stopped != nil {
			return nil, stopped
		}
		if wait <= 0 {
			break
		}
		if err := sleep.For(d.ctx, wait); err != nil {
			return nil, err
		}
	}
	select {
	case d.slots <- struct{}{}:
	case <-d.ctx.Done():
		return nil, d.ctx.Err()
	}
	// The rate is taken last: what waits for a slot has not been sent yet.
	err = d.limiter.wait(d.ctx)
	if _, stopped := d.state(); stopped != nil {
		err = stopped
	}
	if err != nil {
		<-d.slots
		return nil, err
	}
	return func() { <-d.slots }, nil
}

// attempt sends one request once and reports it to hook and log.
func (c *Client) attempt(ctx context.Context, body []byte, events, number int) (*response, error) {
	start := time.Now()
	status, resp, err := c.post(ctx, body, events)
	c.observe(ctx, Attempt{
		Host:     c.host,
		Number:   number,
		Events:   events,
		Bytes:    len(body),
		Status:   status,
		Duration: time.Since(start),
		Err:      err,
	})
	return resp, err
}

func (c *Client) post(ctx context.Context, body []byte, events int) (status int, r *response, err error) {
	attemptCtx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(attemptCtx, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return 0, nil, newTransportError(ctx, err)
	}
	req.Header = c.header()
	req.Header.Set("Authorization", "Bearer "+c.cfg.APIKey)
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, newTransportError(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	// Read to the end, so that the connection can be used again.
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxResponseBytes))
	if err != nil && resp.StatusCode >= 200 && resp.StatusCode < 300 {
		// A success that is cut short may hide failures. Asking again is safe.
		broken := newTransportError(ctx, err)
		broken.cut = false
		return resp.StatusCode, nil, broken
	}
	r, refusal := parseResponse(resp.StatusCode, resp.Header, text, events, c.cfg.Dialect.respondsPerEvent(), time.Now())
	if refusal != nil {
		return resp.StatusCode, nil, refusal
	}
	return resp.StatusCode, r, nil
}

// header returns the headers of every request but the authorisation.
func (c *Client) header() http.Header {
	return http.Header{
		"Accept":       {"application/json"},
		"Content-Type": {"application/json"},
		"User-Agent":   {"clickid-go (+https://github.com/clickid/clickid)"},
	}
}

// observe reports an attempt to hook and log.
func (c *Client) observe(ctx context.Context, a Attempt) {
	if c.cfg.Hook != nil {
		c.cfg.Hook(ctx, a)
	}
	level, message := slog.LevelDebug, "capi: request accepted"
	switch {
	case isConfiguration(a.Err):
		level, message = slog.LevelError, "capi: request refused: the configuration is wrong"
	case a.Err != nil:
		level, message = slog.LevelWarn, "capi: request failed"
	}
	if !c.cfg.Logger.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("host", a.Host), slog.Int("attempt", a.Number), slog.Int("events", a.Events),
		slog.Int("bytes", a.Bytes), slog.Int("status", a.Status), slog.Duration("duration", a.Duration),
	}
	if a.Err != nil {
		attrs = append(attrs, slog.Any("error", a.Err))
	}
	c.cfg.Logger.LogAttrs(ctx, level, message, attrs...)
}
