package clickid_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// fullEvent has every field of an event.
func fullEvent() clickid.Event {
	e := purchase("order-1001")
	e.Value = clickid.Decimal("149.90", "USD")
	e.Source = clickid.InStore
	e.User = clickid.User{
		ExternalID:  "customer-42",
		IDs:         []clickid.UserID{clickid.RampID("XY1000bIVBVah9ium"), clickid.ID5("ID5*abc"), {Type: clickid.UserIDUID2, Value: "uid2token"}},
		HashedEmail: "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514",
		HashedPhone: "7c8d08bf90ca322bcac37f99ba14e980e4b1f5ba919f7e16a030af9070ba125e",
		IP:          "203.0.113.7",
		UserAgent:   "Mozilla/5.0",
		GPP:         "DBAA",
		GPPSections: []int{7},
	}
	e.OrderID = "1001"
	e.Items = []clickid.Item{
		{ID: "sku-1", Name: "Boots", Brand: "Acme", Category: "Shoes", Quantity: 2, Price: clickid.Decimal("49.95", "USD")},
		{ID: "sku-2", Quantity: 1, Price: clickid.Minor(5000, "USD")},
	}
	e.PageURL = "https://shop.test/thanks?order=1001&email=x#top"
	e.Properties = map[string]any{"coupon": []string{"SPRING & CO"}, "tax": json.Number("12.40"), "content_name": "Boots <3", "first_order": true}
	return e
}

func TestGoldenRequests(t *testing.T) {
	t.Parallel()
	minimal := purchase("order-1001")
	tests := []struct {
		name    string
		dialect clickid.Dialect
		events  []clickid.Event
		url     string
		edit    func(*clickid.ClientConfig)
	}{
		{name: "ecapi_minimal", dialect: ecapi, events: []clickid.Event{minimal}, url: "https://ping.scope3.com/agentic/v1/events"},
		{name: "ecapi_full", dialect: ecapi, events: []clickid.Event{fullEvent()}, url: "https://ping.scope3.com/agentic/v1/events"},
		{
			name:    "ecapi_iab",
			dialect: clickid.ECAPI{DataSetID: "ds_abc123xyz", IAB: true, Currency: clickid.CurrencyCodeField, Path: "/v2/events"},
			events:  []clickid.Event{fullEvent()}, url: "https://events.example.com/base/v2/events",
			edit: func(cfg *clickid.ClientConfig) {
				cfg.BaseURL, cfg.KeepPageQuery = "https://events.example.com/base/", true
			},
		},
		{
			name: "logevent_minimal", dialect: logEvent, events: []clickid.Event{minimal}, url: "https://ping.staging.scope3.com/agentic/v1/capi",
			edit: func(cfg *clickid.ClientConfig) { cfg.Environment = clickid.Staging },
		},
		{name: "logevent_full", dialect: logEvent, events: []clickid.Event{fullEvent(), purchase("order-1002")}, url: "https://ping.scope3.com/agentic/v1/capi"},
		{
			name:    "logevent_interchange",
			dialect: clickid.LogEvent{EventSourceID: "shop", AdvertiserID: "adv-7", TestEventCode: "TEST1", ClickIDType: "sc3clid"},
			events:  []clickid.Event{minimal}, url: "https://api.interchange.io/api/v2/buyer/advertisers/adv-7/log-event",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := answering(ok())
			edit := func(cfg *clickid.ClientConfig) {}
			if tt.edit != nil {
				edit = tt.edit
			}
			report, err := newClient(t, p, tt.dialect, edit).Send(context.Background(), tt.events...)
			require.NoError(t, err)
			require.True(t, report.Accepted())
			require.Len(t, p.requests, 1)
			require.Equal(t, http.MethodPost, p.requests[0].Method)
			require.Equal(t, tt.url, p.requests[0].URL.String())
			require.Equal(t, http.Header{
				"Accept":        {"application/json"},
				"Authorization": {"Bearer " + testKey},
				"Content-Type":  {"application/json"},
				"User-Agent":    {"clickid-go (+https://github.com/clickid/clickid)"},
			}, p.requests[0].Header)
			golden(t, tt.name+".json", indented(t, p.bodies[0])+"\n")
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

// The idempotency key is a function of the rest of the body.
func TestIdempotencyKeyIsDerivedFromTheBody(t *testing.T) {
	t.Parallel()
	p := answering(ok())
	c := newClient(t, p, logEvent)
	for _, id := range []string{"1", "1", "2"} {
		_, err := c.Send(context.Background(), purchase(id))
		require.NoError(t, err)
	}
	require.Equal(t, p.bodies[0], p.bodies[1])
	require.NotEqual(t, key(t, p.bodies[0]), key(t, p.bodies[2]))
	rest := strings.Replace(string(p.bodies[0]), `{"idempotency_key":"`+key(t, p.bodies[0])+`",`, "", 1)
	sum := sha256.Sum256([]byte(rest))
	require.Equal(t, hex.EncodeToString(sum[:]), key(t, p.bodies[0]))
}

func key(t *testing.T, body []byte) string {
	var request struct {
		Key string `json:"idempotency_key"`
	}
	require.NoError(t, json.Unmarshal(body, &request))
	require.Regexp(t, `^[A-Za-z0-9_.:-]{16,255}$`, request.Key)
	return request.Key
}
