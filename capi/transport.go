package capi

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/apihttp"
)

// TransportError is the error of a request without a complete response: no
// connection, a cut connection, or a timeout. It is temporary. The platform may
// or may not have processed the request. Its text does not contain the text of
// the underlying error, since that may be personal; [errors.As] and [errors.Is]
// find that error.
type TransportError struct {
	cause string
	cut   bool // the connection broke during the request
	hung  bool // there was a connection, and no response in time
	err   error
}

// Error returns the cause.
func (e *TransportError) Error() string { return "capi: no response from the platform: " + e.cause }

// Kind returns [clickid.SendErrorTemporary].
func (e *TransportError) Kind() clickid.SendErrorKind { return clickid.SendErrorTemporary }

// RetryAfter returns 0.
func (e *TransportError) RetryAfter() time.Duration { return 0 }

// Status returns 0.
func (e *TransportError) Status() int { return 0 }

// Unwrap returns the underlying error.
func (e *TransportError) Unwrap() error { return e.err }

// Format prints Error for every verb.
func (e *TransportError) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, e.Error()) }

// newTransportError classifies err. The end of ctx, the caller's context, is
// told from the timeout of the attempt.
func newTransportError(ctx context.Context, err error) *TransportError {
	f := apihttp.Classify(ctx, err)
	return &TransportError{cause: f.Cause, cut: f.Cut, hung: f.Hung, err: err}
}
