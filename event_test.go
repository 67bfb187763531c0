package clickid_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
	"github.com/stretchr/testify/require"
)

func TestEventSurvivesJSON(t *testing.T) {
	t.Parallel()
	e := fullEvent()
	e.ClickToken = "token"
	e.Consent = clickid.ConsentGranted
	e.Keys = []clickid.Key{clickid.OrderKey("1001")}
	e.Properties = map[string]any{
		"big":   json.Number("12345678901234567890"),
		"money": json.Number("0.10"),
		"tree":  map[string]any{"list": []any{json.Number("1"), "x", nil, true}},
	}
	data, err := json.Marshal(e)
	require.NoError(t, err)
	var back clickid.Event
	require.NoError(t, json.Unmarshal(data, &back))
	again, err := json.Marshal(back)
	require.NoError(t, err)
	require.Equal(t, string(data), string(again))
	require.Equal(t, e.Properties, back.Properties)
	require.Equal(t, e.Value, back.Value)
	require.Equal(t, extension.KeyHash(e.Keys[0]), extension.KeyHash(back.Keys[0]))
	require.Equal(t, sent(t, logEvent, e), sent(t, logEvent, back))
}

func TestEventJSONErrorsHoldNoValue(t *testing.T) {
	t.Parallel()
	var e clickid.Event
	err := json.Unmarshal([]byte(`{"type":"purchase","time":"jane@example.com"}`), &e)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "jane")
}

func TestEventInALog(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "event", fullEvent())
	require.Contains(t, b.String(), `"type":"purchase"`)
	for _, secret := range []string{documentedID, "customer-42", "XY1000", "203.0.113.7", "b4c9a289"} {
		require.NotContains(t, b.String(), secret)
	}
}
