package capi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/sleep"
)

// delivery sends the events of a call.
type delivery struct {
	*Client
	ctx   context.Context
	retry Retry

	mu       sync.Mutex
	until    time.Time // earliest time of the next request
	stopped  error     // why no more is sent
	misled   bool      // the platform has named a valid event as refused
	accepted bool      // an event of this call was accepted
	refused  int       // single events that were refused without a field of the event
}

// maxRefusedAlike is the number of single events that may be refused without a
// field of the event, and without an accepted event, before the configuration
// is assumed to be at fault.
const maxRefusedAlike = 20

// deliver sends the events and settles each of them. It retries as retry and
// ctx allow.
func (c *Client) deliver(ctx context.Context, retry Retry, events []*outgoing) {
	if len(events) == 0 {
		return
	}
	d := &delivery{Client: c, ctx: ctx, retry: retry}
	unique, duplicates := withoutDuplicates(events)
	for pending, round := unique, 1; ; round++ {
		d.sendAll(c.plan(pending))
		if pending = wantedAgain(pending); len(pending) == 0 || !d.pauseBefore(pending, round) {
			break
		}
	}
	if d.accepted {
		for _, o := range unique {
			o.settleIsolated()
		}
	}
	for duplicate, first := range duplicates {
		duplicate.response = first.response
		duplicate.result.Responses = first.result.Responses
		duplicate.settle(first.result.Verdict, first.result.Reason, first.result.Err)
	}
}

// wantedAgain returns the events to retry.
func wantedAgain(events []*outgoing) []*outgoing {
	var again []*outgoing
	for _, o := range events {
		if o.again {
			again = append(again, o)
		}
	}
	return again
}

// pauseBefore waits before a retry. It reports whether to retry.
func (d *delivery) pauseBefore(pending []*outgoing, round int) bool {
	if _, stopped := d.state(); stopped != nil || round >= d.retry.Attempts {
		return false
	}
	wait := d.retry.backoff(round)
	for _, o := range pending {
		wait = max(wait, retryAfter(o.result.Err))
	}
	if deadline, ok := d.ctx.Deadline(); ok && time.Now().Add(wait).After(deadline) {
		return false
	}
	if sleep.For(d.ctx, wait) != nil {
		return false
	}
	for _, o := range pending {
		o.again = false
	}
	return true
}

// sendAll sends the batches concurrently.
func (d *delivery) sendAll(batches [][]*outgoing) {
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
	// The slots limit the requests; more workers would only wait.
	var group sync.WaitGroup
	for range min(d.cfg.Concurrency, len(batches)) - 1 {
		group.Add(1)
		go func() {
			defer group.Done()
			work()
		}()
	}
	work()
	group.Wait()
}

// send sends a batch and settles its events. It divides a batch that the
// platform refuses because of some events: the named events are sent singly,
// since the platform may have named a valid one, and the others in halves. This
// takes at most 2·bad·log2(n)+1 requests and sends an event at most log2(n)+2
// times.
func (d *delivery) send(batch []*outgoing) {
	resp, err := d.exchange(batch)
	if err == nil && d.settleAccepted(batch, resp) {
		return
	}
	if err != nil && (len(batch) == 1 || !dividable(err, batch)) {
		d.settleRefused(batch, err)
		return
	}
	named, rest := d.divide(batch, err)
	for _, o := range named {
		d.send([]*outgoing{o})
		if o.result.Verdict == clickid.VerdictAccepted {
			d.setMisled()
		}
	}
	half := (len(rest) + 1) / 2
	for _, part := range [][]*outgoing{rest[:half], rest[half:]} {
		if len(part) > 0 {
			d.send(part)
		}
	}
}

// largeBody is the size in bytes from which a cut connection is treated as a
// refusal of the size. Some platforms cut at one megabyte.
const largeBody = 256 << 10

// dividable reports whether smaller requests may succeed.
func dividable(err error, batch []*outgoing) bool {
	if re := (*ResponseError)(nil); errors.As(err, &re) {
		switch re.meaning() {
		case meansEvent, meansRefused, meansSmaller:
			return true
		}
		return false
	}
	te := (*TransportError)(nil)
	return errors.As(err, &te) && te.cut && sizeOf(batch) > largeBody
}

func sizeOf(batch []*outgoing) int {
	size := 0
	for _, o := range batch {
		size += len(o.data)
	}
	return size
}

// divide returns the named events of a batch and the others. After a wrongly
// named event, names are ignored.
func (d *delivery) divide(batch []*outgoing, err error) (named, rest []*outgoing) {
	re := (*ResponseError)(nil)
	if !errors.As(err, &re) || d.isMisled() {
		return nil, batch
	}
	for i, o := range batch {
		if slices.Contains(re.indexes, i) {
			named = append(named, o)
		} else {
			rest = append(rest, o)
		}
	}
	return named, rest
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

// settleAccepted settles the events of an accepting response. It returns false
// if the response has a failure of an unknown event. Then the batch must be
// divided.
func (d *delivery) settleAccepted(batch []*outgoing, r *response) bool {
	refusals := make(map[int]*ResponseError)
	byID := indexByID(batch, len(r.failures))
	for _, failed := range r.failures {
		i, ok := failed.find(batch, byID)
		if !ok {
			if len(batch) > 1 {
				return false
			}
			i = 0 // a batch of one event
		}
		refusals[i] = failed.err
	}
	accepted := false
	for i, o := range batch {
		o.response = r
		if err := refusals[i]; err != nil && !isDuplicate(err) {
			o.settleRefusal(err)
			continue
		}
		o.settle(clickid.VerdictAccepted, "", nil)
		accepted = true
	}
	if accepted {
		d.noteAccepted()
	}
	return true
}

// indexByID returns the positions of the events by their IDs if there are
// failures.
func indexByID(batch []*outgoing, failures int) map[string]int {
	if failures == 0 {
		return nil
	}
	byID := make(map[string]int, len(batch))
	for i, o := range batch {
		byID[o.id] = i
	}
	return byID
}

// find returns the index of the event with the failure's ID, or else the index
// in its path.
func (f *partialFailure) find(batch []*outgoing, byID map[string]int) (int, bool) {
	if i, ok := byID[f.eventID]; ok {
		return i, true
	}
	if len(f.err.indexes) > 0 && f.err.indexes[0] < len(batch) {
		return f.err.indexes[0], true
	}
	return 0, false
}

// settleRefused settles the events of a failed request.
func (d *delivery) settleRefused(batch []*outgoing, err error) {
	re := (*ResponseError)(nil)
	if !errors.As(err, &re) {
		for _, o := range batch {
			o.fail(err)
		}
		return
	}
	if len(batch) == 1 && isDuplicate(re) {
		batch[0].settle(clickid.VerdictAccepted, "", nil)
		return
	}
	if len(batch) == 1 && re.meaning() == meansRefused {
		batch[0].isolated = re
		d.noteRefused(err)
	}
	for _, o := range batch {
		if len(batch) == 1 {
			o.settleRefusal(re)
		}
		if o.result.Verdict != clickid.VerdictRejected {
			o.fail(err)
		}
	}
}

// settleRefusal settles a refused event.
func (o *outgoing) settleRefusal(err *ResponseError) {
	switch {
	case err.Kind() == clickid.SendErrorEvent:
		o.settle(clickid.VerdictRejected, err.reason(), err)
		return
	case err.perEvent && err.meaning() == meansNewKey:
		o.again = true
	}
	o.fail(err)
}

// settleIsolated makes the refusal of a single event final: other events of the
// call were accepted, so the configuration is right.
func (o *outgoing) settleIsolated() {
	if o.isolated == nil || o.result.Verdict != clickid.VerdictFailed {
		return
	}
	err := *o.isolated
	err.isolated = true
	o.settle(clickid.VerdictRejected, err.reason(), &err)
}

// isDuplicate reports whether the platform refuses the event as a duplicate.
func isDuplicate(err *ResponseError) bool {
	return err.Code == "DUPLICATE" || err.Code == "DUPLICATE_EVENT" || err.Code == "ALREADY_EXISTS"
}

func (d *delivery) noteAccepted() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.accepted = true
}

// noteRefused counts a single event that was refused without a field of the
// event.
func (d *delivery) noteRefused(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refused++; !d.accepted && d.refused >= maxRefusedAlike && d.stopped == nil {
		d.stopped = err
	}
}

// stop ends the delivery. No more events are sent.
func (d *delivery) stop(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped == nil {
		d.stopped = err
	}
}

// hold delays all requests of the delivery.
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

// admit waits until the next request may be sent. The caller calls done after
// it.
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
	// The rate limit comes last: a request that waits for a slot must not use
	// it.
	err = d.limiter.wait(d.ctx)
	if _, stopped := d.state(); stopped != nil {
		err = stopped
	}
	if err == nil && d.retry.Attempts > 1 && !d.retry.IgnoreHanging {
		err = d.hanging.allow() // an outbox has its own breaker
	}
	if err != nil {
		<-d.slots
		return nil, err
	}
	return func() { <-d.slots }, nil
}

// exchange sends the request of a batch with retries. It returns the accepting
// response or the last error.
func (d *delivery) exchange(batch []*outgoing) (*response, error) {
	var last error
	failed, shortages := 0, 0
	for number := 1; ; number++ {
		done, err := d.admit()
		if err != nil {
			if last != nil {
				return nil, fmt.Errorf("%w; no further attempt: %w", last, err)
			}
			return nil, fmt.Errorf("%w: %w", ErrNotSent, err)
		}
		start := time.Now()
		resp, err := d.attempt(d.ctx, d.requestOf(batch), len(batch), number)
		d.hanging.end(err, time.Since(start))
		done()
		if isVerdict(err) {
			for _, o := range batch {
				o.responses++
				o.result.Responses++
			}
		}
		if err == nil {
			return resp, nil
		}
		last = err
		next := d.next(batch, err, &failed, &shortages)
		if !next.again {
			return nil, err
		}
		if next.asked {
			d.hold(time.Now().Add(next.wait))
			continue
		}
		if err := sleep.For(d.ctx, next.wait); err != nil {
			return nil, fmt.Errorf("%w; no further attempt: %w", last, err)
		}
	}
}

// isVerdict reports whether an attempt ended with a verdict of the platform.
// The platform would repeat it for the same idempotency key.
func isVerdict(err error) bool {
	re := (*ResponseError)(nil)
	return err == nil || errors.As(err, &re) && re.verdict()
}

// step is the reaction to a failed attempt.
type step struct {
	again bool
	wait  time.Duration
	asked bool // the platform asked all requests to wait
}

// next returns the reaction to a failed attempt. It stops the delivery if other
// requests would fail as well.
func (d *delivery) next(batch []*outgoing, err error, failed, shortages *int) step {
	if isConfiguration(err) {
		d.stop(err)
		return step{}
	}
	if d.ctx.Err() != nil {
		return step{}
	}
	if len(batch) > 1 && dividable(err, batch) {
		// A request with missing events is repeated once.
		re := (*ResponseError)(nil)
		if !errors.As(err, &re) || !re.partial || d.retry.Attempts == 1 {
			return step{}
		}
		if *shortages++; *shortages > 1 {
			return step{}
		}
	}
	if d.retry.Attempts == 1 {
		if isTemporary(err) {
			// The outbox decides about the retry, also for the other events.
			d.stop(err)
		}
		return step{}
	}
	wait, again := d.retry.wait(err, failed)
	if deadline, ok := d.ctx.Deadline(); ok && !time.Now().Add(wait).Before(deadline) {
		again = false
	}
	asked := retryAfter(err) > 0
	if !again && asked && isTemporary(err) {
		d.stop(err)
	}
	return step{again: again, wait: wait, asked: asked}
}

func isConfiguration(err error) bool {
	re := (*ResponseError)(nil)
	return errors.As(err, &re) && re.meaning() == meansConfiguration
}
