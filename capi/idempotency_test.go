package capi_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

// A request after a verdict of the platform has a key of its own, since the
// platform repeats its response to a key that it knows.
func TestClient_keyAfterVerdict(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		response func() (*http.Response, error)
		newKey   bool
	}{
		{"no response", platformtest.Broken(io.ErrUnexpectedEOF), false},
		{"429", platformtest.Reply(429, `{"error":{"code":"RATE_LIMITED"}}`), false},
		{"503", platformtest.Reply(503, `{"error":{"code":"SERVICE_UNAVAILABLE"}}`), false},
		{"502 HTML", platformtest.Reply(502, `<html>`), false},
		{"in flight", platformtest.Reply(409, `{"error":{"code":"IDEMPOTENCY_IN_FLIGHT"}}`), false},
		{"500", platformtest.Reply(500, `{"error":{"code":"INTERNAL_ERROR"}}`), true},
		{"expired", platformtest.Reply(409, `{"error":{"code":"IDEMPOTENCY_EXPIRED"}}`), true},
		{"conflict", platformtest.Reply(409, `{"error":{"code":"CONFLICT"}}`), true},
		{"idempotency conflict", platformtest.Reply(400, `{"errors":[{"code":"IDEMPOTENCY_CONFLICT"}]}`), true},
		{"a transient partial failure", platformtest.Reply(200, `{"events_received":1,"partial_failures":[{"event_id":"1","code":"X","recovery":"transient"}]}`), true},
		{"none received", platformtest.Reply(200, `{"events_received":0}`), true},
		{"working", platformtest.Reply(200, `{"status":"working"}`), true},
	}
	key := func(body []byte) string {
		var request struct {
			Key string `json:"idempotency_key"`
		}
		require.NoError(t, json.Unmarshal(body, &request))
		return request.Key
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := platformtest.Responding(tt.response, platformtest.OK())
			c := newClient(t, p, logEvent, func(cfg *capi.Config) { cfg.Retry = capi.Retry{Attempts: 3, BaseDelay: 1, MaxDelay: 1} })
			report, err := c.Send(context.Background(), purchase("1"))
			require.NoError(t, err)
			require.True(t, report.Accepted())
			require.Len(t, p.Bodies, 2)
			require.Equal(t, tt.newKey, key(p.Bodies[0]) != key(p.Bodies[1]))
			want := 1
			if tt.newKey {
				want = 2
			}
			require.Equal(t, want, report.Results[0].Responses)
		})
	}
	t.Run("from an outbox", func(t *testing.T) {
		t.Parallel()
		p := platformtest.Responding(platformtest.OK())
		c := newClient(t, p, logEvent)
		for _, responses := range []int{0, 0, 1} {
			_, err := c.Deliver(context.Background(), []clickid.QueuedEvent{{Event: purchase("1"), Responses: responses}})
			require.NoError(t, err)
		}
		require.Equal(t, p.Bodies[0], p.Bodies[1])
		require.NotEqual(t, key(p.Bodies[0]), key(p.Bodies[2]))
	})
	t.Run("of another destination", func(t *testing.T) {
		t.Parallel()
		var keys []string
		for _, env := range []capi.Environment{capi.EnvironmentProduction, capi.EnvironmentStaging} {
			p := platformtest.Responding(platformtest.OK())
			_, err := newClient(t, p, logEvent, func(cfg *capi.Config) { cfg.Environment = env }).Send(context.Background(), purchase("1"))
			require.NoError(t, err)
			keys = append(keys, key(p.Bodies[0]))
		}
		require.NotEqual(t, keys[0], keys[1])
	})
}
