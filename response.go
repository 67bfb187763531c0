package clickid

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Errors of sending that callers tell apart with [errors.Is].
var (
	// ErrInvalidEvent says that this very event is refused, by validation or
	// by the platform.
	ErrInvalidEvent = errors.New("clickid: invalid event")
	// ErrUnauthorized says that the API key is missing or wrong.
	ErrUnauthorized = errors.New("clickid: unauthorized")
	// ErrForbidden says that the API key has no access to the data set, event
	// source or advertiser, or that the platform's terms are not accepted yet.
	ErrForbidden = errors.New("clickid: forbidden")
	// ErrNotSent says that the event provably did not leave this process: the
	// deadline came first, or what became of an earlier event of the same call
	// made it pointless. The error also matches what was the reason.
	ErrNotSent = errors.New("clickid: the event was not sent")
)

// ResponseError is a refusal by the platform. Neither Error nor any formatting
// or logging of it prints Body, since platforms echo what they were sent.
type ResponseError struct {
	// Status is the HTTP status; it is a 2xx for refusals inside such an answer.
	Status int
	// Code is the platform's own code, such as "VALIDATION_ERROR", or "" when
	// it gave none that has the form of one.
	Code string
	// Field is what the platform complains about, such as
	// "/events/1/event_type", or "" when it named none that has the form of a
	// path.
	Field string
	// RetryAfter is how long the platform asks to wait, or 0.
	RetryAfter time.Duration
	// Recovery is "transient", "correctable", "terminal" or "".
	Recovery string
	// Body is the beginning of the answer, at most 4 KiB. It may hold personal
	// data.
	Body []byte `json:"-"`

	perEvent bool  // from partial_failures: says nothing of other events
	indexes  []int // the events of the request that are named
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
	case e.Status >= 300 && e.Status < 400:
		return refusedConfiguration
	case e.Recovery == recoveryTransient, e.Status >= 500,
		e.Status == http.StatusRequestTimeout, e.Status == http.StatusTooEarly, e.Status == http.StatusTooManyRequests:
		return refusedForNow
	case e.Status == http.StatusConflict:
		return refusedOther
	case e.Status == http.StatusRequestEntityTooLarge:
		return refusedEvent
	case e.Status >= 400 && e.Status != http.StatusBadRequest && e.Status != http.StatusUnprocessableEntity:
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
	case e.Status < 300:
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

// Temporary reports whether the same request can succeed later without any
// change: 408, 425, 429, 5xx, and whatever the platform itself calls
// transient.
func (e *ResponseError) Temporary() bool { return e.refusal() == refusedForNow }

// Configuration reports whether the request as such is refused, whatever
// events it carries: a wrong key, path, data set or event source, or a
// redirect. The events are fine, and can be sent again once it is mended.
func (e *ResponseError) Configuration() bool { return e.refusal() == refusedConfiguration }

// Is makes the error match [ErrUnauthorized], [ErrForbidden] and
// [ErrInvalidEvent].
func (e *ResponseError) Is(target error) bool {
	switch target {
	case ErrUnauthorized:
		return e.Status == http.StatusUnauthorized || e.Code == codeUnauthorized
	case ErrForbidden:
		return e.Status == http.StatusForbidden || isForbiddenCode(e.Code)
	case ErrInvalidEvent:
		return e.refusal() == refusedEvent
	}
	return false
}

// Error names status, code and field and the likely cause.
func (e *ResponseError) Error() string {
	return "clickid: " + e.reason()
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
	fmt.Fprintf(&b, " with status %d", e.Status)
	if text := http.StatusText(e.Status); text != "" {
		b.WriteString(" " + text)
	}
	for _, detail := range []string{e.Code, e.Field} {
		if detail != "" {
			b.WriteString(", " + detail)
		}
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, ", and asks to wait for %v", e.RetryAfter)
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
	case e.Status >= 300 && e.Status < 400:
		return "redirects are not followed; check BaseURL, the environment and the dialect's path"
	case e.Status == http.StatusNotFound, e.Status == http.StatusMethodNotAllowed:
		return "check BaseURL, the dialect and its path"
	case e.Status == http.StatusUnsupportedMediaType:
		return "something on the way changes the Content-Type"
	case e.Configuration() && isRequestField(e.Field):
		return "check the dialect's configuration"
	}
	return ""
}

// Format prints Error for every verb: the body stays out of %+v and %#v.
func (e *ResponseError) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, e.Error()) }

// LogValue returns everything but the body.
func (e *ResponseError) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("message", e.Error()), slog.Int("status", e.Status)}
	if e.Code != "" {
		attrs = append(attrs, slog.String("code", e.Code))
	}
	if e.Field != "" {
		attrs = append(attrs, slog.String("field", e.Field))
	}
	if e.RetryAfter > 0 {
		attrs = append(attrs, slog.Duration("retry_after", e.RetryAfter))
	}
	return slog.GroupValue(attrs...)
}
