package clickidtest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
)

// Exchange is a request with its events and its response. Its slices are shared
// and must not be changed. It does not contain the API key.
type Exchange struct {
	// Request is the request without its body.
	Request Request
	// Body is the body of the request, as far as it was read.
	Body []byte
	// Events are the events that could be read, accepted or not.
	Events []Event
	// Response is the response, as far as it was sent.
	Response Response
}

// Response is the response to a recorded request.
type Response struct {
	// Status is 0 if the connection was cut before the response.
	Status int
	// Header and Body are what was sent of the response.
	Header http.Header
	Body   []byte
	// Cut reports that the connection was closed before the end.
	Cut bool
}

// readUnprocessed reads the events of a request that was refused or cut before
// they were read, for the record.
func (x *exchange) readUnprocessed() {
	if len(x.events) > 0 {
		return
	}
	parsed, err := parse(x.body)
	if err != nil {
		return
	}
	var p problems
	o := p.newObject("", parsed)
	if o == nil {
		return
	}
	switch x.endpoint {
	case endpointECAPI:
		x.record.Events = 1
		e := x.ecapiEvent(o)
		e.Raw, e.Request = x.body, x.record.Number
		x.events = []*Event{e}
	case endpointTracking, endpointInterchange:
		b := x.openRequest(o)
		raw := rawEvents(x.body, len(b.list))
		for i, v := range b.list {
			x.readEvent(&b, i, v, raw[i])
		}
	}
	for _, e := range x.events {
		e.Outcome, e.Problems = OutcomeNotProcessed, nil
	}
}

// observed returns the exchange for the hook, without the API key.
func (x *exchange) observed(resp response) Exchange {
	seen := Exchange{Request: *x.record, Body: x.body, Events: make([]Event, len(x.events))}
	for i, e := range x.events {
		seen.Events[i] = *e
	}
	switch {
	case resp.status == 0:
		seen.Response.Cut = true
	case x.fault.Cut == CutMidResponse:
		seen.Response = Response{Status: resp.status, Header: resp.headers(), Body: resp.half(), Cut: true}
	default:
		seen.Response = Response{Status: resp.status, Header: resp.headers(), Body: resp.body}
	}
	key := x.key()
	if key == "" || !bytes.Contains(x.body, []byte(key)) {
		return seen
	}
	hide := func(data []byte) []byte { return bytes.ReplaceAll(data, []byte(key), []byte(hiddenKey)) }
	seen.Body, seen.Response.Body = hide(seen.Body), hide(seen.Response.Body)
	for i, e := range seen.Events {
		seen.Events[i] = Event{}
		// A key that breaks the JSON leaves the event empty.
		_ = json.Unmarshal(hide(encode(e)), &seen.Events[i])
	}
	return seen
}

// hiddenKey stands for the API key in records.
const hiddenKey = "[API key]"

// key returns what the request has for an API key, or "" if that is too short to
// be a secret.
func (x *exchange) key() string {
	_, key, _ := strings.Cut(x.http.Header.Get("Authorization"), " ")
	if len(key) < len(apiKeyPrefix) {
		return ""
	}
	return key
}

// withoutKey replaces the API key in a text of the request.
func (x *exchange) withoutKey(s string) string {
	if key := x.key(); key != "" {
		return strings.ReplaceAll(s, key, hiddenKey)
	}
	return s
}
