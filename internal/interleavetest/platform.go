package interleavetest

import (
	"context"
	"fmt"
	"sync"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
)

// platform receives the events of both instances.
type platform struct {
	mu       sync.Mutex
	accepted map[string][]string // the values by event ID
	refused  map[string]bool     // the requests of refused events, as their idempotency keys
	repeated []string            // those that were sent again
}

// destination is the destination of an instance. Its requests pass the gate.
type destination struct {
	*platform
	gate *Gate

	mu   sync.Mutex
	next outcome // of the next request for the first value; others are accepted
}

// request is the step of a request.
const request = "request"

// outcome is the outcome of a delivery.
type outcome string

const (
	done    outcome = "done"
	skipped outcome = "skip"
	retried outcome = "retry"
	refused outcome = "dead"
)

// valueOf returns the value of the n-th Send of an event.
func valueOf(n int) string { return fmt.Sprintf("10.%02d", n) }

func (d *destination) Name() string { return "interleaved" }

func (d *destination) Check(e clickid.Event) clickid.Result {
	return clickid.Result{Type: e.Type, ID: e.ID, Verdict: clickid.VerdictReady}
}

// respond sets the outcome of the next request for the first value.
func (d *destination) respond(o outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next = o
}

// Deliver gets one item, since the instances do not linger.
func (d *destination) Deliver(_ context.Context, items []outbox.Item) (clickid.Report, error) {
	d.gate.Pass(request)
	e := items[0].Event
	value := e.Value.Number()
	next := done
	if value == valueOf(1) {
		d.mu.Lock()
		next, d.next = d.next, done
		d.mu.Unlock()
	}
	result := clickid.Result{Type: e.Type, ID: e.ID, Verdict: clickid.VerdictAccepted}
	d.platform.mu.Lock()
	defer d.platform.mu.Unlock()
	key := fmt.Sprintf("%s with the value %s and %d responses", e.ID, value, items[0].Responses)
	if d.refused[key] {
		d.repeated = append(d.repeated, key)
	}
	switch next {
	case skipped:
		result.Verdict = clickid.VerdictSkippedConsent
	case retried:
		panic("the destination panics")
	case refused:
		d.refused[key] = true
		result.Verdict, result.Reason, result.Err, result.Responses = clickid.VerdictRejected, "refused", clickid.ErrInvalidEvent, 1
	default:
		d.accepted[e.ID] = append(d.accepted[e.ID], value)
	}
	report := clickid.Report{Results: []clickid.Result{result}}
	return report, report.Err()
}
