//go:build go1.25

package capi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/stretchr/testify/require"
)

// inProcess passes requests to the receiver without a network, so that all
// goroutines wait for each other and the test's clock can advance.
type inProcess struct{ receiver *clickidtest.Receiver }

func (p inProcess) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	w := &halfway{ResponseRecorder: httptest.NewRecorder()}
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		if cause != http.ErrAbortHandler {
			panic(cause)
		}
		if err = r.Context().Err(); err == nil {
			err = io.EOF
		}
		if w.flushed {
			resp, err = w.Result(), nil
			resp.Body = io.NopCloser(io.MultiReader(resp.Body, cutBody{}))
		}
	}()
	p.receiver.ServeHTTP(w, r)
	return w.Result(), nil
}

// halfway records that the response was written before the handler ended.
type halfway struct {
	*httptest.ResponseRecorder
	flushed bool
}

func (w *halfway) Flush() { w.flushed = true }

// cutBody is the rest of a response whose connection was cut.
type cutBody struct{}

func (cutBody) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// inBubble runs test with a fake clock, a receiver and a client. The clock
// starts at 2000-01-01 00:00.
func inBubble(t *testing.T, d capi.Dialect, edit func(*capi.Config), test func(t *testing.T, r *clickidtest.Receiver, c *capi.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg := capi.Config{APIKey: clickidtest.APIKey, Dialect: d, Logger: slog.New(slog.DiscardHandler)}
		receiverConfig := clickidtest.Config{}
		if l, ok := d.(capi.LogEvent); ok && l.AdvertiserID != "" {
			receiverConfig.RateLimit = clickidtest.RateLimit{Requests: 100, Per: time.Minute}
		}
		receiver := clickidtest.New(receiverConfig)
		cfg.HTTPClient = &http.Client{Transport: inProcess{receiver}}
		if edit != nil {
			edit(&cfg)
		}
		c, err := capi.New(cfg)
		require.NoError(t, err)
		test(t, receiver, c)
	})
}

// fresh returns n new purchases.
func fresh(n int) []clickid.Event {
	events := numbered(n)
	for i := range events {
		events[i].Time = time.Now()
	}
	return events
}

// waits returns the times between the requests.
func waits(r *clickidtest.Receiver) []time.Duration {
	requests := r.Requests()
	var list []time.Duration
	for i := 1; i < len(requests); i++ {
		list = append(list, requests[i].At.Sub(requests[i-1].At))
	}
	return list
}

func statusesOf(r *clickidtest.Receiver) []int {
	var list []int
	for _, request := range r.Requests() {
		list = append(list, request.Status)
	}
	return list
}

// bodiesOf is a transport that records the sent bodies.
type bodiesOf struct {
	next   http.RoundTripper
	bodies [][]byte
}

func (b *bodiesOf) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	b.bodies = append(b.bodies, body)
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	return b.next.RoundTrip(r)
}

// TestRetry has a row for each kind of failure.
func TestRetry(t *testing.T) {
	t.Parallel()
	status := func(status int) clickidtest.Fault { return clickidtest.Fault{Status: status} }
	recovery := func(status int, code, recovery string) clickidtest.Fault {
		return clickidtest.Fault{Status: status, Error: clickidtest.Error{Code: code, Recovery: recovery}}
	}
	tests := []struct {
		name    string
		fault   clickidtest.Fault
		retried bool
	}{
		{"408", status(408), true}, {"425", status(425), true}, {"429", status(429), true},
		{"500", status(500), true}, {"502", status(502), true}, {"503", status(503), true}, {"504", status(504), true}, {"599", status(599), true},
		{"409 CONFLICT", recovery(409, "CONFLICT", ""), true},
		{"a cut before the request was read", clickidtest.Fault{Cut: clickidtest.CutBeforeReading}, true},
		{"a cut after the request was read", clickidtest.Fault{Cut: clickidtest.CutAfterReading}, true},
		{"a cut instead of the response", clickidtest.Fault{Cut: clickidtest.CutAfterProcessing}, true},
		{"a cut in the response", clickidtest.Fault{Cut: clickidtest.CutMidResponse}, true},
		{"no response in time", clickidtest.Fault{Latency: 6 * time.Second}, true},
		{"transient by its own word", recovery(400, "BUSY", "transient"), true},
		{"transient inside a success", recovery(200, "BUSY", "transient"), true},
		{"an unknown code without recovery inside a success", recovery(200, "SOMETHING_NEW", ""), true},
		{"RATE_LIMITED inside a success", recovery(200, "RATE_LIMITED", ""), true},
		{"a response just in time", clickidtest.Fault{Latency: 2 * time.Second}, false},
		{"correctable", recovery(200, "SOMETHING_NEW", "correctable"), false},
		{"terminal", recovery(200, "SOMETHING_NEW", "terminal"), false},
		{"301", status(301), false}, {"302", status(302), false}, {"307", status(307), false}, {"308", status(308), false},
		{"400", status(400), false}, {"401", status(401), false}, {"402", status(402), false}, {"403", status(403), false},
		{"404", status(404), false}, {"405", status(405), false}, {"410", status(410), false},
		{"413", status(413), false}, {"415", status(415), false}, {"422", status(422), false},
		{"202", status(202), false}, {"204", status(204), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, receiverLogEvent, nil, func(t *testing.T, r *clickidtest.Receiver, c *capi.Client) {
				r.Next(tt.fault)
				report, err := c.Send(context.Background(), fresh(1)...)
				if !tt.retried {
					require.Len(t, r.Requests(), 1)
					return
				}
				require.NoError(t, err)
				require.True(t, report.Accepted())
				require.Len(t, r.Requests(), 2)
				require.Equal(t, 1, r.Count())
			})
		})
	}
}

// TestRetry_backoff checks the exponential backoff with equal jitter: the limits
// of the waits double up to the maximum.
func TestRetry_backoff(t *testing.T) {
	t.Parallel()
	bounds := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second}
	longest := make([]time.Duration, len(bounds))
	for range 50 {
		retry := func(cfg *capi.Config) {
			cfg.Retry = capi.Retry{Attempts: 6, BaseDelay: time.Second, MaxDelay: 5 * time.Second}
		}
		inBubble(t, receiverECAPI, retry, func(t *testing.T, r *clickidtest.Receiver, c *capi.Client) {
			r.Always(clickidtest.Fault{Status: 503})
			_, err := c.Send(context.Background(), fresh(1)...)
			var refusal *capi.ResponseError
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, clickid.SendErrorTemporary, refusal.Kind())
			list := waits(r)
			require.Len(t, list, len(bounds), "six attempts")
			for i, wait := range list {
				require.LessOrEqual(t, wait, bounds[i])
				require.GreaterOrEqual(t, wait, bounds[i]/2)
				longest[i] = max(longest[i], wait)
			}
		})
	}
	for i := range bounds {
		require.Greater(t, longest[i], bounds[i]*3/4, "the waits reach the limit")
	}
}

func TestRetry_sameBytes(t *testing.T) {
	t.Parallel()
	for _, d := range []capi.Dialect{receiverECAPI, receiverLogEvent} {
		sent := &bodiesOf{}
		keep := func(cfg *capi.Config) {
			sent.next = cfg.HTTPClient.Transport
			cfg.HTTPClient = &http.Client{Transport: sent}
		}
		inBubble(t, d, keep, func(t *testing.T, r *clickidtest.Receiver, c *capi.Client) {
			r.Next(clickidtest.Fault{Status: 503}, clickidtest.Fault{Cut: clickidtest.CutAfterProcessing}, clickidtest.Fault{Cut: clickidtest.CutMidResponse})
			_, err := c.Send(context.Background(), fresh(1)...)
			require.NoError(t, err)
			require.Len(t, sent.bodies, 4)
			for _, body := range sent.bodies {
				require.Equal(t, sent.bodies[0], body)
			}
			require.Equal(t, 1, r.Count())
			_, keyed := d.(capi.LogEvent)
			require.Equal(t, keyed, r.Requests()[3].Replayed, "the platform recognises the idempotency key")
		})
	}
}

// TestRetryAfter checks that the client waits as long as the platform asks,
// without using an attempt.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		dialect capi.Dialect
		fault   clickidtest.Fault
		wait    time.Duration
	}{
		{"seconds", receiverECAPI, clickidtest.Fault{Status: 429, Header: http.Header{"Retry-After": {"7"}}}, 7 * time.Second},
		{"a date", receiverECAPI, clickidtest.Fault{Status: 503, Header: http.Header{"Retry-After": {"Sat, 01 Jan 2000 00:00:08 GMT"}}}, 8 * time.Second},
		{"retry_after, rounded up", receiverLogEvent, clickidtest.Fault{Status: 429, Error: clickidtest.Error{RetryAfter: 2.2}}, 3 * time.Second},
		{"retry_after inside a success", receiverLogEvent, clickidtest.Fault{Error: clickidtest.Error{Code: "RATE_LIMITED", RetryAfter: 4}}, 4 * time.Second},
		{"retry_after, wrapped", receiverInterchange, clickidtest.Fault{Status: 503, Error: clickidtest.Error{RetryAfter: 5}}, 5 * time.Second},
		{"the longer of both", receiverLogEvent, clickidtest.Fault{Status: 429, Header: http.Header{"Retry-After": {"3"}}, Error: clickidtest.Error{RetryAfter: 6}}, 6 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			twice := func(cfg *capi.Config) { cfg.Retry.Attempts = 2 }
			inBubble(t, tt.dialect, twice, func(t *testing.T, r *clickidtest.Receiver, c *capi.Client) {
				r.Next(tt.fault)
				_, err := c.Send(context.Background(), fresh(1)...)
				require.NoError(t, err)
				require.Equal(t, []time.Duration{tt.wait}, waits(r))
			})
		})
	}
}

// TestRetryAfter_useless checks that a Retry-After without a usable time uses
// the backoff and an attempt.
func TestRetryAfter_useless(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"0", "-5", "soon", "", "Fri, 31 Dec 1999 23:59:00 GMT", "1e3", "0x10"} {
		thrice := func(cfg *capi.Config) { cfg.Retry = capi.Retry{Attempts: 3, BaseDelay: time.Second} }
		inBubble(t, receiverECAPI, thrice, func(t *testing.T, r *clickidtest.Receiver, c *capi.Client) {
			r.Always(clickidtest.Fault{Status: 429, Header: http.Header{"Retry-After": {value}}})
			_, err := c.Send(context.Background(), fresh(1)...)
			require.Error(t, err)
			list := waits(r)
			require.Len(t, list, 2, value)
			require.LessOrEqual(t, list[0], time.Second)
			require.LessOrEqual(t, list[1], 2*time.Second)
		})
	}
}

func TestRetryAfter_attempts(t *testing.T) {
	t.Parallel()
	twice := func(cfg *capi.Config) { cfg.Retry.Attempts = 2 }
	inBubble(t, receiverECAPI, twice, func(t *testing.T, r *clickidtest.Receiver, c *capi.Client) {
		r.Next(clickidtest.Fault{Status: 429, Header: http.Header{"Retry-After": {"4"}}, Times: 5}, clickidtest.Fault{Status: 500})
		_, err := c.Send(context.Background(), fresh(1)...)
		require.NoError(t, err)
		require.Len(t, r.Requests(), 7)
	})
}

// TestRetryAfter_deadline checks that Send does not begin a wait that ends
// after its deadline. The error has the length of the wait, and the other
// events are not sent.
func TestRetryAfter_deadline(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		edit  func(*capi.Config)
		ctx   time.Duration // 0 for no deadline
		waits bool
	}{
		{"the default total", nil, 0, false},
		{"a larger total", func(cfg *capi.Config) { cfg.TotalTimeout = 2 * time.Minute }, 0, true},
		{"the caller's own deadline", nil, 2 * time.Minute, true},
		{"the caller's own shorter deadline", func(cfg *capi.Config) { cfg.TotalTimeout = 2 * time.Minute }, 59 * time.Second, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, receiverECAPI, func(cfg *capi.Config) {
				cfg.Concurrency = 1
				if tt.edit != nil {
					tt.edit(cfg)
				}
			}, func(t *testing.T, r *clickidtest.Receiver, c *capi.Client) {
				ctx := context.Background()
				if tt.ctx > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.ctx)
					defer cancel()
				}
				r.Next(clickidtest.Fault{Status: 429, Header: http.Header{"Retry-After": {"60"}}})
				start := time.Now()
				report, err := c.Send(ctx, fresh(3)...)
				if tt.waits {
					require.NoError(t, err)
					require.Equal(t, time.Minute, time.Since(start))
					require.Equal(t, 3, r.Count())
					return
				}
				require.Zero(t, time.Since(start), "it does not block the checkout")
				var refusal *capi.ResponseError
				require.ErrorAs(t, err, &refusal)
				require.Equal(t, time.Minute, refusal.RetryAfter())
				require.Equal(t, []int{429}, statusesOf(r))
				for i, result := range report.Results {
					require.Equal(t, clickid.VerdictFailed, result.Verdict)
					require.Equal(t, i > 0, errors.Is(result.Err, capi.ErrNotSent))
				}
			})
		})
	}
}

// TestConvert_totalTimeout checks that Convert ends within its total timeout
// and continues when the visitor leaves.
func TestConvert_totalTimeout(t *testing.T) {
	t.Parallel()
	faults := map[string]func() clickidtest.Fault{
		"no response": func() clickidtest.Fault { return clickidtest.Fault{Hold: make(chan struct{})} },
		"a long wait asked": func() clickidtest.Fault {
			return clickidtest.Fault{Status: 503, Header: http.Header{"Retry-After": {"11"}}}
		},
		"endless slow errors": func() clickidtest.Fault { return clickidtest.Fault{Status: 500, Latency: 3 * time.Second} },
	}
	for name, fault := range faults {
		for _, limit := range []time.Duration{0, 2 * time.Second} {
			t.Run(name+" "+limit.String(), func(t *testing.T) {
				t.Parallel()
				inBubble(t, receiverECAPI, nil, func(t *testing.T, r *clickidtest.Receiver, c *capi.Client) {
					r.Always(fault())
					var options []clickid.ConvertOption
					want := clickid.DefaultConvertTimeout
					if limit > 0 {
						options, want = append(options, clickid.ConvertTimeout(limit)), limit
					}
					ctx, leave := context.WithCancel(clickid.WithClick(context.Background(), testClick))
					leave() // the visitor closes the page
					e := fresh(1)[0]
					e.Click = clickid.Click{}
					start := time.Now()
					result, err := clickid.Convert(ctx, c, e, options...)
					require.Error(t, err)
					require.Equal(t, clickid.VerdictFailed, result.Verdict)
					require.LessOrEqual(t, time.Since(start), want)
					require.NotEmpty(t, r.Requests())
				})
			})
		}
	}
}

// TestRetry_cancel cancels a caller's context during a backoff.
func TestRetry_cancel(t *testing.T) {
	t.Parallel()
	inBubble(t, receiverECAPI, nil, func(t *testing.T, r *clickidtest.Receiver, c *capi.Client) {
		r.Always(clickidtest.Fault{Status: 429, Header: http.Header{"Retry-After": {"20"}}})
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(3*time.Second, cancel)
		start := time.Now()
		_, err := c.Send(ctx, fresh(1)...)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, "429")
		require.Equal(t, 3*time.Second, time.Since(start))
		require.Len(t, r.Requests(), 1)
	})
}

func TestRetry_oneAttempt(t *testing.T) {
	t.Parallel()
	once := func(cfg *capi.Config) { cfg.Retry.Attempts = 1 }
	for _, fault := range []clickidtest.Fault{{Status: 503}, {Status: 429, Header: http.Header{"Retry-After": {"1"}}}, {Cut: clickidtest.CutAfterReading}} {
		inBubble(t, receiverECAPI, once, func(t *testing.T, r *clickidtest.Receiver, c *capi.Client) {
			r.Next(fault)
			start := time.Now()
			_, err := c.Send(context.Background(), fresh(1)...)
			require.Error(t, err)
			require.Zero(t, time.Since(start))
			require.Len(t, r.Requests(), 1)
		})
	}
}

// TestRateLimit_published checks that the client keeps the published limit of
// Interchange, 100 requests per minute.
func TestRateLimit_published(t *testing.T) {
	t.Parallel()
	one := func(cfg *capi.Config) { cfg.MaxBatchEvents, cfg.TotalTimeout = 1, time.Hour }
	inBubble(t, receiverInterchange, one, func(t *testing.T, r *clickidtest.Receiver, c *capi.Client) {
		start := time.Now()
		report, err := c.Send(context.Background(), fresh(350)...)
		require.NoError(t, err)
		require.True(t, report.Accepted())
		require.Equal(t, 350, r.Count())
		require.NotContains(t, statusesOf(r), 429)
		require.Less(t, time.Since(start), 4*time.Minute+15*time.Second, "the limit is used")
		requests := r.Requests()
		for i := 100; i < len(requests); i++ {
			require.Greater(t, requests[i].At.Sub(requests[i-100].At), time.Minute-time.Millisecond)
		}
	})
}

// TestRateLimit_retryAfter covers an endpoint without a published limit that
// responds with 429.
func TestRateLimit_retryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		receiver := clickidtest.New(clickidtest.Config{RateLimit: clickidtest.RateLimit{Requests: 10, Per: time.Minute}})
		c, err := capi.New(capi.Config{
			APIKey: clickidtest.APIKey, Dialect: receiverECAPI, TotalTimeout: time.Hour,
			HTTPClient: &http.Client{Transport: inProcess{receiver}},
		})
		require.NoError(t, err)
		report, err := c.Send(context.Background(), fresh(35)...)
		require.NoError(t, err)
		require.True(t, report.Accepted())
		require.Equal(t, 35, receiver.Count())
		refused := 0
		for _, status := range statusesOf(receiver) {
			if status == http.StatusTooManyRequests {
				refused++
			}
		}
		require.LessOrEqual(t, refused, 3*8, "each minute costs one refusal per concurrent request")
	})
}
