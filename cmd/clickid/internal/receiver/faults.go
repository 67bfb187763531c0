package receiver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/clickid/clickid/clickidtest"
)

// faultKind is a kind of fault that can be injected.
type faultKind struct {
	Name string `json:"fault"`
	// Text describes it on the page.
	Text string `json:"text"`
	// Parameter is retry_after or delay, in seconds, and Default its value.
	Parameter string  `json:"parameter,omitempty"`
	Default   float64 `json:"default,omitempty"`

	// why explains its effect on an event.
	why   string
	build func(parameter float64) clickidtest.Fault
}

const (
	parameterRetryAfter = "retry_after"
	parameterDelay      = "delay"
)

// status returns the constructor of a fault with a status and Retry-After, if
// it is not 0.
func status(status int) func(float64) clickidtest.Fault {
	return func(seconds float64) clickidtest.Fault {
		f := clickidtest.Fault{Status: status}
		if seconds > 0 {
			f.Header = http.Header{"Retry-After": {strconv.FormatFloat(math.Ceil(seconds), 'f', 0, 64)}}
		}
		return f
	}
}

// always returns the constructor of a fault without a parameter.
func always(f clickidtest.Fault) func(float64) clickidtest.Fault {
	return func(float64) clickidtest.Fault { return f }
}

var faultKinds = []faultKind{
	{"429", "429 with Retry-After", parameterRetryAfter, 5,
		"The client should wait for Retry-After and send the events again.",
		status(http.StatusTooManyRequests)},
	{"503", "503, unavailable", parameterRetryAfter, 0,
		"The client should send the events again, after Retry-After if there is one.",
		status(http.StatusServiceUnavailable)},
	{"slow", "slow response", parameterDelay, 5,
		"A client whose timeout is shorter sends the events again, and the platform counts them once.",
		func(seconds float64) clickidtest.Fault {
			return clickidtest.Fault{Latency: time.Duration(math.Round(seconds * float64(time.Second)))}
		}},
	{"cut", "connection cut, not processed", "", 0,
		"The events are not processed. The client should send them again.",
		always(clickidtest.Fault{Cut: clickidtest.CutAfterReading})},
	{"cut_after", "connection cut after processing", "", 0,
		"The events are processed, but the client cannot know. It should send them again, and the platform counts them once.",
		always(clickidtest.Fault{Cut: clickidtest.CutAfterProcessing})},
	{"partial_failure", "partial failure of the last event", "", 0,
		"The last event of the request is refused, and the others are accepted. The client should not send it again as it is.",
		always(clickidtest.Fault{Failed: 1})},
	{"received_less", "received one less than sent (log_event)", "", 0,
		"The last event of the request is lost. The client should send the events again with a new idempotency key.",
		always(clickidtest.Fault{Unreceived: 1})},
	{"html", "HTML with status 200", "", 0,
		"An HTML page is not the platform's response, so nothing is accepted. The client should keep the events and alert.",
		always(clickidtest.Fault{Body: "<!doctype html><title>Welcome</title><p>This is not the endpoint."})},
	{"adcp_error", "adcp_error with status 200", "", 0,
		"The response is an error whatever its status. This one is transient: the client should send the events again.",
		always(clickidtest.Fault{
			Status: http.StatusOK, Form: clickidtest.FormAdCPError,
			Error: clickidtest.Error{Code: "SERVICE_UNAVAILABLE", Message: "The service is unavailable", Recovery: "transient"},
		})},
}

func findFaultKind(name string) (faultKind, error) {
	names := make([]string, len(faultKinds))
	for i, kind := range faultKinds {
		if kind.Name == name {
			return kind, nil
		}
		names[i] = kind.Name
	}
	return faultKind{}, fmt.Errorf("fault must be one of %s", strings.Join(names, ", "))
}

// fault is a fault in the API.
type fault struct {
	Name string `json:"fault"`
	// Times is the number of requests. Defaults to 1.
	Times int `json:"times,omitempty"`
	// Always injects the fault into every request until the faults are cleared.
	Always bool `json:"always,omitempty"`
	// RetryAfter and Delay are in seconds.
	RetryAfter *float64 `json:"retry_after,omitempty"`
	Delay      *float64 `json:"delay,omitempty"`
}

const (
	maxTimes   = 1_000_000
	maxSeconds = 24 * 60 * 60
)

// build returns the fault for the receiver.
func (f *fault) build() (clickidtest.Fault, error) {
	kind, err := findFaultKind(f.Name)
	if err != nil {
		return clickidtest.Fault{}, err
	}
	if f.Times < 0 || f.Times > maxTimes {
		return clickidtest.Fault{}, fmt.Errorf("times must be from 1 to %d", maxTimes)
	}
	if f.Always && f.Times > 0 {
		return clickidtest.Fault{}, errors.New("times and always exclude each other")
	}
	seconds := kind.Default
	for name, given := range map[string]*float64{parameterRetryAfter: f.RetryAfter, parameterDelay: f.Delay} {
		switch {
		case given == nil:
		case name != kind.Parameter:
			return clickidtest.Fault{}, fmt.Errorf("the fault %s has no %s", f.Name, name)
		case *given < 0 || *given > maxSeconds:
			return clickidtest.Fault{}, fmt.Errorf("%s must be from 0 to %d seconds", name, maxSeconds)
		default:
			seconds = *given
		}
	}
	built := kind.build(seconds)
	built.Name, built.Times = f.Name, f.Times
	return built, nil
}

// faultOf returns a fault of the receiver as the API shows it. Faults that the
// program itself has set have no name.
func faultOf(f clickidtest.Fault) fault {
	shown := fault{Name: f.Name, Times: f.Times, Always: f.Times == 0}
	if shown.Name == "" {
		shown.Name = strconv.Itoa(f.Status)
	}
	kind, _ := findFaultKind(f.Name)
	// A zero is shown if the kind has another default.
	show := func(parameter string, seconds float64) *float64 {
		if seconds > 0 || kind.Parameter == parameter && kind.Default > 0 {
			return &seconds
		}
		return nil
	}
	wait, _ := strconv.ParseFloat(f.Header.Get("Retry-After"), 64) // 0 without the header
	shown.RetryAfter, shown.Delay = show(parameterRetryAfter, wait), show(parameterDelay, f.Latency.Seconds())
	return shown
}

func (r *Receiver) faults() []fault {
	faults := []fault{}
	for _, f := range r.Platform.Faults() {
		faults = append(faults, faultOf(f))
	}
	return faults
}

func (r *Receiver) listFaults(*http.Request) (any, error) {
	return map[string]any{"faults": r.faults(), "kinds": faultKinds}, nil
}

func (r *Receiver) addFault(req *http.Request) (any, error) {
	var f fault
	dec := json.NewDecoder(io.LimitReader(req.Body, 64<<10))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, fmt.Errorf("the body must be a fault in JSON, such as {\"fault\":\"503\",\"times\":2}: %w", err)
	}
	built, err := f.build()
	if err != nil {
		return nil, err
	}
	if f.Always {
		r.Platform.Always(built)
	} else {
		r.Platform.Next(built)
	}
	r.store.touch()
	return r.listFaults(req)
}

func (r *Receiver) clearFaults(req *http.Request) (any, error) {
	r.Platform.ClearFaults()
	r.store.touch()
	return r.listFaults(req)
}

// touch wakes those who wait for a change.
func (s *store) touch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notify()
}
