package capi_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

func TestGoldenRequests(t *testing.T) {
	t.Parallel()
	minimal := purchase("order-1001")
	tests := []struct {
		name    string
		dialect capi.Dialect
		events  []clickid.Event
		url     string
		edit    func(*capi.Config)
	}{
		{name: "ecapi_minimal", dialect: ecapi, events: []clickid.Event{minimal}, url: "https://ping.scope3.com/agentic/v1/events"},
		{name: "ecapi_full", dialect: ecapi, events: []clickid.Event{fullEvent()}, url: "https://ping.scope3.com/agentic/v1/events"},
		{
			name:    "ecapi_iab",
			dialect: capi.ECAPI{DataSetID: "ds_abc123xyz", IAB: true, Currency: capi.CurrencyMemberCode, Path: "/v2/events"},
			events:  []clickid.Event{fullEvent()}, url: "https://events.example.com/base/v2/events",
			edit: func(cfg *capi.Config) {
				cfg.BaseURL, cfg.KeepPageQuery = "https://events.example.com/base/", true
			},
		},
		{
			name: "logevent_minimal", dialect: logEvent, events: []clickid.Event{minimal}, url: "https://ping.staging.scope3.com/agentic/v1/capi",
			edit: func(cfg *capi.Config) { cfg.Environment = capi.EnvironmentStaging },
		},
		{name: "logevent_full", dialect: logEvent, events: []clickid.Event{fullEvent(), purchase("order-1002")}, url: "https://ping.scope3.com/agentic/v1/capi"},
		{
			name:    "logevent_interchange",
			dialect: capi.LogEvent{EventSourceID: "shop", AdvertiserID: "adv-7", TestEventCode: "TEST1", ClickIDType: "sc3clid"},
			events:  []clickid.Event{minimal}, url: "https://api.interchange.io/api/v2/buyer/advertisers/adv-7/log-event",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := platformtest.Responding(platformtest.OK())
			edit := func(cfg *capi.Config) {}
			if tt.edit != nil {
				edit = tt.edit
			}
			report, err := newClient(t, p, tt.dialect, edit).Send(context.Background(), tt.events...)
			require.NoError(t, err)
			require.True(t, report.Accepted())
			require.Len(t, p.Requests, 1)
			require.Equal(t, http.MethodPost, p.Requests[0].Method)
			require.Equal(t, tt.url, p.Requests[0].URL.String())
			require.Equal(t, http.Header{
				"Accept":        {"application/json"},
				"Authorization": {"Bearer " + testKey},
				"Content-Type":  {"application/json"},
				"User-Agent":    {"clickid-go (+https://github.com/clickid/clickid)"},
			}, p.Requests[0].Header)
			golden(t, tt.name+".json", indented(t, p.Bodies[0])+"\n")
		})
	}
}

// golden compares with a file in testdata; CLICKID_UPDATE_GOLDEN=1 writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("CLICKID_UPDATE_GOLDEN") != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// The idempotency key is a keyed hash of endpoint, verdicts and the rest of the
// body.
func TestClient_idempotencyKey(t *testing.T) {
	t.Parallel()
	p := platformtest.Responding(platformtest.OK())
	c := newClient(t, p, logEvent)
	for _, id := range []string{"1", "1", "2"} {
		_, err := c.Send(context.Background(), purchase(id))
		require.NoError(t, err)
	}
	require.Equal(t, p.Bodies[0], p.Bodies[1])
	require.NotEqual(t, key(t, p.Bodies[0]), key(t, p.Bodies[2]))
	rest := strings.Replace(string(p.Bodies[0]), `{"idempotency_key":"`+key(t, p.Bodies[0])+`",`, "", 1)
	mac := hmac.New(sha256.New, []byte(testKey))
	mac.Write([]byte("https://ping.scope3.com/agentic/v1/capi\x000\x00" + rest))
	require.Equal(t, hex.EncodeToString(mac.Sum(nil)), key(t, p.Bodies[0]))
}

func key(t *testing.T, body []byte) string {
	var request struct {
		Key string `json:"idempotency_key"`
	}
	require.NoError(t, json.Unmarshal(body, &request))
	require.Regexp(t, `^[A-Za-z0-9_.:-]{16,255}$`, request.Key)
	return request.Key
}
