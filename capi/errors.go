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
	// ErrNotEndpoint means that the response is not the conversion API's: HTML,
	// a document that is cut short, too large or no JSON object. A maintenance
	// page, a captive portal and a wrong BaseURL give such responses.
	ErrNotEndpoint = errors.New("capi: the response is not that of the conversion API")
)

// ResponseError is a response that accepts nothing. Neither Error nor any
// formatting or logging of it prints Body, since platforms echo what they were
// sent.
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
	problem    string // why the response is not the endpoint's; "" when it is
	json       bool   // the response is a JSON object, so it is the platform's own
	perEvent   bool   // from partial_failures, which concern one event
	indexes    []int  // the events of the request that are named
	isolated   bool   // other events of the same request were accepted without this one
	pending    bool   // the platform has not decided yet
	named      bool   // the response holds an error, beside its HTTP status
	shortage   string // how many events the platform received, with partial
	partial    bool   // some events of the request may be accepted, but not which
}

// meaning is what a response that accepts nothing means for its events.
type meaning int

const (
	meansTemporary     meaning = iota // the same request can succeed later
	meansNewKey                       // the same events can succeed in a new request
	meansConfiguration                // no event at all would be accepted
	meansEvent                        // an event of the request is at fault
	meansSmaller                      // a smaller request can succeed
	meansRefused                      // an event or the configuration is at fault
)

// meaning reads the error as the table of the wire contract does. What
// concerns everything the caller sends comes before what concerns one event.
func (e *ResponseError) meaning() meaning {
	status := e.status
	switch {
	case e.problem != "" && status < 400, status >= 300 && status < 400:
		return meansConfiguration
	case e.Code == codeInFlight, e.pending:
		return meansTemporary
	case e.Code == codeConflict, e.Code == codeIdempotencyConflict, e.Code == codeIdempotencyExpired:
		return meansNewKey
	case e.partial:
		return meansSmaller
	case isConfigurationCode(e.Code), isRequestField(e.Field):
		return meansConfiguration
	case e.perEvent:
		if e.Recovery == recoveryTransient || isTransientCode(e.Code) {
			return meansNewKey
		}
		return meansEvent
	case isConfigurationStatus(status):
		return meansConfiguration
	case status == http.StatusRequestEntityTooLarge:
		return meansSmaller
	case isTransientStatus(status), e.Recovery == recoveryTransient, isTransientCode(e.Code):
		return meansTemporary
	case e.isolated, e.json && (len(e.indexes) > 0 || isEventField(e.Field)):
		return meansEvent
	case status >= 400, isInvalidCode(e.Code), e.Recovery == recoveryCorrectable:
		return meansRefused
	case e.Recovery == recoveryTerminal:
		// The account is at fault, such as a suspended one: an event would have
		// been named.
		return meansConfiguration
	}
	return meansTemporary // an unknown code without recovery in a success
}

const (
	recoveryTransient   = "transient"
	recoveryCorrectable = "correctable"
	recoveryTerminal    = "terminal"

	codeUnauthorized        = "UNAUTHORIZED"
	codeConflict            = "CONFLICT"
	codeIdempotencyConflict = "IDEMPOTENCY_CONFLICT"
	codeIdempotencyExpired  = "IDEMPOTENCY_EXPIRED"
	codeInFlight            = "IDEMPOTENCY_IN_FLIGHT"
)

func isConfigurationStatus(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusGone, http.StatusUnsupportedMediaType:
		return true
	}
	return false
}

func isTransientStatus(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooEarly || status == http.StatusTooManyRequests || status >= 500
}

// isConfigurationCode reports whether a code concerns the caller or its setup
// (AdCP's error codes, and those of the REST API).
func isConfigurationCode(code string) bool {
	switch code {
	case codeUnauthorized, "NOT_FOUND", "REFERENCE_NOT_FOUND", "PERMISSION_DENIED", "READ_ONLY_SCOPE", "FIELD_NOT_PERMITTED",
		"BRAND_REQUIRED", "VERSION_UNSUPPORTED", "UNSUPPORTED_FEATURE", "INVALID_API_KEY":
		return true
	}
	for _, prefix := range []string{"AUTH_", "SCOPE_", "ACCOUNT_", "AUTHORIZATION_", "BILLING_", "BUDGET_"} {
		if strings.HasPrefix(code, prefix) {
			return true
		}
	}
	return isForbiddenCode(code)
}

func isForbiddenCode(code string) bool {
	return code == "FORBIDDEN" || code == "ACCESS_DENIED" || code == "TOS_ACCEPTANCE_REQUIRED"
}

func isTransientCode(code string) bool {
	switch code {
	case "RATE_LIMITED", "INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT":
		return true
	}
	return false
}

func isInvalidCode(code string) bool {
	return code == "VALIDATION_ERROR" || code == "INVALID_REQUEST" || code == "BAD_REQUEST"
}

// isRequestField reports whether a path leads to a member of the request that
// all its events share.
func isRequestField(field string) bool {
	switch firstPart(field) {
	case "data_set_id", "event_source_id", "test_event_code", "idempotency_key", "advertiser_id", "account", "account_id", "adcp_version":
		return true
	}
	return false
}

// isEventField reports whether a path leads to a member of an event.
func isEventField(field string) bool {
	switch firstPart(field) {
	case "event_id", "event_type", "event_time", "user_match", "custom_data", "action_source", "event_source_url", "custom_event_name",
		"id", "timestamp", "source", "value", "currency", "currency_code", "custom_event", "user_data", "properties":
		return true
	}
	return false
}

// firstPart returns the first part of a path such as "/user_match/click_id",
// "user_match.click_id" or "$.user_match".
func firstPart(path string) string {
	parts := pathParts(path)
	if len(parts) == 0 {
		return ""
	}
	return parts[0]
}

// verdict reports whether the error is a verdict of the platform, which it
// would repeat for the same idempotency key: its own JSON, other than a request
// to wait.
func (e *ResponseError) verdict() bool {
	switch {
	case !e.json, e.Code == codeInFlight, e.status == http.StatusTooManyRequests,
		e.status == http.StatusBadGateway, e.status == http.StatusServiceUnavailable, e.status == http.StatusGatewayTimeout:
		return false
	}
	return true
}

// Status returns the HTTP status. It is a 2xx for a refusal inside of such a
// response.
func (e *ResponseError) Status() int { return e.status }

// RetryAfter returns how long the platform asks to wait, at most an hour, or 0.
func (e *ResponseError) RetryAfter() time.Duration { return e.retryAfter }

// Kind tells whether the events can be accepted later (408, 425, 429, 5xx, and
// what the platform calls transient), whether the request as such is refused
// whatever events it carries (a wrong key, path, data set or event source, a
// redirect, or a response that is not the endpoint's), whether an event is at
// fault (the platform names it or a field of it, or it is too large), or
// whether either can be the cause.
func (e *ResponseError) Kind() clickid.SendErrorKind {
	switch e.meaning() {
	case meansConfiguration:
		return clickid.SendErrorConfiguration
	case meansRefused:
		return clickid.SendErrorRefused
	case meansEvent:
		return clickid.SendErrorEvent
	case meansSmaller:
		if !e.partial {
			return clickid.SendErrorEvent
		}
	}
	return clickid.SendErrorTemporary
}

// Is makes the error match [ErrUnauthorized], [ErrForbidden], [ErrNotEndpoint]
// and [clickid.ErrInvalidEvent].
func (e *ResponseError) Is(target error) bool {
	switch target {
	case ErrUnauthorized:
		return e.status == http.StatusUnauthorized || e.Code == codeUnauthorized
	case ErrForbidden:
		return e.status == http.StatusForbidden || isForbiddenCode(e.Code)
	case ErrNotEndpoint:
		return e.problem != ""
	case clickid.ErrInvalidEvent:
		return e.Kind() == clickid.SendErrorEvent
	}
	return false
}

// Error names status, code and field and the likely cause.
func (e *ResponseError) Error() string {
	return "capi: " + e.reason()
}

// reason is Error without the prefix.
func (e *ResponseError) reason() string {
	var b strings.Builder
	switch {
	case e.problem != "" && e.status < 300:
		b.WriteString("the response is not that of the conversion API")
	case e.Kind() == clickid.SendErrorEvent:
		b.WriteString("the platform refused the event")
	case e.pending, e.partial:
		b.WriteString("the platform did not confirm the event")
	default:
		b.WriteString("the platform refused the request")
	}
	fmt.Fprintf(&b, " with status %d", e.status)
	if text := http.StatusText(e.status); text != "" {
		b.WriteString(" " + text)
	}
	for _, detail := range []string{e.Code, e.Field, e.problem, e.shortage} {
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
	case e.problem != "" && e.status < 500:
		return "check BaseURL, and whether a maintenance page or a proxy answers in place of the platform"
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
	case e.meaning() == meansConfiguration && isRequestField(e.Field):
		return "check the dialect's configuration"
	case e.meaning() == meansRefused:
		return "no event or field is named, so the event or the configuration can be at fault"
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
