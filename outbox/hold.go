package outbox

import (
	"sync"
	"time"
)

const (
	// holdThreshold is the number of distinct events with one code after which
	// the configuration is suspected and all events are held.
	holdThreshold = 20
	// maxHoldCodes limits the number of codes that are counted.
	maxHoldCodes = 100
)

// holds tracks the events that wait after a provisional refusal. Such a refusal
// may be caused by the event or by the configuration. Once another event has
// been accepted, the configuration is right, and an event that is refused again
// is a dead letter.
type holds struct {
	maxWait time.Duration // time after which an event is sent again in any case

	mu       sync.Mutex
	accepted time.Time // time of the last acceptance in this process
	ever     bool      // the destination has accepted an event in any process
	waiting  map[string]map[string]bool
	alerted  time.Time
}

func newHolds(maxWait time.Duration) *holds {
	return &holds{maxWait: maxWait, waiting: make(map[string]map[string]bool)}
}

// accept ends every hold.
func (h *holds) accept() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.accepted, h.ever = time.Now(), true
	clear(h.waiting)
}

// remember records an acceptance in an earlier process.
func (h *holds) remember() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ever = true
}

// add counts an event that waits. It reports whether all events are to be held.
func (h *holds) add(code, identity string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	events := h.waiting[code]
	if events == nil {
		if len(h.waiting) >= maxHoldCodes {
			clear(h.waiting)
		}
		events = make(map[string]bool)
		h.waiting[code] = events
	}
	if len(events) < holdThreshold {
		events[identity] = true
	}
	return !h.ever || len(events) >= holdThreshold
}

// released reports whether an event was accepted since the given time.
func (h *holds) released(since time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.accepted.After(since)
}

// overdue reports whether an event has waited so long that it is sent again,
// and whether to alert.
func (h *holds) overdue(since time.Time) (overdue, alert bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if now.Sub(since) < h.maxWait {
		return false, false
	}
	if alert = now.Sub(h.alerted) >= h.maxWait; alert {
		h.alerted = now
	}
	return true, alert
}
