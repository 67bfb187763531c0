package clickidtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// Error is an error of the platform. Each endpoint encodes it in its own form.
type Error struct {
	Code       string    `json:"code,omitempty"`        // such as VALIDATION_ERROR
	Message    string    `json:"message,omitempty"`     // for the operator
	Field      string    `json:"field,omitempty"`       // such as "/events/0/value"
	Suggestion string    `json:"suggestion,omitempty"`  // a fix, for the operator
	RetryAfter float64   `json:"retry_after,omitempty"` // seconds
	Recovery   string    `json:"recovery,omitempty"`    // transient, correctable or terminal
	Issues     []Problem `json:"issues,omitempty"`      // one for each member that breaks the contract
	// Details holds whatever the platform adds.
	Details any `json:"details,omitempty"`
}

// Problem describes a member of a request that breaks the contract.
type Problem struct {
	Field   string `json:"field,omitempty"` // such as "/events/1/event_type"
	Message string `json:"message"`         // for the operator
	// Path is the field in the form of Interchange: a string, or an array such
	// as ["events", 1, "event_type"].
	Path any `json:"path,omitempty"`
}

// response is what the client receives. Status 0 cuts the connection.
type response struct {
	status int
	header http.Header
	body   []byte
}

// with returns the response with additional headers.
func (r response) with(h http.Header) response {
	if len(h) > 0 {
		merged := r.header.Clone()
		if merged == nil {
			merged = make(http.Header)
		}
		for name, values := range h {
			merged[name] = values
		}
		r.header = merged
	}
	return r
}

// write writes the response. With half it cuts the connection in the middle of
// the body.
func (r response) write(w http.ResponseWriter, half bool) {
	maps.Copy(w.Header(), r.headers())
	if half {
		w.WriteHeader(r.status)
		_, _ = w.Write(r.half())
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(r.status)
	if bodyAllowed(r.status) {
		_, _ = w.Write(r.body)
	}
}

// headers returns the header of the response.
func (r response) headers() http.Header {
	h := make(http.Header)
	if len(r.body) > 0 && bodyAllowed(r.status) {
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(r.body)))
	}
	for name, values := range r.header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	return h
}

func (r response) half() []byte { return r.body[:len(r.body)/2] }

// bodyAllowed reports whether a response with this status may have a body.
// See RFC 9110, sections 15.3.5 and 15.4.5.
func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// refuse returns an error in the endpoint's form.
func (x *exchange) refuse(status int, e Error) response {
	return x.refuseAs(FormEndpoint, status, e)
}

// refuseAs returns an error in a form.
func (x *exchange) refuseAs(form Form, status int, e Error) response {
	x.record.Error = e
	switch form {
	case FormAdCPError:
		return x.reply(status, map[string]any{"status": "failed", "adcp_error": e})
	case FormAdCPErrorOnly:
		return x.reply(status, map[string]any{"adcp_error": e})
	case FormErrors:
		return x.reply(status, map[string]any{"errors": []Error{e}})
	case FormErrorsInData:
		return x.reply(status, map[string]any{"data": map[string]any{"errors": []Error{e}}})
	case FormError:
		return x.reply(status, map[string]any{"error": e})
	case FormErrorText:
		return x.reply(status, map[string]any{"error": e.Message, "code": e.Code})
	}
	if x.endpoint.isManagement() {
		return x.refuseManagement(status, e)
	}
	switch x.endpoint {
	case endpointTracking:
		return x.reply(status, map[string]any{"errors": []Error{e}})
	case endpointInterchange:
		return x.reply(status, map[string]any{"data": nil, "error": interchangeError(e)})
	}
	object := errorObject(e, "details")
	object["error"] = object["message"]
	delete(object, "message")
	return x.reply(status, object)
}

// interchangeError returns e with its issues in details, each with the path of
// its field as an array.
func interchangeError(e Error) Error {
	if len(e.Issues) == 0 {
		return e
	}
	issues := make([]Problem, len(e.Issues))
	for i, issue := range e.Issues {
		issues[i] = Problem{Message: issue.Message, Path: issue.Path}
		if issue.Path == nil {
			issues[i].Path = pathOf(issue.Field)
		}
	}
	e.Issues, e.Details = nil, map[string]any{"issues": issues}
	return e
}

// pathOf returns a field such as "/events/1/event_type" as an array.
func pathOf(field string) []any {
	path := []any{}
	for part := range strings.SplitSeq(strings.TrimPrefix(field, "/"), "/") {
		if index, err := strconv.Atoi(part); err == nil {
			path = append(path, index)
		} else {
			path = append(path, part)
		}
	}
	return path
}

// errorObject returns e with its issues under another name.
func errorObject(e Error, issues string) map[string]any {
	var object map[string]any
	// Both types are ours, so this cannot fail.
	_ = json.Unmarshal(encode(e), &object)
	if list, ok := object["issues"]; ok {
		delete(object, "issues")
		object[issues] = list
	}
	return object
}

// reply returns a response with v as JSON.
func (x *exchange) reply(status int, v any) response {
	return response{status: status, body: encode(v)}
}

// encode returns a value of our own types as JSON.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("clickidtest: encode response: %v", err))
	}
	return b.Bytes()
}

// isJSON reports whether the content type is application/json, in UTF-8.
func isJSON(h http.Header) bool {
	values := h.Values("Content-Type")
	if len(values) != 1 {
		return false
	}
	kind, params, err := mime.ParseMediaType(values[0])
	if err != nil || kind != "application/json" {
		return false
	}
	for name, value := range params {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return false
		}
	}
	return true
}
