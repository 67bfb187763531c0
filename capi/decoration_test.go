package capi_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

// checked returns what a client of the dialect would do with the event.
func checked(t testing.TB, d capi.Dialect, e clickid.Event, edits ...func(*capi.Config)) clickid.Result {
	t.Helper()
	return newClient(t, platformtest.Responding(platformtest.OK()), d, edits...).Check(e)
}

// TestCheck_refusedWarnings checks that a refused event has no warnings about
// the form in which it would be sent.
func TestCheck_refusedWarnings(t *testing.T) {
	t.Parallel()
	e := purchase("1")
	e.Click = clickid.Click{ID: "not visible ASCII: ä"}
	for _, d := range []capi.Dialect{logEvent, ecapi, capi.ECAPI{DataSetID: "ds_test", IAB: true}} {
		result := checked(t, d, e)
		require.Equal(t, clickid.VerdictRejected, result.Verdict)
		require.Equal(t, []string{"click.id was left out: it must be 1 to 512 visible ASCII characters"}, result.Warnings)
	}
}

func TestLogEvent_properties(t *testing.T) {
	t.Parallel()
	valid := map[string]any{
		"content_ids": []string{"a"}, "content_type": "product", "content_name": "x", "content_category": "y",
		"num_items": 2, "search_string": "boots", "progress_percent": 99.5, "progress_seconds": 10, "ext": map[string]any{"a": 1},
		"anything": []any{nil, true},
	}
	wrong := map[string]any{
		"content_ids": []any{1}, "content_type": strings.Repeat("x", 129), "content_name": 1, "content_category": nil,
		"num_items": 1.5, "search_string": "", "progress_percent": 100.1, "progress_seconds": -1, "ext": "x",
	}
	e := purchase("1")
	e.Properties = valid
	require.Empty(t, checked(t, logEvent, e).Warnings)
	require.Len(t, sent(t, logEvent, e)["custom_data"], len(valid))
	e.Properties = wrong
	result := checked(t, logEvent, e)
	require.Equal(t, clickid.VerdictReady, result.Verdict)
	require.Len(t, result.Warnings, len(wrong))
	require.Contains(t, result.Warnings, "properties.num_items was left out: it must be an integer from 0 to 2^53")
	require.Empty(t, sent(t, logEvent, e)["custom_data"])
	require.Empty(t, checked(t, ecapi, e).Warnings, "ECAPI has no such schema")
}

func TestLogEvent_integers(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"2": "2", "2.0": "2", "2e0": "2", "0.2e1": "2", "0": "0", "-0": "0", "9007199254740992": "9007199254740992",
		"9007199254740993": "", "9007199254740992.5": "", "-1": "", "1e30": "", "1e999999999": "", "2.00000000000000000001": "", `"2"`: "",
	} {
		e := purchase("1")
		e.Properties = map[string]any{"num_items": json.RawMessage(given)}
		p := platformtest.Responding(platformtest.OK())
		_, err := newClient(t, p, logEvent).Send(context.Background(), e)
		require.NoError(t, err)
		if want == "" {
			require.NotContains(t, string(p.Bodies[0]), "num_items", given)
		} else {
			require.Contains(t, string(p.Bodies[0]), `"num_items":`+want+`}`, given)
		}
	}
}

func TestECAPI_IAB(t *testing.T) {
	t.Parallel()
	sha := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return hex.EncodeToString(sum[:])
	}
	hash := strings.Repeat("a", 64)
	iab := capi.ECAPI{DataSetID: "ds", IAB: true}
	e := purchase("1")
	e.User.ExternalID = "Customer-42"
	e.User.IDs = []clickid.UserID{
		{Type: clickid.UserIDMAID, Value: "ifa"},
		{Type: clickid.UserIDHashedEmail, Value: hash},
		{Type: clickid.UserIDEUID, Value: "euid"},
		{Type: clickid.UserIDRampIDDerived, Value: "derived"},
		{Type: clickid.UserIDPairID, Value: "Pair"},
		{Type: clickid.UserIDRampID, Value: "ramp"},
		{Type: clickid.UserIDOther, Value: "x"},
		{Type: clickid.UserIDMAID, Value: "second"},
	}
	user := sent(t, iab, e)["user_data"].(map[string]any)
	require.Equal(t, "ifa", user["ifa"])
	require.Equal(t, []any{hash}, user["email_address"])
	require.Equal(t, []any{
		map[string]any{"id": sha("euid"), "source": "euid.eu", "atype": 3.0},
		map[string]any{"id": sha("derived"), "source": "liveramp.com", "atype": 3.0},
		map[string]any{"id": sha("pair"), "source": "google.com", "atype": 3.0},
		map[string]any{"id": "ramp", "source": "liveramp.com", "atype": 3.0},
	}, user["uids"], "IDs that Scope3 does not document are hashed, and named by their canonical domain")
	require.Equal(t, sha("customer-42"), user["customer_identifier"])
	require.Len(t, checked(t, iab, e).Warnings, 2)

	e.Properties = map[string]any{"coupon": "SPRING", "payment_type": []string{"card"}, "tax": -1, "referrer": 5, "own": 5}
	require.Equal(t, map[string]any{"coupon": []any{"SPRING"}, "payment_type": []any{"card"}, "own": 5.0}, sent(t, iab, e)["properties"])
	require.Len(t, checked(t, iab, e).Warnings, 4)
}

func TestDialect_undocumentedSource(t *testing.T) {
	t.Parallel()
	e := purchase("1")
	e.Source = "kiosk"
	require.Equal(t, "other", sent(t, logEvent, e)["action_source"])
	require.Equal(t, "other", sent(t, capi.ECAPI{DataSetID: "ds", IAB: true}, e)["source"])
	require.Equal(t, "kiosk", sent(t, ecapi, e)["source"])
	require.Equal(t, []string{"source was changed: log_event does not list it, so it is sent as other"}, checked(t, logEvent, e).Warnings)
}

func TestLogEvent_userIDs(t *testing.T) {
	t.Parallel()
	e := purchase("1")
	e.User.ExternalID = "customer-42"
	e.User.IDs = []clickid.UserID{{Type: "kiosk_id", Value: "7"}}
	require.Equal(t, []any{map[string]any{"type": "other", "value": "7"}}, sent(t, logEvent, e)["user_match"].(map[string]any)["uids"])
	withID := capi.LogEvent{EventSourceID: "shop", SendExternalID: true}
	require.Equal(t, []any{map[string]any{"type": "other", "value": "7"}, map[string]any{"type": "other", "value": "customer-42"}},
		sent(t, withID, e)["user_match"].(map[string]any)["uids"])
	e.Click, e.User.IDs = clickid.Click{}, nil
	require.Equal(t, clickid.VerdictSkippedOrganic, checked(t, logEvent, e).Verdict)
	require.Equal(t, clickid.VerdictReady, checked(t, withID, e).Verdict)
}

// TestClient_lostIdentity checks that an event is refused if cleaning removes its
// last identity. An organic event is skipped.
func TestClient_lostIdentity(t *testing.T) {
	t.Parallel()
	hash := strings.Repeat("a", 64)
	tests := map[string]struct {
		dialect capi.Dialect
		edit    func(*clickid.Event)
		want    clickid.Verdict
	}{
		"an identity that ECAPI does not carry is left": {ecapi, func(e *clickid.Event) {
			e.User = clickid.User{ExternalID: "jane@example.com", HashedEmail: hash}
		}, clickid.VerdictRejected},
		"an identity that log_event carries is left": {logEvent, func(e *clickid.Event) {
			e.User = clickid.User{ExternalID: "jane@example.com", HashedEmail: hash}
		}, clickid.VerdictReady},
		"ECAPI does not carry what is left out": {ecapi, func(e *clickid.Event) {
			e.User = clickid.User{HashedEmail: "jane@example.com", HashedPhone: hash}
		}, clickid.VerdictSkippedOrganic},
		"the address of a proxy": {logEvent, func(e *clickid.Event) {
			e.User = clickid.User{IP: "unknown", UserAgent: "x"}
		}, clickid.VerdictRejected},
		"a token": {ecapi, func(e *clickid.Event) {
			e.ClickToken, e.User.HashedEmail = "a b", hash
		}, clickid.VerdictRejected},
	}
	for name, tt := range tests {
		e := purchase("1")
		e.Click = clickid.Click{}
		tt.edit(&e)
		result := checked(t, tt.dialect, e)
		require.Equal(t, tt.want, result.Verdict, name)
		require.NotContains(t, result.Reason, "jane", name)
	}
}

func TestConfig_MaxBatchBytes_decoration(t *testing.T) {
	t.Parallel()
	e := purchase("1")
	e.Properties = map[string]any{"a": strings.Repeat("x", 20_000)}
	for range 1000 {
		e.Items = append(e.Items, clickid.Item{ID: strings.Repeat("i", 50)})
	}
	result := checked(t, logEvent, e, func(cfg *capi.Config) { cfg.MaxBatchBytes = 16 << 10 })
	require.Equal(t, clickid.VerdictReady, result.Verdict)
	require.Len(t, result.Warnings, 2)
	require.Contains(t, result.Warnings[0], "properties were left out")
	require.Contains(t, result.Warnings[1], "items were left out")
}
