package clickidtest

import (
	"bytes"
	"context"
	"encoding/json"
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
	// Name appears in the record of the request.
	Name string

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
	// Error is the error of the response. With a Status of 200 it is an error
	// inside a success. Code and Message default to the usual ones of the
	// status.
	Error Error
	// Form is the form of the error. Defaults to that of the endpoint.
	Form Form
	// Header is added to the response, such as Retry-After or Location.
	Header http.Header
	// Body replaces the body of the response. Status defaults to 200. A body
	// that begins with "<" is sent as text/html.
	Body string
	// Processed makes Body replace the response to a request that is processed,
	// so that its events are recorded.
	Processed bool
	// TaskStatus is the member status of the response, such as "submitted",
	// "failed" or "completed". The request is processed only with "completed".
	TaskStatus string
	// Unsuccessful adds "success": false to the response. The request is not
	// processed.
	Unsuccessful bool
	// Truncated sends only the first half of the body, as a complete response.
	Truncated bool
	// PadTo fills the body with spaces to this number of bytes.
	PadTo int

	// Failed is the number of events of a log_event request that are reported as
	// a partial failure. They are the last ones of the request. ECAPI, with one
	// event in a request, refuses the request.
	Failed int
	// Unreceived is the number of events of a log_event request that are missing
	// from events_received. They are the last ones of the request and are not
	// recorded.
	Unreceived int
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

// Form is the form of an error in a response.
type Form int

const (
	// FormEndpoint is the form of the endpoint: errors at the tracking endpoint,
	// data and error at Interchange, error and code at ECAPI.
	FormEndpoint Form = iota
	// FormAdCPError is {"status":"failed","adcp_error":{…}}.
	FormAdCPError
	// FormAdCPErrorOnly is {"adcp_error":{…}}.
	FormAdCPErrorOnly
	// FormErrors is {"errors":[{…}]}.
	FormErrors
	// FormErrorsInData is {"data":{"errors":[{…}]}}.
	FormErrorsInData
	// FormError is {"error":{…}}.
	FormError
	// FormErrorText is {"error":"message","code":"code"}.
	FormErrorText
)

// Naming is how a response names the event that it refuses.
type Naming int

const (
	// NamingDefault is NamingPointer in the refusal of a whole request, and
	// NamingID in a partial failure.
	NamingDefault Naming = iota
	// NamingID is the member event_id.
	NamingID
	// NamingPointer is the field "/events/1/event_type".
	NamingPointer
	// NamingBrackets is the field "events[1].event_type".
	NamingBrackets
	// NamingIssues is issues[].path with "/events/1/event_type".
	NamingIssues
	// NamingDetails is details.issues[].path with ["events",1,"event_type"].
	NamingDetails
	// NamingIndex is the member index.
	NamingIndex
	// NamingUnknownID is an event_id that no event has.
	NamingUnknownID
	// NamingNone names no event.
	NamingNone
)

// EventRefusal refuses certain events in every request.
type EventRefusal struct {
	// IDs are the IDs of the events.
	IDs []string
	// WholeRequest refuses every request that contains one of the events. By
	// default log_event reports a partial failure. ECAPI, with one event in a
	// request, always refuses the request.
	WholeRequest bool
	// Naming is how the refusal names the event. Defaults to NamingDefault.
	Naming Naming
	// Times is the number of refusals of each event, after which it is accepted.
	// 0 means no limit.
	Times int
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
	ids   map[string]bool
	count map[string]int // refusals so far
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

// Faults returns the faults that wait for a request: first those of
// [Receiver.Next], with the number of requests that are left as Times, then those
// of [Receiver.Always], whose Times is 0.
func (r *Receiver) Faults() []Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	var waiting []Fault
	for _, f := range r.script.next {
		waiting = append(waiting, *f)
	}
	for _, f := range r.script.always {
		lasting := *f
		lasting.Times = 0
		waiting = append(waiting, lasting)
	}
	return waiting
}

// ClearFaults removes the faults that wait for a request.
func (r *Receiver) ClearFaults() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.script.next, r.script.always = nil, nil
}

// RefuseEvents refuses events until the returned function is called.
func (r *Receiver) RefuseEvents(e EventRefusal) (lift func()) {
	if e.Status == 0 {
		e.Status = http.StatusBadRequest
	}
	if e.Code == "" {
		e.Code = "VALIDATION_ERROR"
	}
	added := &refusal{EventRefusal: e, ids: make(map[string]bool, len(e.IDs)), count: make(map[string]int)}
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
	return f.Status >= 300 || f.Body != "" && !f.Processed || !f.Error.isZero() || f.Form != FormEndpoint || f.Unsuccessful ||
		f.TaskStatus != "" && f.TaskStatus != "completed"
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
	if f.Error.isZero() && f.Form == FormEndpoint && (f.TaskStatus != "" || f.Unsuccessful) {
		return x.reply(status, map[string]any{})
	}
	e := f.Error
	if e.Code == "" {
		e.Code = usualCode(status)
	}
	if e.Message == "" {
		e.Message = usualMessage(status)
	}
	return x.refuseAs(f.Form, status, e)
}

// disguise changes a response as the fault wants it.
func (f Fault) disguise(resp response) response {
	if f.Body != "" && f.Processed && resp.status < 300 {
		resp.body = []byte(f.Body)
	}
	if f.TaskStatus != "" || f.Unsuccessful {
		resp.body = withMembers(resp.body, f.TaskStatus, f.Unsuccessful)
	}
	if n := f.PadTo - len(resp.body); n > 0 {
		resp.body = append(bytes.Clone(resp.body), bytes.Repeat([]byte(" "), n)...)
	}
	if f.Truncated {
		resp.body = resp.body[:len(resp.body)/2]
	}
	if bytes.HasPrefix(resp.body, []byte("<")) {
		resp = resp.with(http.Header{"Content-Type": {"text/html; charset=utf-8"}})
	}
	return resp
}

// withMembers adds status and success to a JSON object.
func withMembers(body []byte, status string, unsuccessful bool) []byte {
	members := make(map[string]json.RawMessage)
	if err := json.Unmarshal(body, &members); err != nil {
		return body
	}
	if status != "" {
		members["status"] = encode(status)
	}
	if unsuccessful {
		members["success"] = encode(false)
	}
	return encode(members)
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

// refusalOf returns the current refusal of an event, or nil, and counts it.
func (r *Receiver) refusalOf(id string) *refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := r.script.refusals.of(id)
	if found != nil {
		found.count[id]++
	}
	return found
}

type refusals []*refusal

// of returns the latest refusal of an event, or nil. The caller holds the
// receiver's lock.
func (list refusals) of(id string) *refusal {
	for i := len(list) - 1; i >= 0; i-- {
		if r := list[i]; r.ids[id] && (r.Times == 0 || r.count[id] < r.Times) {
			return r
		}
	}
	return nil
}

// refuse marks an event that the script refuses.
func (e *Event) refuse(path string, r *refusal) {
	e.refuseFor(path, "is refused by EventRefusal with the code "+r.Code)
}

// fail marks an event that the request's fault refuses.
func (e *Event) fail(path string) { e.refuseFor(path, "is refused by a fault") }

func (e *Event) refuseFor(path, reason string) {
	e.Outcome = OutcomeRefused
	e.Problems = []Problem{{Field: path, Message: reason}}
}
