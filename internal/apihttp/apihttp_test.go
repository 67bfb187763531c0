package apihttp_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/clickid/clickid/internal/apihttp"
	"github.com/stretchr/testify/require"
)

func TestKeyProblem(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"scope3_abc":        "",
		"":                  "required",
		"scope3_":           "must begin",
		"sk_live_abc":       "must begin",
		"scope3_abc\n":      "visible ASCII",
		"Bearer scope3_abc": "visible ASCII",
		"scope3_é":          "visible ASCII",
	} {
		got := apihttp.KeyProblem(key, true)
		require.Contains(t, got, want, key)
		require.Equal(t, want == "", got == "", key)
	}
	require.Empty(t, apihttp.KeyProblem("sk_live_abc", false))
}

func TestParseBaseURL(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://events.example.com":        "",
		"https://events.example.com/prefix": "",
		"http://127.0.0.1:8080":             "",
		"http://localhost":                  "",
		"http://[::1]:1":                    "",
		"http://events.example.com":         "must use https",
		"events.example.com":                "must be a URL",
		"https://":                          "must be a URL",
		"https://user:secret@example.com":   "must not have credentials",
		"https://example.com/?a=b":          "must not have credentials",
		"https://example.com/?":             "must not have credentials",
		"https://example.com/#a":            "must not have credentials",
		"://secret":                         "must be a URL",
	} {
		u, problem := apihttp.ParseBaseURL(raw)
		require.Contains(t, problem, want, raw)
		require.Equal(t, want == "", problem == "", raw)
		require.Equal(t, want == "", u != nil, raw)
		require.NotContains(t, problem, "secret")
	}
}

func TestNewClient(t *testing.T) {
	t.Parallel()
	user := &http.Client{Timeout: time.Second}
	c := apihttp.NewClient(user, 1)
	require.ErrorIs(t, c.CheckRedirect(nil, nil), http.ErrUseLastResponse)
	require.Equal(t, time.Second, c.Timeout)
	require.Nil(t, user.CheckRedirect, "the user's client is not changed")
	require.NotNil(t, apihttp.NewClient(nil, 1).Transport)
}

// TestDo_protocolSwitch has a server that turns a response into a connection
// and sends nothing on it.
func TestDo_protocolSwitch(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() })
		}
	}))
	t.Cleanup(server.Close)
	r, err := http.NewRequest(http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	_, err = apihttp.Do(server.Client(), r)
	require.Equal(t, apihttp.Failure{Cause: "the server switched to another protocol"}, apihttp.Classify(context.Background(), err))
}

func TestClassify(t *testing.T) {
	t.Parallel()
	open, ended := context.Background(), func(d time.Duration) context.Context {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		cancel()
		return ctx
	}
	for name, tt := range map[string]struct {
		ctx  context.Context
		err  error
		want apihttp.Failure
	}{
		"cancelled":   {ended(time.Hour), io.EOF, apihttp.Failure{Cause: "the caller cancelled the request"}},
		"deadline":    {ended(-1), io.EOF, apihttp.Failure{Cause: "the caller's deadline came", Hung: true}},
		"timeout":     {open, context.DeadlineExceeded, apihttp.Failure{Cause: "timeout", Hung: true}},
		"net timeout": {open, os.ErrDeadlineExceeded, apihttp.Failure{Cause: "timeout", Hung: true}},
		"dns":         {open, &net.DNSError{Name: "secret"}, apihttp.Failure{Cause: "the host name cannot be resolved"}},
		"certificate": {open, x509.UnknownAuthorityError{}, apihttp.Failure{Cause: "the certificate is not trusted"}},
		"refused":     {open, syscall.ECONNREFUSED, apihttp.Failure{Cause: "connection refused"}},
		"cut":         {open, io.ErrUnexpectedEOF, apihttp.Failure{Cause: "connection cut", Cut: true}},
		"plain HTTP":  {open, http.ErrSchemeMismatch, apihttp.Failure{Cause: "the TLS handshake failed"}},
		"other":       {open, errors.New("secret"), apihttp.Failure{Cause: "the request failed (*errors.errorString)"}},
	} {
		require.Equal(t, tt.want, apihttp.Classify(tt.ctx, fmt.Errorf("wrapped: %w", tt.err)), name)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for _, tt := range []struct {
		value, date string
		want        time.Duration
	}{
		{"", "", 0},
		{"90", "", 90 * time.Second},
		{"-1", "", 0},
		{"soon", "", 0},
		{"99999999999999999999999", "", time.Hour},
		{at(time.Minute), "", time.Minute},
		{at(-time.Minute), "", 0},
		{at(24 * time.Hour), "", time.Hour},
		{at(time.Minute), at(30 * time.Second), 30 * time.Second},
	} {
		require.Equal(t, tt.want, apihttp.RetryAfter(http.Header{"Retry-After": {tt.value}, "Date": {tt.date}}, now), tt.value)
	}
	require.Zero(t, apihttp.Seconds(math.NaN()))
	require.Equal(t, 2*time.Second, apihttp.Seconds(1.2))
}

func TestCode(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"validation_error": "VALIDATION_ERROR", "E404": "E404", "": "", "anna@example.com": "", "order-20260301": "", "4ever": "",
	} {
		require.Equal(t, want, apihttp.Code(s), s)
	}
}

func TestPath(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"/events/1/event_type", "events[1].event_type", "$.events.99999", "event_sources"} {
		require.Equal(t, s, apihttp.Path(s))
	}
	for _, s := range []string{"", "/", "anna@example.com", "/events/4915112345678", "/events/order 7"} {
		require.Empty(t, apihttp.Path(s), s)
	}
}
