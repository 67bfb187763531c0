package capi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/clickid/clickid"
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
	var (
		dns    *net.DNSError
		op     *net.OpError
		header tls.RecordHeaderError
		alert  tls.AlertError
		verify *tls.CertificateVerificationError
		host   x509.HostnameError
		issuer x509.UnknownAuthorityError
	)
	e := &TransportError{err: err}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		e.cause = "the caller cancelled the request"
	case ctx.Err() != nil:
		e.cause, e.hung = "the caller's deadline came", true
	case errors.As(err, &dns):
		e.cause = "the host name cannot be resolved"
	case errors.As(err, &issuer), errors.As(err, &host), errors.As(err, &verify):
		e.cause = "the certificate is not trusted"
	case errors.As(err, &header), errors.As(err, &alert):
		e.cause = "the TLS handshake failed"
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		e.cause, e.hung = "timeout", true
	case errors.Is(err, syscall.ECONNREFUSED):
		e.cause = "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.cause, e.cut = "connection cut", true
	case errors.As(err, &op):
		e.cause = "network error in " + op.Op
	default:
		e.cause = fmt.Sprintf("the request failed (%T)", rootCause(err))
	}
	return e
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// rootCause returns the innermost error, since it has the most specific type.
func rootCause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// newHTTPClient returns a client that does not follow redirects. It is a copy
// of the user's client, or a new one with as many persistent connections as
// concurrent requests.
func newHTTPClient(user *http.Client, concurrency int) *http.Client {
	c := &http.Client{}
	if user != nil {
		*c = *user
	} else {
		c.Transport = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			ForceAttemptHTTP2:     true,
			MaxIdleConns:          concurrency,
			MaxIdleConnsPerHost:   concurrency,
			IdleConnTimeout:       90 * time.Second,
			TLSHandshakeTimeout:   5 * time.Second,
			ExpectContinueTimeout: time.Second,
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		}
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}
