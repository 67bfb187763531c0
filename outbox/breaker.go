package outbox

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// health is what the end of a request says about the other side.
type health int

const (
	healthGood     health = iota // it responded
	healthUnknown                // the request was interrupted
	healthFailing                // it may be unavailable
	healthPausing                // it asks not to be called
	healthRefusing               // it refuses the configuration
)

// ending is the end of a request.
type ending struct {
	health health
	wait   time.Duration // that the other side asks for
	every  time.Duration // how often a refusal is reported; 0 is alertInterval
	err    error
}

const (
	// breakerThreshold is how many requests in a row fail before the breaker
	// opens: a platform that fails now and then is available.
	breakerThreshold = 5
	// maxProbeInterval is the longest time between two probes of the platform.
	// A backlog shall be gone within a minute of its return.
	maxProbeInterval = 20 * time.Second
	// alertInterval is how often a refused configuration is reported while it
	// lasts.
	alertInterval = 10 * time.Minute
	// maxAsked is the longest wait that the other side can ask for. It is probed
	// then: the wait may be an error of its own.
	maxAsked = time.Hour
)

// breaker keeps requests back while the other side is unavailable. Opened, it lets
// one request through at a time, after intervals that double up to max.
type breaker struct {
	min, max time.Duration
	// changed reports the opening, each alert and the closing, outside of the
	// lock.
	changed func(state breakerState, err error)
	// patience is how long it stays open without an alert. 0 is for ever.
	patience time.Duration

	mu       sync.Mutex
	open     bool
	refusal  bool // it is open because the configuration is refused
	failures int  // in a row, while it is closed
	interval time.Duration
	until    time.Time // no probe before
	probing  bool      // a request is under way
	reserved bool      // a caller of await is about to send one
	alerted  time.Time
	since    time.Time     // when it opened, or reported last that it is still open
	wake     chan struct{} // closed when waiting callers shall look again
}

type breakerState int

const (
	breakerOpened  breakerState = iota // the other side is unavailable
	breakerRefused                     // the configuration is refused, or still is
	breakerLasting                     // the other side is still unavailable
	breakerClosed                      // it is back
)

func newBreaker(shortest, longest time.Duration, changed func(breakerState, error)) *breaker {
	return &breaker{min: shortest, max: max(shortest, longest), changed: changed, wake: make(chan struct{})}
}

// allow lets a request pass or not. The caller calls done when it has ended.
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

// remaining returns how long the breaker stays open at least, and whether it
// is open.
func (b *breaker) remaining() (time.Duration, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(0, time.Until(b.until)), b.open
}

// turn is what await returns: leave, or else wait, or neither when ctx or stop
// ended it.
type turn struct {
	leave func()        // a request may be sent; call it when that has ended
	wait  time.Duration // how long no request may be sent
}

// await waits until a request may be sent, so that a backlog stays in the
// queue instead of being taken out and put back over and over, and leaves at
// once when the other side returns. It waits no longer than limit, and not at
// all when the other side asked for a longer wait.
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

// reserve returns leave when a request may be sent now. Otherwise it returns how
// long none may be sent, and what is closed when to look again.
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

// rouse makes the waiting callers look again. The caller holds the lock.
func (b *breaker) rouse() {
	close(b.wake)
	b.wake = make(chan struct{})
}

// end takes the end of a request into account.
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
			return 0, false // it was on its way before the other side became unavailable
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

// trip opens the breaker, or keeps it open.
func (b *breaker) trip(e ending, probe bool) (state breakerState, report bool) {
	now := time.Now()
	switch {
	case !b.open:
		b.interval = b.min
	case probe:
		b.interval = min(2*b.interval, b.max)
	}
	if !b.open || probe {
		// The random part keeps several instances from probing together.
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
