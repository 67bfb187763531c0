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
	"github.com/clickid/clickid/internal/apihttp"
)

// Errors of the client, for [errors.Is].
var (
	// ErrUnauthorized means that the API key is missing or wrong.
	ErrUnauthorized = errors.New("capi: unauthorized")
	// ErrForbidden means that the API key has no access to the data set, event
	// source or advertiser, or that the platform's terms have not been
	// accepted.
	ErrForbidden = errors.New("capi: forbidden")
	// ErrNotSent means that the event was not sent: the deadline came first, or
	// the response to another event of the call stopped the sending. The error
	// also matches the cause.
	ErrNotSent = errors.New("capi: the event was not sent")
	// ErrNotEndpoint means that the response is not from the conversion API:
	// HTML, or a body that is incomplete, too large or not a JSON object.
	// Maintenance pages, captive portals and wrong BaseURLs cause such
	// responses.
	ErrNotEndpoint = errors.New("capi: the response is not that of the conversion API")
)

// ResponseError is a response that accepts no event. Error, formatting and
// logging do not print Body, since platforms repeat what was sent.
type ResponseError struct {
	// Code is the platform's code, such as "VALIDATION_ERROR". It is "" if the
	// response has none of that form.
	Code string
	// Field is the refused member, such as "/events/1/event_type". It is "" if
	// the response names none of that form.
	Field string
	// Recovery is "transient", "correctable", "terminal" or "".
	Recovery string
	// Body is the beginning of the response, at most 4 KiB. It may contain
	// personal data.
	Body []byte `json:"-"`

	status     int // HTTP status; a 2xx for a refusal in a success
	retryAfter time.Duration
	problem    string // why the response is not from the endpoint, or ""
	json       bool   // the response is a JSON object, so it is from the platform
	perEvent   bool   // from partial_failures, so it concerns one event
	indexes    []int  // the named events of the request
	isolated   bool   // other events of the same request were accepted
	pending    bool   // the platform has not decided yet
	named      bool   // the response contains an error besides its HTTP status
	shortage   string // the numbers of received events, with partial
	partial    bool   // some unknown events of the request may be accepted
}

// meaning is the consequence of a ResponseError for the events of its request.
type meaning int

const (
	meansTemporary     meaning = iota // the same request may succeed later
	meansNewKey                       // the same events may succeed in a new request
	meansConfiguration                // no event would be accepted
	meansEvent                        // an event of the request is at fault
	meansSmaller                      // a smaller request may succeed
	meansRefused                      // an event or the configuration is at fault
)

// meaning classifies the error as the table of the wire contract does. Refusals
// of the caller take precedence over those of an event.
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
		// The account is at fault, for example suspended: a refusal of an event
		// names the event.
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

// isConfigurationCode reports whether a code of AdCP or the REST API concerns
// the caller or its configuration.
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

// isRequestField reports whether a path is that of a member that all events of
// the request share.
func isRequestField(field string) bool {
	switch firstPart(field) {
	case "data_set_id", "event_source_id", "test_event_code", "idempotency_key", "advertiser_id", "account", "account_id", "adcp_version":
		return true
	}
	return false
}

// isEventField reports whether a path is that of a member of an event.
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
	parts := apihttp.PathParts(path)
	if len(parts) == 0 {
		return ""
	}
	return parts[0]
}

// verdict reports whether the error is a verdict of the platform: its JSON,
// other than a request to wait. The platform would repeat it for the same
// idempotency key.
func (e *ResponseError) verdict() bool {
	switch {
	case !e.json, e.Code == codeInFlight, e.status == http.StatusTooManyRequests,
		e.status == http.StatusBadGateway, e.status == http.StatusServiceUnavailable, e.status == http.StatusGatewayTimeout:
		return false
	}
	return true
}

// Status returns the HTTP status. It is a 2xx for a refusal in a success.
func (e *ResponseError) Status() int { return e.status }

// ErrorCode returns Code. An outbox keeps it in the attempts of an event.
func (e *ResponseError) ErrorCode() string { return e.Code }

// RetryAfter returns how long the platform asks to wait, at most an hour, or 0.
func (e *ResponseError) RetryAfter() time.Duration { return e.retryAfter }

// Kind returns the cause of the error:
//   - temporary: the events may be accepted later (408, 425, 429, 5xx, and
//     errors that the platform calls transient)
//   - configuration: no event would be accepted (a wrong key, path, data set or
//     event source, a redirect, or a response that is not from the endpoint)
//   - event: the platform names an event or its field, or the event is too
//     large
//   - refused: either the event or the configuration
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

// Error returns status, code, field and the likely cause.
func (e *ResponseError) Error() string {
	return "capi: " + e.reason()
}

// reason returns Error without the prefix.
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

// advice returns the likely cause.
func (e *ResponseError) advice() string {
	switch {
	case e.problem != "" && e.status < 500:
		return "check BaseURL, and for a maintenance page or a proxy in front of the platform"
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

// Format prints Error for every verb. It does not print the body.
func (e *ResponseError) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, e.Error()) }

// LogValue returns all fields except the body.
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
