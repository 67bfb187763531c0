package capi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

// hangingPlatform takes requests and does not respond while it hangs.
type hangingPlatform struct {
	hangs    atomic.Bool
	requests atomic.Int32
}

func (p *hangingPlatform) RoundTrip(r *http.Request) (*http.Response, error) {
	p.requests.Add(1)
	if p.hangs.Load() {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	resp, err := platformtest.OK()()
	resp.Request = r
	return resp, err
}

func TestConvert_hangingPlatform(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &hangingPlatform{}
		p.hangs.Store(true)
		client := newClient(t, nil, logEvent, func(cfg *capi.Config) {
			cfg.HTTPClient = &http.Client{Transport: p}
			cfg.Timeout, cfg.TotalTimeout = 0, 0 // the defaults
		})
		ctx := clickid.WithClick(context.Background(), testClick)
		order := func() (clickid.Result, time.Duration, error) {
			e := purchase("order")
			e.Click, e.Time = clickid.Click{}, time.Now()
			start := time.Now()
			result, err := clickid.Convert(ctx, client, e)
			return result, time.Since(start), err
		}
		var group sync.WaitGroup
		for range 40 {
			group.Add(1)
			go func() {
				defer group.Done()
				result, took, err := order()
				require.Error(t, err)
				require.Equal(t, clickid.VerdictFailed, result.Verdict)
				require.LessOrEqual(t, took, 7*time.Second)
			}()
		}
		group.Wait()
		// Once that is known, a checkout does not wait.
		_, took, err := order()
		require.ErrorIs(t, err, capi.ErrHanging)
		require.ErrorIs(t, err, capi.ErrNotSent)
		require.Zero(t, took)
		// One request probes, and ends it.
		p.hangs.Store(false)
		time.Sleep(20 * time.Second)
		before := p.requests.Load()
		_, took, err = order()
		require.NoError(t, err)
		require.Zero(t, took)
		require.Equal(t, before+1, p.requests.Load())
	})
}

// A job that can wait makes all its attempts.
func TestClient_ignoreHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &hangingPlatform{}
		p.hangs.Store(true)
		client := newClient(t, nil, logEvent, func(cfg *capi.Config) {
			cfg.HTTPClient = &http.Client{Transport: p}
			cfg.Timeout, cfg.TotalTimeout = 30*time.Second, time.Hour
			cfg.Retry = capi.Retry{Attempts: 20, IgnoreHanging: true}
		})
		e := purchase("order")
		e.Time = time.Now()
		_, err := client.Send(t.Context(), e)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, capi.ErrHanging)
		require.Equal(t, int32(20), p.requests.Load())
	})
}

// A refusal whose body does not end costs a second, not the time of an attempt. The
// part that has arrived is read.
func TestConvert_endlessRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, nil, logEvent, func(cfg *capi.Config) {
			cfg.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				body, err := json.Marshal(map[string]any{"errors": []any{map[string]any{"code": "RATE_LIMITED"}}})
				return &http.Response{
					StatusCode: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"120"}}, Request: r,
					Body: io.NopCloser(io.MultiReader(bytes.NewReader(body), untilDone{r.Context()})),
				}, err
			})}
			cfg.Timeout, cfg.TotalTimeout = time.Minute, time.Minute
		})
		e := purchase("order")
		e.Time = time.Now()
		start := time.Now()
		_, err := client.Send(t.Context(), e)
		require.Equal(t, time.Second, time.Since(start))
		refusal := (*capi.ResponseError)(nil)
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, http.StatusServiceUnavailable, refusal.Status())
		require.Contains(t, string(refusal.Body), "RATE_LIMITED")
		require.Equal(t, 2*time.Minute, refusal.RetryAfter())
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// untilDone is a body that sends nothing.
type untilDone struct{ ctx context.Context }

func (u untilDone) Read([]byte) (int, error) {
	<-u.ctx.Done()
	return 0, u.ctx.Err()
}
