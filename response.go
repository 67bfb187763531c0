package clickid

import (
	"errors"
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
	// source or advertiser.
	ErrForbidden = errors.New("clickid: forbidden")
	// ErrNotSent says that the event provably never left this process, usually
	// since the deadline came first. The error matches the context's as well.
	ErrNotSent = errors.New("clickid: not sent")
)

// ResponseError is a refusal by the platform. Neither Error nor any formatting
// or logging of it prints Body, since platforms echo what they were sent.
type ResponseError struct {
	// Status is the HTTP status; it is a 2xx for refusals inside such an answer.
	Status int
	// Code is the platform's own code, such as "VALIDATION_ERROR", or "".
	Code string
	// Field is what the platform complains about, such as
	// "/events/1/event_type", or "".
	Field string
	// RetryAfter is how long the platform asks to wait, or 0.
	RetryAfter time.Duration
	// Recovery is "transient", "correctable", "terminal" or "".
	Recovery string
	// Body is the beginning of the answer, at most 4 KiB.
	Body []byte `json:"-"`
}

// Error names the status, code and field.
func (e *ResponseError) Error() string { return "clickid: refused" }

// Temporary reports whether the same request can succeed later without any
// change.
func (e *ResponseError) Temporary() bool { return false }

// Configuration reports whether the request as such is refused, whatever
// events it carries: a wrong key, path, data set or event source, or a
// redirect. The events are fine, and so is sending them again once it is
// mended.
func (e *ResponseError) Configuration() bool { return false }
