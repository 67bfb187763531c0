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

// Error is a refusal as the platform words it. Each endpoint writes it in its
// own form.
type Error struct {
	Code       string    `json:"code,omitempty"`
	Message    string    `json:"message,omitempty"`
	Field      string    `json:"field,omitempty"`
	Suggestion string    `json:"suggestion,omitempty"`
	RetryAfter float64   `json:"retry_after,omitempty"` // seconds
	Recovery   string    `json:"recovery,omitempty"`    // transient, correctable or terminal
	Issues     []Problem `json:"issues,omitempty"`
}

// Problem is one member of a request that breaks the contract.
type Problem struct {
	Field   string `json:"field"` // such as "/events/1/event_type"
	Message string `json:"message"`
}

// answer is what the client gets; status 0 is a cut connection.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// with adds headers.
func (a answer) with(h http.Header) answer {
	if len(h) > 0 {
		merged := a.header.Clone()
		if merged == nil {
			merged = make(http.Header)
		}
		for name, values := range h {
			merged[name] = values
		}
		a.header = merged
	}
	return a
}

// write sends the answer; with half it cuts the connection on the way.
func (a answer) write(w http.ResponseWriter, half bool) {
	h := w.Header()
	if len(a.body) > 0 && bodyAllowed(a.status) {
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	for name, values := range a.header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	if half {
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body[:len(a.body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(a.status)
	if bodyAllowed(a.status) {
		_, _ = w.Write(a.body)
	}
}

// bodyAllowed: RFC 9110, sections 15.3.5 and 15.4.5.
func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// refuse returns an error in the endpoint's form.
func (x *exchange) refuse(status int, e Error) answer {
	x.record.Error = e
	switch x.endpoint {
	case tracking:
		return x.reply(status, map[string]any{"errors": []Error{e}})
	case interchange:
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
	// Both are our own types: this cannot fail.
	_ = json.Unmarshal(encode(e), &object)
	if list, ok := object["issues"]; ok {
		delete(object, "issues")
		object[issues] = list
	}
	return object
}

// reply returns an answer of the given JSON.
func (x *exchange) reply(status int, v any) answer {
	return answer{status: status, body: encode(v)}
}

// encode returns one of our own values as JSON.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("clickidtest: encoding an answer: %v", err))
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
