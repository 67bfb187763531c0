package receiver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// apiPath is where the API for tests is. docs/testing.md documents it.
const apiPath = "/api/v1/"

// serveAPI adds the API for tests.
func (r *Receiver) serveAPI(mux *http.ServeMux) {
	api := http.NewServeMux()
	for pattern, serve := range map[string]func(*http.Request) (any, error){
		"GET /api/v1/events":          r.listEvents,
		"DELETE /api/v1/events":       r.clearEvents,
		"GET /api/v1/events/{number}": r.showEvent,
		"GET /api/v1/wait":            r.waitForEvents,
		"GET /api/v1/assert":          r.assertEvents,

		"GET /api/v1/faults":    r.listFaults,
		"POST /api/v1/faults":   r.addFault,
		"DELETE /api/v1/faults": r.clearFaults,

		"GET /api/v1/event-sources":         r.listSources,
		"PUT /api/v1/event-sources/{id}":    r.registerSource,
		"DELETE /api/v1/event-sources/{id}": r.archiveSource,

		"/": func(*http.Request) (any, error) {
			return nil, problem{http.StatusNotFound, errors.New("the API has no such endpoint")}
		},
	} {
		api.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) {
			result, err := serve(req)
			respond(w, result, err)
		})
	}
	api.HandleFunc("GET /api/v1/stream", r.stream)
	// Pages of other sites must not change anything.
	mux.Handle(apiPath, secured(http.NewCrossOriginProtection().Handler(api)))
}

// problem is an error with the status of its response.
type problem struct {
	status int
	error
}

func (p problem) Unwrap() error { return p.error }

// unmet is the problem of an expectation that is not met. It has a result.
type unmet struct{ error }

// respond writes a result or an error. An expectation that is not met has both.
func respond(w http.ResponseWriter, result any, err error) {
	status := http.StatusOK
	if err != nil {
		status = http.StatusBadRequest
		var p problem
		switch {
		case errors.As(err, new(unmet)):
			status = http.StatusConflict
		case errors.As(err, &p):
			status = p.status
		}
		if result == nil {
			result = map[string]string{"error": err.Error()}
		}
	}
	body, encodeErr := encode(result)
	if encodeErr != nil {
		http.Error(w, encodeErr.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client may have left
}

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// limitOf returns the parameter limit.
func limitOf(query url.Values) (int, error) {
	return number(query, "limit", 1, maxLimit, defaultLimit)
}

// number returns a parameter that is an integer.
func number(query url.Values, name string, low, high, missing int) (int, error) {
	if !query.Has(name) {
		return missing, nil
	}
	n, err := strconv.Atoi(query.Get(name))
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%s must be an integer from %d to %d", name, low, high)
	}
	return n, nil
}

// eventList is the response with a list of events.
type eventList struct {
	Events []Entry `json:"events"`
	// Total is the number of events that match, also those beyond the limit.
	Total int `json:"total"`
	// Counts are those of all events.
	Counts Counts `json:"counts"`
}

func (r *Receiver) listEvents(req *http.Request) (any, error) {
	query := req.URL.Query()
	f, err := parseFilter(query, "limit")
	if err != nil {
		return nil, err
	}
	limit, err := limitOf(query)
	if err != nil {
		return nil, err
	}
	return r.store.list(f, limit), nil
}

func (s *store) list(f filter, limit int) eventList {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, total := s.latest(f, limit)
	return eventList{found, total, s.Counts}
}

func (r *Receiver) clearEvents(*http.Request) (any, error) {
	r.Platform.Clear()
	return map[string]bool{"cleared": true}, r.store.clear()
}

// expectation is the response about a number of events.
type expectation struct {
	Error string `json:"error,omitempty"`
	// Count is the number of events that match, and Want is the expected one.
	Count  int     `json:"count"`
	Want   int     `json:"want"`
	Events []Entry `json:"events"`
}

// assertEvents responds with 409 if not exactly count events match.
func (r *Receiver) assertEvents(req *http.Request) (any, error) {
	query := req.URL.Query()
	f, err := parseFilter(query, "count")
	if err != nil {
		return nil, err
	}
	if !query.Has("count") {
		return nil, errors.New("count is required")
	}
	want, err := number(query, "count", 0, 1<<31-1, 0)
	if err != nil {
		return nil, err
	}
	list := r.store.list(f, defaultLimit)
	e := expectation{Count: list.Total, Want: want, Events: list.Events}
	if e.Count != e.Want {
		err = unmet{fmt.Errorf("count is %d instead of %d", e.Count, e.Want)}
		e.Error = err.Error()
	}
	return e, err
}

const (
	defaultTimeout = 10 * time.Second
	maxTimeout     = 10 * time.Minute
)

// waitForEvents responds when at least count events match, or with 409 after
// the timeout.
func (r *Receiver) waitForEvents(req *http.Request) (any, error) {
	query := req.URL.Query()
	f, err := parseFilter(query, "count", "timeout")
	if err != nil {
		return nil, err
	}
	want, err := number(query, "count", 1, 1<<31-1, 1)
	if err != nil {
		return nil, err
	}
	timeout := defaultTimeout
	if query.Has("timeout") {
		timeout, err = time.ParseDuration(query.Get("timeout"))
		if err != nil || timeout <= 0 || timeout > maxTimeout {
			return nil, fmt.Errorf("timeout must be a duration up to %v, such as 30s", maxTimeout)
		}
	}
	ctx, cancel := r.untilStopped(req)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		list, changed := r.store.listAndWatch(f)
		e := expectation{Count: list.Total, Want: want, Events: list.Events}
		if e.Count >= e.Want {
			return e, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			err := unmet{fmt.Errorf("count is %d instead of %d after %v", e.Count, e.Want, timeout)}
			e.Error = err.Error()
			return e, err
		}
	}
}

// listAndWatch returns the events that match, and a channel that is closed at
// the next change.
func (s *store) listAndWatch(f filter) (eventList, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, total := s.latest(f, defaultLimit)
	return eventList{found, total, s.Counts}, s.changed
}
