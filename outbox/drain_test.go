package outbox_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clickid/clickid/outbox"
	"github.com/stretchr/testify/require"
)

// undrainable is an outbox without a method Drain.
type undrainable struct{ outbox.Outbox }

func TestDrain_unsupported(t *testing.T) {
	t.Parallel()
	_, err := outbox.Drain(context.Background(), undrainable{})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, "outbox: draining: ")
}

func newMemory(t testing.TB, p http.RoundTripper) *outbox.Memory {
	t.Helper()
	ob, err := outbox.NewMemory(outbox.MemoryConfig{
		Delivery:   outbox.Config{Destination: newClient(t, p, logEvent), Logger: slog.New(slog.DiscardHandler)},
		AcceptLoss: true,
	})
	require.NoError(t, err)
	return ob
}

// TestDrain_unavailable checks that a drain does not wait for the platform.
func TestDrain_unavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform()
		p.set(reply(http.StatusServiceUnavailable, ""))
		ob := newMemory(t, p)
		sendAll(t, ob, purchases(100))
		begun := time.Now()
		drained, err := ob.Drain(t.Context())
		require.NoError(t, err)
		require.Equal(t, outbox.Drained{Remaining: 100}, drained)
		require.Less(t, time.Since(begun), time.Second)
		p.set(nil)
		time.Sleep(time.Minute)
		drained, err = ob.Drain(t.Context())
		require.NoError(t, err)
		require.Equal(t, outbox.Drained{Settled: 100}, drained)
	})
}

// TestDrain_limit checks that a drain ends with its context and loses nothing.
func TestDrain_limit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlatform()
		p.set(hang)
		ob := newMemory(t, p)
		sendAll(t, ob, purchases(3))
		w := httptest.NewRecorder()
		begun := time.Now()
		outbox.DrainHandler(ob, time.Second).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/drain", nil))
		require.Equal(t, time.Second, time.Since(begun))
		require.Equal(t, http.StatusOK, w.Code)
		require.JSONEq(t, `{"settled":0,"remaining":3}`, w.Body.String())
		p.set(nil)
		time.Sleep(time.Minute)
		drained, err := ob.Drain(t.Context())
		require.NoError(t, err)
		require.Equal(t, outbox.Drained{Settled: 3}, drained)
	})
}

// hangingDrain is an outbox whose database does not respond.
type hangingDrain struct{ outbox.Outbox }

func (hangingDrain) Drain(ctx context.Context) (outbox.Drained, error) {
	<-ctx.Done()
	return outbox.Drained{}, ctx.Err()
}

func TestDrainHandler_hanging(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	outbox.DrainHandler(hangingDrain{}, time.Millisecond).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/drain", nil))
	require.Equal(t, http.StatusInternalServerError, w.Code)
}

func TestDrainHandler(t *testing.T) {
	t.Parallel()
	ob := newMemory(t, newPlatform())
	h := outbox.DrainHandler(ob, time.Minute)
	for _, tt := range []struct {
		method string
		status int
		body   string
	}{
		{http.MethodPost, http.StatusOK, `{"settled":2,"remaining":0}`},
		{http.MethodGet, http.StatusOK, `{"settled":0,"remaining":0}`},
		{http.MethodHead, http.StatusMethodNotAllowed, ""},
		{http.MethodDelete, http.StatusMethodNotAllowed, ""},
	} {
		if tt.method == http.MethodPost {
			sendAll(t, ob, purchases(2))
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tt.method, "/drain", nil))
		require.Equal(t, tt.status, w.Code, tt.method)
		if tt.body != "" {
			require.JSONEq(t, tt.body, w.Body.String())
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		}
	}

	require.NoError(t, ob.Start(t.Context()))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/drain", nil))
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Equal(t, "draining failed; the log has the reason\n", w.Body.String())
	_, err := ob.Stop(t.Context())
	require.NoError(t, err)
}
