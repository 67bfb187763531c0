package capi

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/clickid/clickid/internal/apihttp"
)

// Attempt is a request of a [Client] and its outcome. It contains no personal
// data.
type Attempt struct {
	// Host is the host of the platform.
	Host string
	// Number counts the attempts of a request from 1.
	Number int
	// Events is the number of events in the request, and Bytes the size of its
	// body.
	Events int
	Bytes  int
	// Status is the HTTP status, or 0 without a response.
	Status int
	// Duration is the time from the beginning of the request until the response
	// was read or the request failed, without waits before a retry.
	Duration time.Duration
	// Warnings are the platform's warnings about an accepted request, or nil.
	Warnings []string
	// MatchQuality is the platform's estimate of how well it can attribute the
	// events, from 0 to 1, or nil.
	MatchQuality *float64
	// Err is a *ResponseError or a *TransportError, or nil after a success.
	Err error
}

// attempt sends a request once and reports it to hook and log.
func (c *Client) attempt(ctx context.Context, b *body, events, number int) (*response, error) {
	start := time.Now()
	status, resp, err := c.post(ctx, b, events)
	a := Attempt{
		Host:     c.host,
		Number:   number,
		Events:   events,
		Bytes:    b.size,
		Status:   status,
		Duration: time.Since(start),
		Err:      err,
	}
	if resp != nil {
		if !resp.confirmed && !c.confirmed.Load() {
			resp.warn(unconfirmed)
		}
		if resp.confirmed {
			c.confirmed.Store(true)
		}
		a.Warnings, a.MatchQuality = resp.warnings, resp.matchQuality
	}
	c.observe(ctx, a)
	return resp, err
}

// maxRefusalTime is how long the body of a refusal may take after its headers. The
// part that has arrived by then is read.
const maxRefusalTime = time.Second

const unconfirmed = "the platform accepted the request without counting its events: no response of this endpoint has confirmed an event yet"

func (c *Client) post(ctx context.Context, b *body, events int) (status int, r *response, err error) {
	attemptCtx, cancel := context.WithTimeout(ctx, c.cfg.Timeout+time.Duration(events)*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(attemptCtx, http.MethodPost, c.endpoint, b.reader())
	if err != nil {
		return 0, nil, newTransportError(ctx, err)
	}
	req.ContentLength = int64(b.size)
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(b.reader()), nil }
	req.Header = c.header()
	req.Header.Set("Authorization", "Bearer "+c.cfg.APIKey)
	resp, err := apihttp.Do(c.http, req)
	if err != nil {
		return 0, nil, newTransportError(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode >= 300 {
		// The status has refused the request. A body that does not end must not
		// cost the time of an attempt.
		timer := time.AfterFunc(maxRefusalTime, cancel)
		defer timer.Stop()
	}
	// Read the whole body, so that the connection can be reused.
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxResponseBytes+1))
	if err != nil && resp.StatusCode >= 200 && resp.StatusCode < 300 {
		// An incomplete success may hide failures. A retry is safe.
		broken := newTransportError(ctx, err)
		broken.cut = false
		return resp.StatusCode, nil, broken
	}
	got := received{status: resp.StatusCode, header: resp.Header, body: text, events: events, now: time.Now()}
	r, refusal := got.read(c.cfg.Dialect)
	if refusal != nil {
		return resp.StatusCode, nil, refusal
	}
	return resp.StatusCode, r, nil
}

// header returns the headers of a request without Authorization.
func (c *Client) header() http.Header {
	return http.Header{
		"Accept":       {"application/json"},
		"Content-Type": {"application/json"},
		"User-Agent":   {apihttp.UserAgent},
	}
}

// observe reports an attempt to hook and log.
func (c *Client) observe(ctx context.Context, a Attempt) {
	c.callHook(ctx, a)
	level, message := slog.LevelDebug, "capi: request accepted"
	switch {
	case isConfiguration(a.Err):
		level, message = slog.LevelError, "capi: request refused: the configuration is wrong"
	case a.Err != nil:
		level, message = slog.LevelWarn, "capi: request failed"
	case len(a.Warnings) > 0:
		if c.warned.allow(time.Now()) {
			level, message = slog.LevelWarn, "capi: request accepted with warnings"
		}
	}
	if !c.cfg.Logger.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("host", a.Host), slog.Int("attempt", a.Number), slog.Int("events", a.Events),
		slog.Int("bytes", a.Bytes), slog.Int("status", a.Status), slog.Duration("duration", a.Duration),
	}
	if len(a.Warnings) > 0 {
		attrs = append(attrs, slog.Int("warnings", len(a.Warnings)), slog.String("warning", a.Warnings[0]))
	}
	if a.MatchQuality != nil {
		attrs = append(attrs, slog.Float64("match_quality", *a.MatchQuality))
	}
	if a.Err != nil {
		attrs = append(attrs, slog.Any("error", a.Err))
	}
	c.cfg.Logger.LogAttrs(ctx, level, message, attrs...)
}

// callHook calls the application's hook and recovers from its panic.
func (c *Client) callHook(ctx context.Context, a Attempt) {
	if c.cfg.Hook == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			// The panic's value may be personal, but its stack is not.
			c.cfg.Logger.ErrorContext(ctx, "capi: the Hook panicked", "stack", string(debug.Stack()))
		}
	}()
	c.cfg.Hook(ctx, a)
}
