package clickidtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Dialects of an [Event].
const (
	DialectECAPI    = "ecapi"
	DialectLogEvent = "log_event"
)

// Event is one event as the receiver understood it. Its slices are shared and
// must not be changed.
type Event struct {
	// Dialect is DialectECAPI or DialectLogEvent.
	Dialect string `json:"dialect"`
	// Destination is the data set or event source.
	Destination string `json:"destination"`
	// TestCode is the test_event_code that came with it. Events of different
	// codes, and those without one, never meet.
	TestCode string `json:"test_code,omitempty"`
	// Type, ID and Time are the event's own.
	Type string    `json:"type"`
	ID   string    `json:"id,omitempty"`
	Time time.Time `json:"time"`
	// Value is the JSON number as it was written, or "".
	Value    string `json:"value,omitempty"`
	Currency string `json:"currency,omitempty"`
	// Source is ECAPI's source or log_event's action_source.
	Source string `json:"source,omitempty"`
	// ClickID and ClickIDType identify the click; ECAPI has no type.
	ClickID     string `json:"click_id,omitempty"`
	ClickIDType string `json:"click_id_type,omitempty"`
	// ExternalID is ECAPI's external_id or log_event's uid of type
	// publisher_first_party.
	ExternalID string `json:"external_id,omitempty"`
	// UIDs are all tokens of identity providers.
	UIDs []UID `json:"uids,omitempty"`
	// Raw is the event's JSON as it was received first.
	Raw json.RawMessage `json:"raw"`

	// Outcome is what became of it, and Problems why it was refused.
	Outcome  Outcome   `json:"outcome"`
	Problems []Problem `json:"problems,omitempty"`
	// Request is the number of the request it came in first.
	Request int `json:"request"`
	// Received counts how many times it was received, with repeated requests.
	Received int `json:"received"`
	// Merged are the types of later events that ECAPI took for this one, since
	// it deduplicates by the ID alone.
	Merged []string `json:"merged,omitempty"`
	// FirstAt and LastAt are when it was received.
	FirstAt time.Time `json:"first_at"`
	LastAt  time.Time `json:"last_at"`
}

// UID is a token of an identity provider.
type UID struct {
	Provider string `json:"provider"` // ECAPI's source or log_event's type
	Value    string `json:"value"`
	AType    int    `json:"atype,omitempty"` // ECAPI alone: 1 device, 3 person
}

// Outcome is what became of an event.
type Outcome string

const (
	// Accepted: it is new and counted.
	Accepted Outcome = "accepted"
	// Duplicate: it was counted before.
	Duplicate Outcome = "duplicate"
	// Refused: this very event is refused.
	Refused Outcome = "refused"
	// NotProcessed: its request was refused for another reason, or it was
	// received and left aside without a word.
	NotProcessed Outcome = "not processed"
)

// Request is one request, whatever its path.
type Request struct {
	// Number counts the requests from 1, in the order of their arrival.
	Number int       `json:"number"`
	At     time.Time `json:"at"`
	Method string    `json:"method"`
	Path   string    `json:"path"`
	// Header is the request's without Authorization.
	Header http.Header `json:"header"`
	// Bytes is the size of the body, and Events how many events it holds.
	Bytes  int `json:"bytes"`
	Events int `json:"events"`
	// IdempotencyKey is that of a log_event request, and Replayed says that it
	// was answered with what an earlier request of the same key was told.
	IdempotencyKey string `json:"idempotency_key,omitempty"`
	Replayed       bool   `json:"replayed,omitempty"`
	// Status is what was answered: 0 while the answer is under way, and when
	// the connection was cut instead.
	Status int `json:"status"`
	// Error is the refusal, if any.
	Error Error `json:"error"`
	// Scripted says that trouble was made for it.
	Scripted bool `json:"scripted,omitempty"`
}

// arrive records the request and finds its trouble.
func (x *exchange) arrive() {
	header := x.http.Header.Clone()
	header.Del("Authorization")
	x.record = &Request{
		At:     x.cfg.Now(),
		Method: x.http.Method,
		Path:   x.http.URL.Path,
		Header: header,
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.trouble = x.script.take()
	x.record.Scripted = !x.trouble.isNone()
	x.arrived++
	x.record.Number = x.arrived
	kept := *x.record
	x.requests = keepLatest(append(x.requests, &kept), x.cfg.Keep)
	x.notify()
}

func (t Trouble) isNone() bool {
	return t.Latency == 0 && t.Hold == nil && t.Cut == NoCut && t.Status == 0 &&
		t.Error.isZero() && len(t.Header) == 0 && t.Body == "" && t.Unprocessed == 0
}

// finish records the outcome and calls the hooks.
func (x *exchange) finish(a answer) {
	x.record.Status = a.status
	x.record.Bytes = len(x.body)
	x.mu.Lock()
	if i := x.record.Number - 1 - (x.arrived - len(x.requests)); i >= 0 {
		*x.requests[i] = *x.record
	}
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
}

// keepLatest drops the oldest elements beyond limit.
func keepLatest[T any](list []T, limit int) []T {
	if len(list) <= limit {
		return list
	}
	return list[len(list)-limit:]
}

// notify wakes those who wait. The lock is held.
func (r *Receiver) notify() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// until waits until done, which is called with the lock held, returns true.
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

// Requests returns the requests in the order of their arrival, those included
// that are not answered yet.
func (r *Receiver) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	requests := make([]Request, len(r.requests))
	for i, request := range r.requests {
		requests[i] = *request
	}
	return requests
}

// Wait waits until n events have been accepted and returns them, or an error
// when ctx ends first.
func (r *Receiver) Wait(ctx context.Context, n int) ([]Event, error) {
	count := 0
	err := r.until(ctx, func() bool {
		count = r.ledger.count
		return count >= n
	})
	if err != nil {
		return nil, fmt.Errorf("clickidtest: %d of %d events were accepted: %w", count, n, err)
	}
	return r.Accepted(), nil
}

// WaitRequests waits until n requests have arrived, answered or not, and
// returns them, or an error when ctx ends first.
func (r *Receiver) WaitRequests(ctx context.Context, n int) ([]Request, error) {
	arrived := 0
	err := r.until(ctx, func() bool {
		arrived = r.arrived
		return arrived >= n
	})
	if err != nil {
		return nil, fmt.Errorf("clickidtest: %d of %d requests arrived: %w", arrived, n, err)
	}
	return r.Requests(), nil
}
