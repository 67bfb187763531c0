package interchange

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Errors for [errors.Is].
var (
	// ErrUnauthorized means that the API key is wrong.
	ErrUnauthorized = errors.New("interchange: unauthorized")
	// ErrForbidden means that the API key has no access to the advertiser.
	ErrForbidden = errors.New("interchange: forbidden")
	// ErrNotEndpoint means that the response is not that of the API: HTML,
	// another document, or one without its required members.
	ErrNotEndpoint = errors.New("interchange: the response is not that of the API")
)

// ErrorKind is the cause of an [Error].
type ErrorKind int

// The causes of an [Error].
const (
	// ErrorTemporary means that the same call may succeed later.
	ErrorTemporary ErrorKind = iota
	// ErrorConfiguration means that no call succeeds until the API key, the
	// advertiser or the address is fixed.
	ErrorConfiguration
	// ErrorRequest means that the platform refuses this request.
	ErrorRequest
)

// String returns "temporary", "configuration" or "request".
func (k ErrorKind) String() string {
	switch k {
	case ErrorTemporary:
		return "temporary"
	case ErrorConfiguration:
		return "configuration"
	case ErrorRequest:
		return "request"
	}
	return fmt.Sprintf("ErrorKind(%d)", int(k))
}

// Error is the error of a call that the platform refused or that has no
// response. Error, formatting and logging do not print Body and the text of
// Err.
type Error struct {
	// Code is the platform's code, such as "VALIDATION_ERROR". It is "" if the
	// response has none of that form.
	Code string
	// Fields are the paths of the refused members, such as
	// "/event_sources/1/name", at most ten.
	Fields []string
	// Body is the beginning of the response, at most 4 KiB. It may contain sent
	// values.
	Body []byte `json:"-"`
	// Err is the error of the network, or nil.
	Err error `json:"-"`

	doing      string // the description of the call
	status     int    // HTTP, 0 without a response
	retryAfter time.Duration
	problem    string // why the response is missing, or not that of the API
}

// Status returns the HTTP status of the response, or 0 without one.
func (e *Error) Status() int { return e.status }

// RetryAfter returns how long the platform asks to wait, at most an hour, or 0.
func (e *Error) RetryAfter() time.Duration { return e.retryAfter }

// Kind returns the cause of the error:
//   - temporary: the call may succeed later (no response, 408, 425, 429, 5xx)
//   - configuration: no call succeeds (401, 403, 404, a redirect, or a response that is not that of the API)
//   - request: the platform refuses this request
func (e *Error) Kind() ErrorKind {
	switch status := e.status; {
	case status == 0, status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests, status >= 500:
		return ErrorTemporary
	case e.problem != "", status >= 300 && status < 400, e.Is(ErrUnauthorized), e.Is(ErrForbidden),
		status == http.StatusPaymentRequired, status == http.StatusNotFound, status == http.StatusMethodNotAllowed,
		status == http.StatusGone, status == http.StatusUnsupportedMediaType:
		return ErrorConfiguration
	}
	return ErrorRequest
}

// Is makes the error match [ErrUnauthorized], [ErrForbidden] and
// [ErrNotEndpoint].
func (e *Error) Is(target error) bool {
	switch target {
	case ErrUnauthorized:
		return e.status == http.StatusUnauthorized || e.Code == "UNAUTHORIZED"
	case ErrForbidden:
		return e.status == http.StatusForbidden || e.Code == "FORBIDDEN" || e.Code == "ACCESS_DENIED" || e.Code == "TOS_ACCEPTANCE_REQUIRED"
	case ErrNotEndpoint:
		return e.status != 0 && e.problem != ""
	}
	return false
}

// Unwrap returns the error of the network.
func (e *Error) Unwrap() error { return e.Err }

// Error returns the call, status, code, fields and the likely cause.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("interchange: ")
	if e.doing != "" {
		b.WriteString(e.doing + ": ")
	}
	switch {
	case e.status == 0:
		b.WriteString(e.problem)
		return b.String()
	case e.problem != "":
		fmt.Fprintf(&b, "the response with status %d is not that of the API: %s", e.status, e.problem)
	default:
		fmt.Fprintf(&b, "the platform refused the request with status %d", e.status)
		if text := http.StatusText(e.status); text != "" {
			b.WriteString(" " + text)
		}
	}
	if e.Code != "" {
		b.WriteString(", " + e.Code)
	}
	for _, field := range e.Fields {
		b.WriteString(", " + field)
	}
	if e.retryAfter > 0 {
		fmt.Fprintf(&b, ", and asks to wait for %v", e.retryAfter)
	}
	if advice := e.advice(); advice != "" {
		b.WriteString("; " + advice)
	}
	return b.String()
}

// advice names the likely fix.
func (e *Error) advice() string {
	switch {
	case e.Is(ErrUnauthorized):
		return "check the API key"
	case e.Code == "TOS_ACCEPTANCE_REQUIRED":
		return "accept the platform's terms of service"
	case e.Is(ErrForbidden):
		return "the API key has no access to this advertiser"
	case e.status >= 300 && e.status < 400:
		return "redirects are not followed; check BaseURL"
	case e.status == http.StatusNotFound:
		return "check AdvertiserID and BaseURL"
	case e.problem != "" && e.status < 500:
		return "check BaseURL, and whether a proxy responds in place of the platform"
	}
	return ""
}

// Format prints Error for every verb. It does not print the body.
func (e *Error) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, e.Error()) }

// LogValue returns all fields except Body and Err.
func (e *Error) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("message", e.Error()), slog.Int("status", e.status), slog.String("kind", e.Kind().String())}
	if e.Code != "" {
		attrs = append(attrs, slog.String("code", e.Code))
	}
	if len(e.Fields) > 0 {
		attrs = append(attrs, slog.Any("fields", e.Fields))
	}
	return slog.GroupValue(attrs...)
}
