package clickidtest

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// Fault is a fault of the platform that is injected into a request. Its fields
// can be combined.
type Fault struct {
	// Times is the number of requests that [Receiver.Next] injects the fault
	// into. Defaults to one.
	Times int

	// Latency delays the response.
	Latency time.Duration
	// Hold delays the response until the channel is closed. If the client
	// closes the connection first, the request is not processed.
	Hold <-chan struct{}

	// Cut closes the connection. Defaults to CutNone.
	Cut Cut

	// Status is the status of the response. The request is not processed if
	// Status is 300 or more, or if Error or Body is set. Another 2xx replaces
	// the 200 of a success.
	Status int
	// Error is the error of the response, in the endpoint's form. With a Status
	// of 200 it is an error inside a success. Code and Message default to the
	// usual ones of the status.
	Error Error
	// Header is added to the response, such as Retry-After or Location.
	Header http.Header
	// Body replaces the body of the response. Status defaults to 200.
	Body string

	// Unprocessed is the number of events of a log_event request that are
	// neither processed nor reported as a failure. They are the last ones of
	// the request and are not recorded.
	Unprocessed int
}

// Cut is the moment at which a connection is closed.
type Cut int

const (
	// CutNone keeps the connection open.
	CutNone Cut = iota
	// CutBeforeReading closes it before the request's body is read.
	CutBeforeReading
	// CutAfterReading closes it after the body is read. The request is not
	// processed.
	CutAfterReading
	// CutAfterProcessing closes it after the events are recorded, without a
	// response.
	CutAfterProcessing
	// CutMidResponse closes it in the middle of the response's body.
	CutMidResponse
)

// EventRefusal refuses certain events in every request.
type EventRefusal struct {
	// IDs are the IDs of the events.
	IDs []string
	// WholeRequest refuses every request that contains one of the events. By
	// default log_event reports a partial failure. ECAPI, with one event in a
	// request, always refuses the request.
	WholeRequest bool
	// Unnamed omits the field from the refusal of a whole request. By default
	// the field is "/events/N/event_type".
	Unnamed bool
	// Status is the status of the refusal of a whole request. Defaults to 400.
	// With 200 the error is inside a success.
	Status int
	// Code and Recovery are those of the refusal. Code defaults to
	// "VALIDATION_ERROR".
	Code, Recovery string
}

// script holds the faults that are injected into later requests.
type script struct {
	next     []*Fault
	always   []*Fault
	refusals refusals
}

// refusal is an EventRefusal with an index of its IDs.
type refusal struct {
	EventRefusal
	ids map[string]bool
}

// Next injects the faults into the next requests, in this order and after
// those of earlier calls.
func (r *Receiver) Next(faults ...Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range faults {
		f.Times = max(f.Times, 1)
		r.script.next = append(r.script.next, &f)
	}
}

// Always injects the fault into every request that has none from
// [Receiver.Next], until the returned function is called. The latest call
// takes precedence.
func (r *Receiver) Always(f Fault) (lift func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.script.always = append(r.script.always, &f)
	return func() { lifted(r, &r.script.always, &f) }
}

// RefuseEvents refuses events until the returned function is called.
func (r *Receiver) RefuseEvents(e EventRefusal) (lift func()) {
	if e.Status == 0 {
		e.Status = http.StatusBadRequest
	}
	if e.Code == "" {
		e.Code = "VALIDATION_ERROR"
	}
	added := &refusal{EventRefusal: e, ids: make(map[string]bool, len(e.IDs))}
	for _, id := range e.IDs {
		added.ids[id] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.script.refusals = append(r.script.refusals[:len(r.script.refusals):len(r.script.refusals)], added)
	return func() { lifted(r, &r.script.refusals, added) }
}

func lifted[L ~[]*T, T any](r *Receiver, list *L, gone *T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*list = slices.DeleteFunc(slices.Clone(*list), func(t *T) bool { return t == gone })
}

// take returns the fault of the next request. The caller holds the receiver's
// lock.
func (s *script) take() Fault {
	if len(s.next) > 0 {
		f := s.next[0]
		if f.Times--; f.Times == 0 {
			s.next = s.next[1:]
		}
		return *f
	}
	if len(s.always) > 0 {
		return *s.always[len(s.always)-1]
	}
	return Fault{}
}

// wait delays the response and reports whether the client still waits for it.
func (f Fault) wait(ctx context.Context) bool {
	if f.Latency > 0 {
		timer := time.NewTimer(f.Latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return false
		}
	}
	if f.Hold != nil {
		select {
		case <-f.Hold:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// replaces reports whether the fault replaces the processing of the request.
func (f Fault) replaces() bool {
	return f.Status >= 300 || f.Body != "" || !f.Error.isZero()
}

func (e Error) isZero() bool {
	return e.Code == "" && e.Message == "" && e.Field == "" && e.Suggestion == "" &&
		e.RetryAfter == 0 && e.Recovery == "" && len(e.Issues) == 0
}

// scripted returns the response of the fault.
func (x *exchange) scripted() response {
	f := x.fault
	status := f.Status
	if status == 0 {
		status = http.StatusOK
	}
	if f.Body != "" {
		return response{status: status, body: []byte(f.Body)}
	}
	e := f.Error
	if e.Code == "" {
		e.Code = usualCode(status)
	}
	if e.Message == "" {
		e.Message = usualMessage(status)
	}
	return x.refuse(status, e)
}

// usualCode returns the code of a status in the table of the REST API.
func usualCode(status int) string {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return "VALIDATION_ERROR"
	case http.StatusUnauthorized:
		return "UNAUTHORIZED"
	case http.StatusForbidden:
		return "ACCESS_DENIED"
	case http.StatusNotFound:
		return "NOT_FOUND"
	case http.StatusConflict:
		return "CONFLICT"
	case http.StatusTooManyRequests:
		return "RATE_LIMITED"
	case http.StatusInternalServerError:
		return "INTERNAL_ERROR"
	case http.StatusServiceUnavailable:
		return "SERVICE_UNAVAILABLE"
	}
	return ""
}

// usualMessage returns the message of a status in ECAPI's table of errors, or
// the status text.
func usualMessage(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "Validation error"
	case http.StatusForbidden:
		return "Access denied to dataset"
	case http.StatusUnsupportedMediaType:
		return "Content-Type must be application/json"
	}
	return http.StatusText(status)
}

// refusals returns the current refusals of events.
func (r *Receiver) refusals() refusals {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.script.refusals
}

type refusals []*refusal

// of returns the latest refusal of an event, or nil.
func (list refusals) of(id string) *refusal {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].ids[id] {
			return list[i]
		}
	}
	return nil
}

// refuse marks an event that the script refuses.
func (e *Event) refuse(path string, r *refusal) {
	e.Outcome = OutcomeRefused
	e.Problems = []Problem{{Field: path, Message: "is refused by EventRefusal with the code " + r.Code}}
}
