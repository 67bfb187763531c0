// Package apihttp holds what the clients of the platform's APIs share: the
// checks of key and address, the HTTP client, and the parts of a response that
// an error may repeat.
package apihttp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/clickid/clickid/internal/text"
)

// UserAgent is the User-Agent of every request.
const UserAgent = "clickid-go (+https://github.com/clickid/clickid)"

const keyPrefix = "scope3_"

// KeyProblem returns why an API key cannot be valid, or "". With platform it
// must be a key of the platform.
func KeyProblem(key string, platform bool) string {
	switch {
	case key == "":
		return "APIKey is required"
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > unicode.MaxASCII || unicode.IsControl(r) }):
		return "APIKey must consist of visible ASCII characters: remove line breaks and \"Bearer \""
	case platform && (!strings.HasPrefix(key, keyPrefix) || key == keyPrefix):
		return fmt.Sprintf("APIKey must begin with %q", keyPrefix)
	}
	return ""
}

// ParseBaseURL returns a BaseURL, or why it is not valid. The problem does not
// contain the URL, since it may contain a password.
func ParseBaseURL(s string) (u *url.URL, problem string) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "":
		return nil, `BaseURL must be a URL such as "https://events.example.com"`
	case u.Scheme != "https" && !(u.Scheme == "http" && IsLoopback(u.Hostname())):
		return nil, "BaseURL must use https, except on loopback"
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, "BaseURL must not have credentials, query or fragment"
	}
	return u, ""
}

// IsLoopback reports whether a host name is that of this machine.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// NewClient returns a client that does not follow redirects. It is a copy of
// the user's client, or a new one with a number of persistent connections.
func NewClient(user *http.Client, connections int) *http.Client {
	c := &http.Client{}
	if user != nil {
		*c = *user
	} else {
		c.Transport = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			ForceAttemptHTTP2:     true,
			MaxIdleConns:          connections,
			MaxIdleConnsPerHost:   connections,
			IdleConnTimeout:       90 * time.Second,
			TLSHandshakeTimeout:   5 * time.Second,
			ExpectContinueTimeout: time.Second,
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		}
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// errSwitched is the error of [Do] for a protocol switch.
var errSwitched = errors.New("the server switched to another protocol")

// Do sends a request with c. A switch to another protocol (101) is an error:
// its body is the connection, which outlives the request's context, so that to
// read it could take forever.
func Do(c *http.Client, r *http.Request) (*http.Response, error) {
	resp, err := c.Do(r)
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
		_ = resp.Body.Close()
		return nil, errSwitched
	}
	return resp, err
}

// Failure is why a request has no complete response.
type Failure struct {
	Cause string // without the text of the error, since that may be personal
	Cut   bool   // the connection broke during the request
	Hung  bool   // there was a connection, and no response in time
}

// Classify returns the cause of err. The end of ctx, the caller's context, is
// told from the timeout of the attempt.
func Classify(ctx context.Context, err error) Failure {
	var (
		dns    *net.DNSError
		op     *net.OpError
		header tls.RecordHeaderError
		alert  tls.AlertError
		verify *tls.CertificateVerificationError
		host   x509.HostnameError
		issuer x509.UnknownAuthorityError
	)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return Failure{Cause: "the caller cancelled the request"}
	case ctx.Err() != nil:
		return Failure{Cause: "the caller's deadline came", Hung: true}
	case errors.As(err, &dns):
		return Failure{Cause: "the host name cannot be resolved"}
	case errors.As(err, &issuer), errors.As(err, &host), errors.As(err, &verify):
		return Failure{Cause: "the certificate is not trusted"}
	case errors.As(err, &header), errors.As(err, &alert), errors.Is(err, http.ErrSchemeMismatch):
		return Failure{Cause: "the TLS handshake failed"}
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return Failure{Cause: "timeout", Hung: true}
	case errors.Is(err, errRefused):
		return Failure{Cause: "connection refused"}
	case errors.Is(err, errReset), errors.Is(err, errPipe),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Failure{Cause: "connection cut", Cut: true}
	case errors.Is(err, errSwitched):
		return Failure{Cause: errSwitched.Error()}
	case errors.As(err, &op):
		return Failure{Cause: "network error in " + op.Op}
	}
	return Failure{Cause: fmt.Sprintf("the request failed (%T)", rootCause(err))}
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

// MaxWait limits the waits that a platform can ask for. Longer waits are
// shortened to it.
const MaxWait = time.Hour

// RetryAfter parses a Retry-After header (RFC 9110, section 10.2.3): seconds,
// or a date relative to the response's Date. It returns 0 for a missing or
// invalid header and for a time in the past.
func RetryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if text.Digits(value) {
		seconds, _ := strconv.ParseFloat(value, 64) // +Inf for too many digits
		return Seconds(seconds)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if sent, err := http.ParseTime(header.Get("Date")); err == nil {
		now = sent
	}
	return min(max(0, at.Sub(now)), MaxWait)
}

// Seconds returns a wait in whole seconds, rounded up.
func Seconds(seconds float64) time.Duration {
	switch {
	case !(seconds > 0): // also NaN
		return 0
	case seconds > MaxWait.Seconds():
		return MaxWait
	}
	return time.Duration(math.Ceil(seconds)) * time.Second
}

// MaxIndexDigits limits the index of an element in a path.
const MaxIndexDigits = 5

// Code returns s if it has the form of an error code. Error texts must not
// contain other values, which may be personal.
func Code(s string) string {
	if len(s) > 64 || !isIdentifier(s) || Digits(s) > 5 {
		return ""
	}
	return strings.ToUpper(s)
}

// Path returns s if it has the form of a path in a request, for the same
// reason.
func Path(s string) string {
	if len(s) > 128 {
		return ""
	}
	parts := PathParts(s)
	for _, part := range parts {
		index := text.Digits(part) && len(part) <= MaxIndexDigits
		if !index && (!isIdentifier(part) || Digits(part) > 3) {
			return ""
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return s
}

// PathParts splits a path such as /events/1/event_type, events[1].event_type or
// $.events.1.
func PathParts(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune("/.[]$\"'", r) })
}

// isIdentifier reports whether s is a letter followed by letters, digits and
// [_.-].
func isIdentifier(s string) bool {
	for i, r := range s {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789_.-", r)) {
			return false
		}
	}
	return s != ""
}

// Digits counts the ASCII digits of s.
func Digits(s string) int {
	n := 0
	for _, r := range s {
		if r >= '0' && r <= '9' {
			n++
		}
	}
	return n
}
