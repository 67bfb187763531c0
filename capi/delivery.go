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

// delivery is the sending of the events of one call.
type delivery struct {
	*Client
	ctx   context.Context
	retry Retry

	mu       sync.Mutex
	until    time.Time // the platform asked not to be called before
	stopped  error     // why nothing more is sent
	misled   bool      // the platform named an event that turned out to be fine
	accepted bool      // it has accepted an event of this call
	refused  int       // single events that it refused without naming a reason in them
}

// maxRefusedAlike is how many single events may be refused without a word about
// the event, and without one that is accepted, before the configuration is taken
// to be at fault and the rest is not sent.
const maxRefusedAlike = 20

// deliver sends the events and settles each of them. Those that the platform
// wants again are sent again, as far as retry and ctx allow.
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

// wantedAgain returns the events that the platform wants again later.
func wantedAgain(events []*outgoing) []*outgoing {
	var again []*outgoing
	for _, o := range events {
		if o.again {
			again = append(again, o)
		}
	}
	return again
}

// pauseBefore waits before the events are sent again, and reports whether they
// are to be.
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

// sendAll sends the batches, several at once.
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
	// The slots bound the requests; more workers would have no use.
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

// send sends one batch and settles its events. A batch that the platform does
// not accept because of some of its events is divided. The events that it named
// are sent singly, so that one that was named wrongly is not lost, and the rest
// in halves: dividing takes at most 2·bad·log2(n)+1 requests, and sends an event
// at most log2(n)+2 times.
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

// largeBody is the size in bytes from which a cut connection is taken as a
// refusal of the body's size. Platforms have been seen to cut from one megabyte
// on.
const largeBody = 256 << 10

// dividable reports whether smaller requests may fare better.
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

// divide returns the events of a batch that the platform named, and the others.
// A platform that named a wrong one before is not believed again.
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

// settleAccepted settles the events of an accepting response. It reports false
// when that names a failure of no known event, so that none is known to be
// accepted and the batch is to be divided.
func (d *delivery) settleAccepted(batch []*outgoing, r *response) bool {
	refusals := make(map[int]*ResponseError)
	byID := indexByID(batch, len(r.failures))
	for _, failed := range r.failures {
		i, ok := failed.find(batch, byID)
		if !ok {
			if len(batch) > 1 {
				return false
			}
			i = 0 // there is no doubt which event it is
		}
		refusals[i] = failed.err
	}
	for i, o := range batch {
		o.response = r
		if err := refusals[i]; err != nil && !isDuplicate(err) {
			o.settleRefusal(err)
			continue
		}
		o.settle(clickid.VerdictAccepted, "", nil)
		d.noteAccepted()
	}
	return true
}

// indexByID returns the positions of the events by their IDs, when there are
// failures to look up.
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

// find returns the index of the event that the failure names by its ID, or else
// by an index in a path.
func (f *partialFailure) find(batch []*outgoing, byID map[string]int) (int, bool) {
	if i, ok := byID[f.eventID]; ok {
		return i, true
	}
	if len(f.err.indexes) > 0 && f.err.indexes[0] < len(batch) {
		return f.err.indexes[0], true
	}
	return 0, false
}

// settleRefused settles the events of a request that brought no success.
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

// settleRefusal records the platform's refusal of one event.
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

// settleIsolated makes a provisional refusal of the single event final: other
// events of the call were accepted, so the configuration is right.
func (o *outgoing) settleIsolated() {
	if o.isolated == nil || o.result.Verdict != clickid.VerdictFailed {
		return
	}
	err := *o.isolated
	err.isolated = true
	o.settle(clickid.VerdictRejected, err.reason(), &err)
}

// isDuplicate reports whether the refusal tells that the platform already has
// the event.
func isDuplicate(err *ResponseError) bool {
	return err.Code == "DUPLICATE" || err.Code == "DUPLICATE_EVENT" || err.Code == "ALREADY_EXISTS"
}

func (d *delivery) noteAccepted() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.accepted = true
}

// noteRefused counts a single event that was refused without a word about it.
func (d *delivery) noteRefused(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refused++; !d.accepted && d.refused >= maxRefusedAlike && d.stopped == nil {
		d.stopped = err
	}
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
	if err == nil && d.retry.Attempts > 1 {
		err = d.hanging.allow() // an outbox has a breaker of its own
	}
	if err != nil {
		<-d.slots
		return nil, err
	}
	return func() { <-d.slots }, nil
}

// exchange sends the request of one batch, again where the policy allows it, and
// returns the accepting response or the last failure.
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

// isVerdict reports whether the end of an attempt is a verdict of the platform,
// which it would repeat for the same idempotency key.
func isVerdict(err error) bool {
	re := (*ResponseError)(nil)
	return err == nil || errors.As(err, &re) && re.verdict()
}

// step is what follows a failed attempt.
type step struct {
	again bool
	wait  time.Duration
	asked bool // the platform asked for the wait, which concerns all requests
}

// next decides what follows a failed attempt. It stops the delivery where no
// other request can fare better either.
func (d *delivery) next(batch []*outgoing, err error, failed, shortages *int) step {
	if isConfiguration(err) {
		d.stop(err)
		return step{}
	}
	if d.ctx.Err() != nil {
		return step{}
	}
	if len(batch) > 1 && dividable(err, batch) {
		// A request of which some events were not received is repeated once.
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
			// The outbox decides when to try again, for the other events too.
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
