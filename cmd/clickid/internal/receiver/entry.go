package receiver

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/clickid/clickid/clickidtest"
)

// Kinds of entries.
const (
	kindEvent   = "event"
	kindRequest = "request"
)

// Verdicts of requests in which no event could be read. Events have those of
// clickidtest.
const verdictResponded = "responded"

// Entry is the arrival of an event, or a request in which no event could be
// read. It is the element of the API's lists.
type Entry struct {
	// Number identifies the entry. It increases and is not used again.
	Number int       `json:"number"`
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"`
	// Verdict is accepted, duplicate, refused or not processed; for a request
	// also responded.
	Verdict string `json:"verdict"`

	Dialect     string                `json:"dialect,omitempty"`
	Destination string                `json:"destination,omitempty"`
	TestCode    string                `json:"test_code,omitempty"`
	Type        string                `json:"type,omitempty"`
	ID          string                `json:"id,omitempty"`
	Time        *time.Time            `json:"time,omitempty"`
	Value       string                `json:"value,omitempty"`
	Currency    string                `json:"currency,omitempty"`
	Source      string                `json:"source,omitempty"`
	ClickID     string                `json:"click_id,omitempty"`
	ClickIDType string                `json:"click_id_type,omitempty"`
	Problems    []clickidtest.Problem `json:"problems,omitempty"`
	Warnings    []string              `json:"warnings,omitempty"`

	// Attempt counts the arrivals of the event up to this one. Attempts and
	// Duplicates count all of them so far.
	Attempt    int `json:"attempt,omitempty"`
	Attempts   int `json:"attempts,omitempty"`
	Duplicates int `json:"duplicates,omitempty"`

	// Request is the number of the first entry of the same request.
	Request int    `json:"request"`
	Method  string `json:"method"`
	Path    string `json:"path"`
	// Status is that of the response, or 0 if the connection was cut before it.
	Status int `json:"status"`
	// Code is the error code of the response.
	Code string `json:"code,omitempty"`
	// Fault is the fault that was injected.
	Fault string `json:"fault,omitempty"`
	// Cut reports that the connection was closed before the end of the response.
	Cut bool `json:"cut,omitempty"`
}

// identity identifies an event across its arrivals, as the platform does.
type identity struct{ dialect, destination, testCode, kind, id string }

// identity returns false for an event without an ID, which is always new.
func (e *Entry) identity() (identity, bool) {
	id := identity{dialect: e.Dialect, destination: e.Destination, testCode: e.TestCode, id: e.ID}
	if e.Dialect == string(clickidtest.DialectLogEvent) {
		id.kind = e.Type
	}
	return id, e.Kind == kindEvent && e.ID != ""
}

// entriesOf returns the entries of a request, without numbers and counts.
func entriesOf(x *clickidtest.Exchange) []Entry {
	common := Entry{
		At: x.Request.At, Method: x.Request.Method, Path: x.Request.Path,
		Status: x.Response.Status, Code: x.Request.Error.Code, Fault: x.Request.Fault, Cut: x.Response.Cut,
	}
	if len(x.Events) == 0 {
		common.Kind, common.Verdict = kindRequest, verdictOfRequest(x)
		return []Entry{common}
	}
	warnings := warningsOf(x.Response.Body)
	entries := make([]Entry, len(x.Events))
	for i, event := range x.Events {
		e := common
		e.Kind, e.Verdict = kindEvent, string(event.Outcome)
		e.Dialect, e.Destination, e.TestCode = string(event.Dialect), event.Destination, event.TestCode
		e.Type, e.ID, e.Value, e.Currency, e.Source = event.Type, event.ID, event.Value, event.Currency, event.Source
		e.ClickID, e.ClickIDType, e.Problems = event.ClickID, event.ClickIDType, event.Problems
		if !event.Time.IsZero() {
			e.Time = &event.Time
		}
		e.Warnings = warnings.of(i)
		entries[i] = e
	}
	return entries
}

func verdictOfRequest(x *clickidtest.Exchange) string {
	switch {
	case x.Response.Status == 0:
		return string(clickidtest.OutcomeNotProcessed)
	case x.Response.Status >= 300:
		return string(clickidtest.OutcomeRefused)
	}
	return verdictResponded
}

// warnings are those of a log_event response. Each begins with the path of its
// event.
type warnings []string

func warningsOf(body []byte) warnings {
	type list struct {
		Warnings warnings `json:"warnings"`
	}
	var response struct {
		list
		Data list `json:"data"`
	}
	if json.Unmarshal(body, &response) != nil {
		return nil
	}
	return append(response.Warnings, response.Data.Warnings...)
}

func (w warnings) of(index int) []string {
	var found []string
	for _, warning := range w {
		if rest, ok := strings.CutPrefix(warning, fmt.Sprintf("/events/%d ", index)); ok {
			found = append(found, rest)
		}
	}
	return found
}
