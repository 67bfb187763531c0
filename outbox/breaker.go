package outbox

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// health is the state of the platform after a request.
type health int

const (
	healthGood     health = iota // the platform responded
	healthUnknown                // the request was interrupted
	healthFailing                // the platform may be unavailable
	healthPausing                // the platform asks to wait
	healthRefusing               // the platform refuses the configuration
)

// ending is the result of a request for the breaker.
type ending struct {
	health health
	wait   time.Duration // the wait that the platform asks for
	every  time.Duration // the interval of alerts; 0 is alertInterval
	err    error
}

const (
	// breakerThreshold is the number of failed requests in a row that opens the
	// breaker. Occasional failures do not open it.
	breakerThreshold = 5
	// maxProbeInterval is the longest time between two probes, so that a
	// backlog is delivered within a minute after an outage.
	maxProbeInterval = 20 * time.Second
	// alertInterval is the interval in which a refused configuration is
	// reported.
	alertInterval = 10 * time.Minute
	// maxAsked is the longest wait that the platform can ask for. Longer waits
	// are usually mistakes.
	maxAsked = time.Hour
)

// breaker stops requests while the platform is unavailable. While it is open,
// it allows one request at a time, at intervals that double up to max.
type breaker struct {
	min, max time.Duration
	// changed reports the opening, each alert and the closing, without the
	// lock.
	changed func(state breakerState, err error)
	// patience is how long it stays open without an alert; 0 means no alert.
	patience time.Duration

	mu       sync.Mutex
	open     bool
	refusal  bool // it is open because of a refused configuration
	failures int  // failures in a row while it is closed
	interval time.Duration
	until    time.Time // time of the next probe
	probing  bool      // a request is in progress
	reserved bool      // a caller of await has reserved the next request
	alerted  time.Time
	since    time.Time     // time of the opening or of the last alert
	wake     chan struct{} // closed when waiting callers must check again
}

type breakerState int

const (
	breakerOpened  breakerState = iota // the platform is unavailable
	breakerRefused                     // the configuration is refused
	breakerLasting                     // the platform is still unavailable
	breakerClosed                      // the platform has recovered
)

func newBreaker(shortest, longest time.Duration, changed func(breakerState, error)) *breaker {
	return &breaker{min: shortest, max: max(shortest, longest), changed: changed, wake: make(chan struct{})}
}

// allow reports whether a request may be sent. The caller calls done after it.
func (b *breaker) allow() (done func(ending), ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return func(e ending) { b.end(e, false) }, true
	}
	if b.probing || time.Now().Before(b.until) {
		return nil, false
	}
	b.probing = true
	return func(e ending) { b.end(e, true) }, true
}

// remaining returns the time until the next probe and whether the breaker is
// open.
func (b *breaker) remaining() (time.Duration, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(0, time.Until(b.until)), b.open
}

// turn is the result of await: leave, or wait, or neither if ctx or stop ended
// it.
type turn struct {
	leave func()        // a request may be sent; call it afterwards
	wait  time.Duration // the time until a request may be sent
}

// await waits until a request may be sent. The backlog then stays in the queue
// and is delivered at once when the platform recovers. await waits at most
// limit, and not at all if the platform asked for a longer wait.
func (b *breaker) await(ctx context.Context, stop <-chan struct{}, limit time.Duration) turn {
	deadline := time.Now().Add(limit)
	for {
		leave, remaining, wake := b.reserve()
		if leave != nil {
			return turn{leave: leave}
		}
		left := time.Until(deadline)
		if left <= 0 || remaining > limit {
			return turn{wait: max(remaining, b.min)}
		}
		if remaining > 0 {
			left = min(left, remaining)
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-wake:
		case <-ctx.Done():
		case <-stop:
		}
		timer.Stop()
		if ctx.Err() != nil || isClosed(stop) {
			return turn{}
		}
	}
}

// reserve returns leave if a request may be sent now. Otherwise it returns the
// time until then and a channel that is closed when the state changes.
func (b *breaker) reserve() (leave func(), remaining time.Duration, wake <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return func() {}, 0, nil
	}
	remaining = time.Until(b.until)
	if remaining > 0 || b.probing || b.reserved {
		return nil, remaining, b.wake
	}
	b.reserved = true
	return b.leave, 0, nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// leave ends a reservation.
func (b *breaker) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reserved = false
	b.rouse()
}

// rouse wakes the waiting callers. The caller holds the lock.
func (b *breaker) rouse() {
	close(b.wake)
	b.wake = make(chan struct{})
}

// end records the result of a request.
func (b *breaker) end(e ending, probe bool) {
	b.mu.Lock()
	state, report := b.settle(e, probe)
	b.mu.Unlock()
	if report {
		b.changed(state, e.err)
	}
}

func (b *breaker) settle(e ending, probe bool) (state breakerState, report bool) {
	if probe {
		b.probing = false
		defer b.rouse()
	}
	switch e.health {
	case healthUnknown:
		return 0, false
	case healthGood:
		if b.open && !probe {
			return 0, false // sent before the platform became unavailable
		}
		wasOpen := b.open
		b.open, b.refusal, b.failures = false, false, 0
		return breakerClosed, wasOpen
	case healthFailing:
		if b.failures++; !b.open && b.failures < breakerThreshold {
			return 0, false
		}
	}
	return b.trip(e, probe)
}

// trip opens the breaker or keeps it open.
func (b *breaker) trip(e ending, probe bool) (state breakerState, report bool) {
	now := time.Now()
	switch {
	case !b.open:
		b.interval = b.min
	case probe:
		b.interval = min(2*b.interval, b.max)
	}
	if !b.open || probe {
		// The random part spreads the probes of several instances.
		b.until = now.Add(b.interval - rand.N(b.interval/2+1))
	}
	if asked := now.Add(min(e.wait, maxAsked)); asked.After(b.until) {
		b.until = asked
	}
	opened := !b.open
	b.open = true
	if opened {
		b.since = now
	}
	if e.health != healthRefusing {
		if probe {
			b.refusal = false
		}
		if !opened && b.patience > 0 && now.Sub(b.since) >= b.patience {
			b.since = now
			return breakerLasting, true
		}
		return breakerOpened, opened
	}
	every := e.every
	if every == 0 {
		every = alertInterval
	}
	report = !b.refusal || now.Sub(b.alerted) >= every
	if report {
		b.alerted = now
	}
	b.refusal = true
	return breakerRefused, report
}
