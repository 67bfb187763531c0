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

func TestEvent_JSON(t *testing.T) {
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

func TestEvent_UnmarshalJSON_errors(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		`{"type":"purchase","time":"jane@example.com"}`: `time must be a time`,
		`{"type":7}`:                    `type must be a string`,
		`{"Type":["jane@example.com"]}`: `type must be a string`,
		`{"value":{"number":"jane@example.com","currency":"USD"}}`: `value is wrong: amount must be a decimal number`,
		`{"value":{"number":-1,"currency":"USD"}}`:                 `value is wrong: amount must not be negative`,
		`{"value":149.99}`: `value is wrong: amount must be an object of number and currency`,
		`{"items":[{"id":"a"},{"id":"b","price":{"number":1}}]}`: `items[1].price is wrong: amount currency`,
		`{"items":[{"id":"a","quantity":"jane@example.com"}]}`:   `items[0].quantity must be an integer`,
		`{"items":[{"id":"a","quantity":1e30}]}`:                 `items[0].quantity must be an integer`,
		`{"items":{"jane@example.com":1}}`:                       `items must be an array`,
		`{"user":{"ids":[{"type":"id5","value":{"jane":1}}]}}`:   `user.ids[0].value must be a string`,
		`{"user":{"gpp_sections":[7,"jane@example.com"]}}`:       `user.gpp_sections[1] must be an integer`,
		`{"click":{"expires":5}}`:                                `click.expires must be a time`,
		`{"consent":"jane@example.com"}`:                         `consent is wrong: consent must be`,
		`{"keys":["jane@example.com"]}`:                          `keys[0] is wrong:`,
		`{"properties":["jane@example.com"]}`:                    `properties must be an object`,
		`{"keep_numbers":"jane@example.com"}`:                    `keep_numbers must be true or false`,
		`["jane@example.com"]`:                                   `it must be an object`,
		`"jane@example.com"`:                                     `it must be an object`,
	} {
		var e clickid.Event
		err := json.Unmarshal([]byte(data), &e)
		require.ErrorContains(t, err, "clickid: decoding the event: "+want, data)
		require.NotContains(t, err.Error(), "jane", data)
	}
	var e clickid.Event
	require.ErrorContains(t, e.UnmarshalJSON([]byte(`{"id":"jane@example.com"`)), "it must be one valid JSON value")
}

func TestEvent_LogValue(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "event", fullEvent())
	require.Contains(t, b.String(), `"type":"purchase"`)
	for _, secret := range []string{documentedID, "customer-42", "XY1000", "203.0.113.7", "b4c9a289"} {
		require.NotContains(t, b.String(), secret)
	}
}
