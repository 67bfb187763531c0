package capi

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/clickid/clickid"
)

// Errors that callers tell apart with [errors.Is].
var (
	// ErrUnauthorized means that the API key is missing or wrong.
	ErrUnauthorized = errors.New("capi: unauthorized")
	// ErrForbidden means that the API key has no access to the data set, event
	// source or advertiser, or that the platform's terms are not accepted yet.
	ErrForbidden = errors.New("capi: forbidden")
	// ErrNotSent means that the event provably did not leave this process: the
	// deadline came first, or the response to an earlier event of the same call
	// made it pointless. The error also matches the cause.
	ErrNotSent = errors.New("capi: the event was not sent")
)

// ResponseError is a refusal by the platform. Neither Error nor any formatting
// or logging of it prints Body, since platforms echo what they were sent.
type ResponseError struct {
	// Code is the platform's own code, such as "VALIDATION_ERROR", or "" when
	// it gave none that has the form of one.
	Code string
	// Field is what the platform complains about, such as
	// "/events/1/event_type", or "" when it named none that has the form of a
	// path.
	Field string
	// Recovery is "transient", "correctable", "terminal" or "".
	Recovery string
	// Body is the beginning of the response, at most 4 KiB. It may hold personal
	// data.
	Body []byte `json:"-"`

	status     int // HTTP, a 2xx for a refusal inside of such a response
	retryAfter time.Duration
	perEvent   bool  // from partial_failures: says nothing of other events
	indexes    []int // the events of the request that are named
}

// refusal is what a ResponseError means for the events of its request.
type refusal int

const (
	refusedEvent         refusal = iota // an event of the request is at fault
	refusedForNow                       // the same request may succeed later
	refusedConfiguration                // no event at all would be taken
	refusedOther                        // a conflict: neither of these
)

func (e *ResponseError) refusal() refusal {
	switch {
	case e.perEvent:
		if e.Recovery == recoveryTransient || isTransientCode(e.Code) {
			return refusedForNow
		}
		return refusedEvent
	case e.status >= 300 && e.status < 400:
		return refusedConfiguration
	case e.Recovery == recoveryTransient, e.status >= 500,
		e.status == http.StatusRequestTimeout, e.status == http.StatusTooEarly, e.status == http.StatusTooManyRequests:
		return refusedForNow
	case e.status == http.StatusConflict:
		return refusedOther
	case e.status == http.StatusRequestEntityTooLarge:
		return refusedEvent
	case e.status >= 400 && e.status != http.StatusBadRequest && e.status != http.StatusUnprocessableEntity:
		return refusedConfiguration
	}
	// What is left are the statuses that say nothing of the cause: 400, 422
	// and errors inside a 2xx.
	_, namesEvent := eventIndex(e.Field)
	switch {
	case namesEvent:
		return refusedEvent
	case isConfigurationCode(e.Code), isRequestField(e.Field):
		return refusedConfiguration
	case isTransientCode(e.Code):
		return refusedForNow
	case isInvalidCode(e.Code), e.Recovery == recoveryCorrectable:
		return refusedEvent
	case e.Code == codeConflict:
		return refusedOther
	case e.Recovery == recoveryTerminal:
		// A person has to act, such as on a suspended account. An event of its
		// own would have been named or called invalid.
		return refusedConfiguration
	case e.status < 300:
		return refusedForNow // an unknown code without recovery is transient
	}
	return refusedEvent
}

const (
	recoveryTransient   = "transient"
	recoveryCorrectable = "correctable"
	recoveryTerminal    = "terminal"

	codeUnauthorized = "UNAUTHORIZED"
	codeConflict     = "CONFLICT"
)

func isConfigurationCode(code string) bool {
	switch code {
	case codeUnauthorized, "NOT_FOUND", "REFERENCE_NOT_FOUND":
		return true
	}
	return isForbiddenCode(code)
}

func isForbiddenCode(code string) bool {
	return code == "FORBIDDEN" || code == "ACCESS_DENIED" || code == "TOS_ACCEPTANCE_REQUIRED"
}

func isTransientCode(code string) bool {
	return code == "RATE_LIMITED" || code == "INTERNAL_ERROR" || code == "SERVICE_UNAVAILABLE"
}

func isInvalidCode(code string) bool {
	return code == "VALIDATION_ERROR" || code == "INVALID_REQUEST" || code == "BAD_REQUEST"
}

// isRequestField reports whether the platform complains about a member of the
// request that all its events share.
func isRequestField(field string) bool {
	switch strings.Trim(field, "/$.") {
	case "data_set_id", "event_source_id", "test_event_code", "idempotency_key", "advertiser_id":
		return true
	}
	return false
}

// Status returns the HTTP status. It is a 2xx for a refusal inside of such a
// response.
func (e *ResponseError) Status() int { return e.status }

// RetryAfter returns how long the platform asks to wait, or 0.
func (e *ResponseError) RetryAfter() time.Duration { return e.retryAfter }

// Kind tells whether the same request can succeed later (408, 425, 429, 5xx and
// what the platform calls transient), whether the request as such is refused
// whatever events it carries (a wrong key, path, data set or event source, or a
// redirect), or whether an event is at fault.
func (e *ResponseError) Kind() clickid.SendErrorKind {
	switch e.refusal() {
	case refusedEvent:
		return clickid.SendErrorEvent
	case refusedConfiguration:
		return clickid.SendErrorConfiguration
	}
	return clickid.SendErrorTemporary
}

// Is makes the error match [ErrUnauthorized], [ErrForbidden] and
// [clickid.ErrInvalidEvent].
func (e *ResponseError) Is(target error) bool {
	switch target {
	case ErrUnauthorized:
		return e.status == http.StatusUnauthorized || e.Code == codeUnauthorized
	case ErrForbidden:
		return e.status == http.StatusForbidden || isForbiddenCode(e.Code)
	case clickid.ErrInvalidEvent:
		return e.refusal() == refusedEvent
	}
	return false
}

// Error names status, code and field and the likely cause.
func (e *ResponseError) Error() string {
	return "capi: " + e.reason()
}

// reason says the same without the prefix.
func (e *ResponseError) reason() string {
	var b strings.Builder
	b.WriteString("the platform refused ")
	if e.refusal() == refusedEvent {
		b.WriteString("the event")
	} else {
		b.WriteString("the request")
	}
	fmt.Fprintf(&b, " with status %d", e.status)
	if text := http.StatusText(e.status); text != "" {
		b.WriteString(" " + text)
	}
	for _, detail := range []string{e.Code, e.Field} {
		if detail != "" {
			b.WriteString(", " + detail)
		}
	}
	if e.retryAfter > 0 {
		fmt.Fprintf(&b, ", and asks to wait for %v", e.retryAfter)
	}
	if advice := e.advice(); advice != "" {
		b.WriteString(": " + advice)
	}
	return b.String()
}

// advice names the likely cause.
func (e *ResponseError) advice() string {
	switch {
	case e.Is(ErrUnauthorized):
		return "check the API key"
	case e.Code == "TOS_ACCEPTANCE_REQUIRED":
		return "accept the platform's terms of service"
	case e.Is(ErrForbidden):
		return "the API key has no access to this data set, event source or advertiser"
	case e.Code == "REFERENCE_NOT_FOUND":
		return "register the event source"
	case e.status >= 300 && e.status < 400:
		return "redirects are not followed; check BaseURL, the environment and the dialect's path"
	case e.status == http.StatusNotFound, e.status == http.StatusMethodNotAllowed:
		return "check BaseURL, the dialect and its path"
	case e.status == http.StatusUnsupportedMediaType:
		return "something on the way changes the Content-Type"
	case e.refusal() == refusedConfiguration && isRequestField(e.Field):
		return "check the dialect's configuration"
	}
	return ""
}

// Format prints Error for every verb: the body stays out of %+v and %#v.
func (e *ResponseError) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, e.Error()) }

// LogValue returns everything but the body.
func (e *ResponseError) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("message", e.Error()), slog.Int("status", e.status)}
	if e.Code != "" {
		attrs = append(attrs, slog.String("code", e.Code))
	}
	if e.Field != "" {
		attrs = append(attrs, slog.String("field", e.Field))
	}
	if e.retryAfter > 0 {
		attrs = append(attrs, slog.Duration("retry_after", e.retryAfter))
	}
	return slog.GroupValue(attrs...)
}
