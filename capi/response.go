package capi

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/clickid/clickid/internal/apihttp"
	"github.com/clickid/clickid/internal/rawjson"
	"github.com/clickid/clickid/internal/text"
)

const (
	maxResponseBytes = 8 << 20 // of a body that is read; 10,000 partial failures fit
	maxErrorBody     = 4 << 10 // of a body that an error keeps
	maxWarnings      = 100     // that a response keeps
	maxWarningChars  = 300     // of a warning
	redacted         = "[redacted]"
)

// response is an accepting response.
type response struct {
	events       int // the number of sent events
	failures     []partialFailure
	confirmed    bool // the response counts the events
	warnings     []string
	matchQuality *float64
}

// partialFailure is the refusal of an event of a request.
type partialFailure struct {
	eventID string // or ""
	err     *ResponseError
}

// received is an HTTP response.
type received struct {
	status int
	header http.Header
	body   []byte
	events int // the number of sent events
	now    time.Time
}

// read reads a response as the table of the wire contract does. It returns the
// results of the events or a refusal of the request. In a dialect with a
// verdict per event, a 2xx may contain a refusal. Any member may be missing or
// of another type.
func (d received) read(dialect Dialect) (*response, *ResponseError) {
	parsed, err := rawjson.Decode(d.body)
	top, isObject := parsed.(map[string]any)
	success := d.status >= 200 && d.status < 300
	refusal := parseErrors(top, d.status, !success)
	if refusal == nil {
		refusal = &ResponseError{status: d.status}
	}
	refusal.json = isObject
	if !isObject {
		refusal.problem = d.problem(err, dialect)
	}
	named := refusal.named || refusal.problem != ""
	if success && named && !dialect.respondsPerEvent() && refusal.problem == "" {
		named = false // the contract does not document the body of a success
	}
	if !success || named {
		return nil, d.complete(refusal)
	}
	r := &response{events: d.events}
	if !dialect.respondsPerEvent() {
		r.confirmed = true
		if refusal.named {
			r.warn("the response to an accepted request mentions an error")
		}
		return r, nil
	}
	if data, ok := top["data"].(map[string]any); ok {
		top = data
	}
	if refusal := r.read(top, d.status, dialect.confirms()); refusal != nil {
		refusal.json = isObject
		return nil, d.complete(refusal)
	}
	return r, nil
}

// problem returns why a body that is not a JSON object is not from the
// endpoint, or "".
func (d received) problem(err error, dialect Dialect) string {
	trimmed := bytes.TrimSpace(d.body)
	switch {
	case len(d.body) > maxResponseBytes:
		return fmt.Sprintf("it is larger than %d MiB", maxResponseBytes>>20)
	case strings.Contains(d.header.Get("Content-Type"), "html"), bytes.HasPrefix(trimmed, []byte("<")):
		return "it is HTML"
	case len(trimmed) == 0:
		if d.status < 300 && dialect.confirms() {
			return "it is empty"
		}
		return ""
	case err != nil && (trimmed[0] == '{' || trimmed[0] == '['):
		return "its JSON is cut short"
	case dialect.respondsPerEvent():
		return "it is not a JSON object"
	}
	return ""
}

// complete adds the fields of the response to a refusal.
func (d received) complete(e *ResponseError) *ResponseError {
	e.retryAfter = max(e.retryAfter, apihttp.RetryAfter(d.header, d.now))
	e.Body = append([]byte(nil), d.body[:min(len(d.body), maxErrorBody)]...)
	return e
}

// read reads an object without errors. It returns a refusal if the object does
// not accept the request. With confirm the object must count the events.
func (r *response) read(top map[string]any, status int, confirm bool) *ResponseError {
	if refusal := statusRefusal(top, status); refusal != nil {
		return refusal
	}
	failures, _ := top["partial_failures"].([]any)
	for _, element := range failures {
		entry, ok := element.(map[string]any)
		if !ok {
			continue
		}
		err := parseError(entry, status)
		err.perEvent, err.json = true, true
		r.failures = append(r.failures, partialFailure{eventID: apihttp.Text(entry["event_id"]), err: err})
	}
	warnings, _ := top["warnings"].([]any)
	for _, warning := range warnings {
		if entry, ok := warning.(map[string]any); ok {
			warning = entry["message"]
		}
		if s := apihttp.Text(warning); s != "" {
			r.warn(redact(s))
		}
	}
	count, counted := numberOf(top["events_received"])
	switch {
	case counted && count+float64(len(r.failures)) < float64(r.events):
		return &ResponseError{status: status, partial: true, json: true,
			shortage: fmt.Sprintf("of %d events the platform received %v", r.events, count)}
	case !counted && confirm:
		return &ResponseError{status: status, json: true, problem: "it has no events_received"}
	}
	r.confirmed = counted
	processed, hasProcessed := numberOf(top["events_processed"])
	if counted && hasProcessed && processed < count && len(r.failures) == 0 {
		r.warn(fmt.Sprintf("the platform received %v events and processed %v, and names no reason: they may never be attributed", count, processed))
	}
	if quality, ok := numberOf(top["match_quality"]); ok && quality >= 0 && quality <= 1 {
		r.matchQuality = &quality
	}
	return nil
}

// statusRefusal returns the refusal of AdCP's status or of a success flag
// without an error, or nil.
func statusRefusal(top map[string]any, status int) *ResponseError {
	if success, ok := top["success"].(bool); ok && !success {
		return &ResponseError{status: status}
	}
	switch value := strings.ToLower(apihttp.Text(top["status"])); value {
	case "", "completed", "ok", "success":
		return nil
	case "auth-required":
		return &ResponseError{status: status, Code: "AUTH_REQUIRED"}
	case "failed", "rejected", "canceled":
		return &ResponseError{status: status}
	default: // submitted, working, input-required, unknown
		return &ResponseError{status: status, pending: true}
	}
}

func (r *response) warn(warning string) {
	if len(r.warnings) < maxWarnings {
		r.warnings = append(r.warnings, warning)
	}
}

// parseErrors returns the most important error of a response, or nil. An error
// of the request is more important than one of an event. With whole the
// response is an error and may have its members at the top level.
func parseErrors(top map[string]any, status int, whole bool) *ResponseError {
	var found []*ResponseError
	add := func(v any) {
		switch v := v.(type) {
		case nil:
		case map[string]any:
			found = append(found, parseError(v, status))
		case string:
			if v != "" {
				found = append(found, &ResponseError{status: status})
			}
		case bool:
			if v {
				found = append(found, &ResponseError{status: status})
			}
		default:
			found = append(found, &ResponseError{status: status})
		}
	}
	data, _ := top["data"].(map[string]any)
	for _, object := range []map[string]any{top, data} {
		if list, ok := object["errors"].([]any); ok {
			for _, element := range list {
				add(element)
			}
		} else {
			add(object["errors"])
		}
		add(object["error"])
		add(object["adcp_error"])
	}
	named := len(found) > 0
	if whole && top != nil {
		found = append(found, parseError(top, status))
	}
	if len(found) == 0 {
		return nil
	}
	main := found[0]
	for _, err := range found[1:] {
		if err.weight() > main.weight() {
			main = err
		}
	}
	for _, err := range found {
		if err != main {
			main.retryAfter = max(main.retryAfter, err.retryAfter)
			main.indexes = append(main.indexes, err.indexes...)
		}
	}
	main.named = named
	return main
}

// weight orders the errors of a response by the number of events that they
// concern. An error without any content has weight 0.
func (e *ResponseError) weight() int {
	if e.Code == "" && e.Field == "" && e.Recovery == "" {
		return 0
	}
	switch e.meaning() {
	case meansConfiguration:
		return 3
	case meansTemporary, meansNewKey:
		return 2
	}
	return 1
}

// parseError reads an error object.
func parseError(object map[string]any, status int) *ResponseError {
	e := &ResponseError{
		json:     true,
		status:   status,
		Code:     apihttp.Code(apihttp.Text(object["code"])),
		Recovery: recovery(apihttp.Text(object["recovery"])),
	}
	if seconds, ok := numberOf(object["retry_after"]); ok {
		e.retryAfter = apihttp.Seconds(seconds)
	}
	fields := []string{apihttp.JoinedPath(object["field"])}
	for _, name := range []string{"issues", "details"} {
		fields = append(fields, issueFields(object[name])...)
	}
	for _, field := range fields {
		if index, ok := eventIndex(field); ok {
			e.indexes = append(e.indexes, index)
		}
		if e.Field == "" {
			e.Field = apihttp.Path(field)
		}
	}
	return e
}

// issueFields returns the fields in a list of details: objects with a field, or
// strings that begin with one.
func issueFields(v any) []string {
	if object, ok := v.(map[string]any); ok {
		return issueFields([]any{object})
	}
	list, _ := v.([]any)
	var fields []string
	for _, element := range list {
		switch element := element.(type) {
		case map[string]any:
			if issues, ok := element["issues"]; ok {
				fields = append(fields, issueFields(issues)...)
			}
			for _, name := range []string{"field", "pointer", "path", "instancePath"} {
				if field := apihttp.JoinedPath(element[name]); field != "" {
					fields = append(fields, field)
					break
				}
			}
		case string:
			word, _, _ := strings.Cut(element, " ")
			if word = strings.Trim(word, `"':`+"`"); isRequestField(word) || isEventField(word) {
				fields = append(fields, word)
			}
		}
	}
	return fields
}

// numberOf returns a JSON number, or the number in a string.
func numberOf(v any) (float64, bool) {
	s := apihttp.Text(v)
	if s == "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}

func recovery(s string) string {
	switch s = strings.ToLower(s); s {
	case recoveryTransient, recoveryCorrectable, recoveryTerminal:
		return s
	}
	return ""
}

// eventIndex returns the index in a path such as /events/1/event_type,
// events[1].event_type or $.events.1.
func eventIndex(field string) (int, bool) {
	parts := apihttp.PathParts(field)
	for i, part := range parts[:max(0, len(parts)-1)] {
		if part == "events" && text.Digits(parts[i+1]) && len(parts[i+1]) <= apihttp.MaxIndexDigits {
			index, err := strconv.Atoi(parts[i+1])
			return index, err == nil
		}
	}
	return 0, false
}

// redact removes words from a text of the platform that may be sent values:
// addresses, numbers and long tokens.
func redact(s string) string {
	words := strings.FieldsFunc(text.Truncate(s, maxWarningChars), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
	for i, word := range words {
		long := strings.ContainsFunc(word, unicode.IsDigit) && len(word) >= 16
		if long || apihttp.Digits(word) >= 7 || strings.Contains(word, "@") || strings.Contains(word, "%40") {
			words[i] = redacted
		}
	}
	return strings.Join(words, " ")
}
