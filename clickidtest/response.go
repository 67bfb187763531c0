package clickidtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// Error is an error of the platform. Each endpoint encodes it in its own form.
type Error struct {
	Code       string    `json:"code,omitempty"`
	Message    string    `json:"message,omitempty"`
	Field      string    `json:"field,omitempty"`
	Suggestion string    `json:"suggestion,omitempty"`
	RetryAfter float64   `json:"retry_after,omitempty"` // seconds
	Recovery   string    `json:"recovery,omitempty"`    // transient, correctable or terminal
	Issues     []Problem `json:"issues,omitempty"`
}

// Problem describes a member of a request that breaks the contract.
type Problem struct {
	Field   string `json:"field"` // such as "/events/1/event_type"
	Message string `json:"message"`
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
	h := w.Header()
	if len(r.body) > 0 && bodyAllowed(r.status) {
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(r.body)))
	}
	for name, values := range r.header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	if half {
		w.WriteHeader(r.status)
		_, _ = w.Write(r.body[:len(r.body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(r.status)
	if bodyAllowed(r.status) {
		_, _ = w.Write(r.body)
	}
}

// bodyAllowed reports whether a response with this status may have a body.
// See RFC 9110, sections 15.3.5 and 15.4.5.
func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// refuse returns an error in the endpoint's form.
func (x *exchange) refuse(status int, e Error) response {
	x.record.Error = e
	if x.endpoint.isManagement() {
		return x.refuseManagement(status, e)
	}
	switch x.endpoint {
	case endpointTracking:
		return x.reply(status, map[string]any{"errors": []Error{e}})
	case endpointInterchange:
		return x.reply(status, map[string]any{"data": nil, "error": errorObject(e, "details")})
	}
	object := errorObject(e, "details")
	object["error"] = object["message"]
	delete(object, "message")
	return x.reply(status, object)
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
