package clickidtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Dialect is the dialect of an [Event].
type Dialect string

// The dialects of the platform.
const (
	DialectECAPI    Dialect = "ecapi"
	DialectLogEvent Dialect = "log_event"
)

// Event is an event as the receiver read it. Its slices are shared and must
// not be changed.
type Event struct {
	// Dialect is the dialect of the event's request.
	Dialect Dialect `json:"dialect"`
	// Destination is the data set or event source.
	Destination string `json:"destination"`
	// TestCode is the test_event_code of the request. Only events of the same
	// code are deduplicated.
	TestCode string `json:"test_code,omitempty"`
	// Type, ID and Time are the event's own.
	Type string    `json:"type"`
	ID   string    `json:"id,omitempty"`
	Time time.Time `json:"time"`
	// Value is the text of the JSON number, or "", and Currency its ISO 4217 code.
	Value    string `json:"value,omitempty"`
	Currency string `json:"currency,omitempty"`
	// Source is ECAPI's source or log_event's action_source.
	Source string `json:"source,omitempty"`
	// ClickID and ClickIDType identify the click; ECAPI has no type.
	ClickID     string `json:"click_id,omitempty"`
	ClickIDType string `json:"click_id_type,omitempty"`
	// ExternalID is ECAPI's external_id, or log_event's first uid of type other.
	ExternalID string `json:"external_id,omitempty"`
	// UIDs are all tokens of identity providers.
	UIDs []UID `json:"uids,omitempty"`
	// Raw is the event's JSON as it was first received.
	Raw json.RawMessage `json:"raw"`

	// Outcome is the receiver's decision, and Problems are the reasons for a
	// refusal.
	Outcome  Outcome   `json:"outcome"`
	Problems []Problem `json:"problems,omitempty"`
	// Request is the number of the first request that contained the event.
	Request int `json:"request"`
	// Received counts how often the event was received, including repeated
	// requests.
	Received int `json:"received"`
	// Merged are the types of later events that ECAPI merged into this one
	// because their ID is the same.
	Merged []string `json:"merged,omitempty"`
	// FirstAt and LastAt are the times of the first and the last receipt.
	FirstAt time.Time `json:"first_at"`
	LastAt  time.Time `json:"last_at"`
}

// UID is a token of an identity provider.
type UID struct {
	Provider string `json:"provider"`        // ECAPI's source or log_event's type
	Value    string `json:"value"`           // the token
	AType    int    `json:"atype,omitempty"` // only in ECAPI: 1 for a device, 3 for a user
}

// Outcome is the receiver's decision about an event.
type Outcome string

const (
	// OutcomeAccepted means that the event is new and counted.
	OutcomeAccepted Outcome = "accepted"
	// OutcomeDuplicate means that the event was counted before.
	OutcomeDuplicate Outcome = "duplicate"
	// OutcomeRefused means that this event was refused.
	OutcomeRefused Outcome = "refused"
	// OutcomeNotProcessed means that the request was refused because of other
	// events, or that a [Fault] left this one out.
	OutcomeNotProcessed Outcome = "not processed"
)

// Request is a recorded request to any path.
type Request struct {
	// Number counts the requests from 1, in the order of their arrival.
	Number int `json:"number"`
	// At is the time of the arrival. Method, Path and Query are those of the
	// request; Query has no question mark.
	At     time.Time `json:"at"`
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Query  string    `json:"query,omitempty"`
	// Header is the header of the request without Authorization.
	Header http.Header `json:"header"`
	// Bytes is the size of the body, and Events the number of its events.
	Bytes  int `json:"bytes"`
	Events int `json:"events"`
	// IdempotencyKey is the key of a log_event request. Replayed reports that
	// the response is that of an earlier request with the same key.
	IdempotencyKey string `json:"idempotency_key,omitempty"`
	Replayed       bool   `json:"replayed,omitempty"`
	// Status is the status of the response. It is 0 until then, and when the
	// connection was cut.
	Status int `json:"status"`
	// Error is the refusal, if any.
	Error Error `json:"error"`
	// Scripted reports that a [Fault] was injected, and Fault is its name.
	Scripted bool   `json:"scripted,omitempty"`
	Fault    string `json:"fault,omitempty"`
}

// arrive records the request and takes its fault.
func (x *exchange) arrive() {
	header := x.http.Header.Clone()
	header.Del("Authorization")
	for _, values := range header {
		for i := range values {
			values[i] = x.withoutKey(values[i])
		}
	}
	x.record = &Request{
		At:     x.cfg.Now(),
		Method: x.http.Method,
		Path:   x.withoutKey(x.http.URL.Path),
		Query:  x.withoutKey(x.http.URL.RawQuery),
		Header: header,
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.fault = x.script.take()
	x.record.Scripted, x.record.Fault = !x.fault.isNone(), x.fault.Name
	x.arrived++
	x.record.Number = x.arrived
	kept := *x.record
	x.requests = keepLatest(append(x.requests, &kept), x.cfg.Keep)
	x.notify()
}

func (f Fault) isNone() bool {
	return f.Latency == 0 && f.Hold == nil && f.Cut == CutNone && f.Status == 0 && len(f.Header) == 0 && !f.replaces() &&
		f.Body == "" && f.TaskStatus == "" && !f.Truncated && f.PadTo == 0 && f.Failed == 0 && f.Unprocessed == 0 && f.Unreceived == 0
}

// finish records the response and calls the hooks.
func (x *exchange) finish(resp response) {
	x.record.Status = resp.status
	x.record.Bytes = len(x.body)
	x.mu.Lock()
	if i := x.record.Number - 1 - (x.arrived - len(x.requests)); i >= 0 {
		*x.requests[i] = *x.record
	}
	x.noteHealth()
	x.notify()
	x.mu.Unlock()
	if x.cfg.OnEvent != nil {
		for _, e := range x.events {
			x.cfg.OnEvent(*e)
		}
	}
	if x.cfg.OnRequest != nil {
		x.cfg.OnRequest(*x.record)
	}
	if x.cfg.OnExchange != nil {
		x.cfg.OnExchange(x.observed(resp))
	}
}

// keepLatest drops the oldest elements beyond limit.
func keepLatest[T any](list []T, limit int) []T {
	if len(list) <= limit {
		return list
	}
	return list[len(list)-limit:]
}

// notify wakes the waiters. The caller holds the lock.
func (r *Receiver) notify() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// until waits until done returns true. It calls done with the lock held.
func (r *Receiver) until(ctx context.Context, done func() bool) error {
	for {
		r.mu.Lock()
		if done() {
			r.mu.Unlock()
			return nil
		}
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Accepted returns the accepted events in the order of their arrival, each
// once.
func (r *Receiver) Accepted() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := make([]Event, len(r.ledger.events))
	for i, e := range r.ledger.events {
		events[i] = *e
	}
	return events
}

// Count returns how many events have been accepted, each once.
func (r *Receiver) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ledger.count
}

// Clear forgets all events, requests and idempotency keys, so that an event with
// a known ID is accepted again. Faults and event sources stay.
func (r *Receiver) Clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ledger = newLedger(&r.cfg)
	r.requests, r.cleared = nil, r.arrived
}

// Restore counts the accepted and duplicate ones of events that an earlier
// receiver has recorded, in the order of their arrival.
func (r *Receiver) Restore(events []Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		if e.Outcome == OutcomeAccepted || e.Outcome == OutcomeDuplicate {
			r.ledger.book(&e, e.LastAt)
		}
	}
}

// Requests returns the requests in the order of their arrival, including those
// that have no response yet.
func (r *Receiver) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	requests := make([]Request, len(r.requests))
	for i, request := range r.requests {
		requests[i] = *request
	}
	return requests
}

// Wait waits until n events have been accepted and returns them. It returns an
// error if ctx ends first.
func (r *Receiver) Wait(ctx context.Context, n int) ([]Event, error) {
	count := 0
	err := r.until(ctx, func() bool {
		count = r.ledger.count
		return count >= n
	})
	if err != nil {
		return nil, fmt.Errorf("clickidtest: wait for events: %d of %d accepted: %w", count, n, err)
	}
	return r.Accepted(), nil
}

// WaitRequests waits until n requests have arrived and returns them. They need
// not have a response yet. It returns an error if ctx ends first.
func (r *Receiver) WaitRequests(ctx context.Context, n int) ([]Request, error) {
	arrived := 0
	err := r.until(ctx, func() bool {
		arrived = r.arrived - r.cleared
		return arrived >= n
	})
	if err != nil {
		return nil, fmt.Errorf("clickidtest: wait for requests: %d of %d arrived: %w", arrived, n, err)
	}
	return r.Requests(), nil
}
