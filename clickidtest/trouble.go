package clickidtest

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// Trouble is what goes wrong with a request. Its fields can be combined.
type Trouble struct {
	// Times is to how many requests it happens, for [Receiver.Next]. Defaults
	// to one.
	Times int

	// Latency delays the answer.
	Latency time.Duration
	// Hold delays the answer until the channel is closed. A client that leaves
	// first gets none, and its request is not processed.
	Hold <-chan struct{}

	// Cut closes the connection.
	Cut Cut

	// Status answers with this status. One of 300 and more, and any together
	// with Error or Body, is answered without processing the request; another
	// 2xx replaces the 200 of a success.
	Status int
	// Error is put into the answer, in the endpoint's form: with a Status of
	// 200, an error inside a success. What is left out of it has the usual
	// value of the status.
	Error Error
	// Header is added to the answer: Retry-After, Location.
	Header http.Header
	// Body is the answer word for word, in place of anything else. Status
	// defaults to 200.
	Body string

	// Unprocessed is how many events the answer to an accepted log_event
	// request says were received and not processed, without saying why. They
	// are not recorded: the last ones of the request.
	Unprocessed int
}

// Cut says where a connection is closed.
type Cut int

const (
	// NoCut lets the connection be.
	NoCut Cut = iota
	// CutBeforeReading closes it when the request's header has arrived.
	CutBeforeReading
	// CutAfterReading closes it when the whole request has arrived, without
	// processing it.
	CutAfterReading
	// CutAfterProcessing closes it in place of the answer: events are recorded
	// and the client does not know.
	CutAfterProcessing
	// CutMidAnswer closes it in the middle of the answer's body.
	CutMidAnswer
)

// EventRefusal refuses certain events, whatever request they come in.
type EventRefusal struct {
	// IDs are the events' own.
	IDs []string
	// WholeRequest has every request refused that holds one of the events. By
	// default log_event reports a partial failure; ECAPI, with one event in a
	// request, always refuses the request.
	WholeRequest bool
	// Unnamed leaves out of the refusal of a whole request which event it is
	// for. By default its field is "/events/N/event_type".
	Unnamed bool
	// Status is that of the refusal of a whole request. Defaults to 400; 200
	// puts the error inside a success.
	Status int
	// Code and Recovery are put into the refusal. Code defaults to
	// "VALIDATION_ERROR".
	Code, Recovery string
}

// script is the trouble that is to come.
type script struct {
	next     []*Trouble
	always   []*Trouble
	refusals refusals
}

// refusal is an EventRefusal that finds its events quickly.
type refusal struct {
	EventRefusal
	ids map[string]bool
}

// Next makes trouble for the next requests, in the given order, after what was
// scripted before.
func (r *Receiver) Next(troubles ...Trouble) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range troubles {
		t.Times = max(t.Times, 1)
		r.script.next = append(r.script.next, &t)
	}
}

// Always makes trouble for every request that [Receiver.Next] leaves alone,
// until the returned function is called. The latest one wins.
func (r *Receiver) Always(t Trouble) (lift func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.script.always = append(r.script.always, &t)
	return func() { lifted(r, &r.script.always, &t) }
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

// take returns the trouble of the next request. The receiver's lock is held.
func (s *script) take() Trouble {
	if len(s.next) > 0 {
		t := s.next[0]
		if t.Times--; t.Times == 0 {
			s.next = s.next[1:]
		}
		return *t
	}
	if len(s.always) > 0 {
		return *s.always[len(s.always)-1]
	}
	return Trouble{}
}

// wait delays the answer and reports whether the client is still there.
func (t Trouble) wait(ctx context.Context) bool {
	if t.Latency > 0 {
		timer := time.NewTimer(t.Latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return false
		}
	}
	if t.Hold != nil {
		select {
		case <-t.Hold:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// replaces reports whether the request is answered without being processed.
func (t Trouble) replaces() bool {
	return t.Status >= 300 || t.Body != "" || !t.Error.isZero()
}

func (e Error) isZero() bool {
	return e.Code == "" && e.Message == "" && e.Field == "" && e.Suggestion == "" &&
		e.RetryAfter == 0 && e.Recovery == "" && len(e.Issues) == 0
}

// scripted returns the answer that the trouble asks for.
func (x *exchange) scripted() answer {
	t := x.trouble
	status := t.Status
	if status == 0 {
		status = http.StatusOK
	}
	if t.Body != "" {
		return answer{status: status, body: []byte(t.Body)}
	}
	e := t.Error
	if e.Code == "" {
		e.Code = usualCode(status)
	}
	if e.Message == "" {
		e.Message = usualMessage(status)
	}
	return x.refuse(status, e)
}

// usualCode is that of the REST API's table.
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

// usualMessage is that of ECAPI's table of errors, or HTTP's own.
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

// refusals returns the refusals of events that are in force.
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
	e.Outcome = Refused
	e.Problems = []Problem{{Field: path, Message: "is refused as scripted, with the code " + r.Code}}
}
