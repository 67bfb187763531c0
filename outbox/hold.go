package outbox

import (
	"sync"
	"time"
)

const (
	// holdThreshold is how many distinct events wait with one code before the
	// configuration is suspected and everything is held.
	holdThreshold = 20
	// maxHoldCodes bounds the codes that are counted.
	maxHoldCodes = 100
)

// holds knows which events wait after a provisional refusal. An event of a
// platform that accepts others is at fault itself when it is refused again; until
// another one is accepted, the configuration can be at fault as well.
type holds struct {
	maxWait time.Duration // after which an event is sent again in any case

	mu       sync.Mutex
	accepted time.Time // when the destination accepted an event in this process
	ever     bool      // the destination has accepted an event, now or earlier
	waiting  map[string]map[string]bool
	alerted  time.Time
}

func newHolds(maxWait time.Duration) *holds {
	return &holds{maxWait: maxWait, waiting: make(map[string]map[string]bool)}
}

// accept ends every hold: the destination accepts events.
func (h *holds) accept() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.accepted, h.ever = time.Now(), true
	clear(h.waiting)
}

// remember notes that the destination accepted an event in an earlier process.
func (h *holds) remember() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ever = true
}

// add counts an event that waits, and reports whether everything is to be held.
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

// overdue reports whether an event has waited so long that it is sent again, and
// whether that is to be reported.
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
