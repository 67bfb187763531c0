package capi_test

import (
	"context"
	"strings"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

var iabECAPI = capi.ECAPI{DataSetID: "ds", IAB: true}

func TestLogEvent_extra(t *testing.T) {
	t.Parallel()
	vendor := map[string]any{"vendor": map[string]any{"a": 1.0}}
	e := purchase("1")
	e.Extra = map[string]any{"ext": vendor, "surface": map[string]any{"category": "owned_property", "property_type": "channel"}}
	e.User.IDs = []clickid.UserID{{Type: clickid.UserIDID5, Value: "x", Extra: map[string]any{"ext": vendor}}}
	e.User.Extra = map[string]any{"ext": vendor}
	e.Items = []clickid.Item{{ID: "a"}, {ID: "b", Quantity: 2, Extra: map[string]any{"ext": vendor, "name": "Boots"}}}
	require.Empty(t, checked(t, logEvent, e).Warnings)
	got := sent(t, logEvent, e)
	require.Equal(t, vendor, got["ext"])
	require.Equal(t, map[string]any{"category": "owned_property", "property_type": "channel"}, got["surface"])
	user := got["user_match"].(map[string]any)
	require.Equal(t, vendor, user["ext"])
	require.Equal(t, []any{map[string]any{"type": "id5", "value": "x", "ext": vendor}}, user["uids"])
	require.Equal(t, []any{map[string]any{"id": "a"}, map[string]any{"id": "b", "quantity": 2.0, "ext": vendor, "name": "Boots"}},
		got["custom_data"].(map[string]any)["contents"])
	require.Len(t, e.User.IDs[0].Extra, 1, "the event is not changed")

	require.Empty(t, checked(t, iabECAPI, e).Warnings, "members of log_event")
	require.Empty(t, checked(t, ecapi, e).Warnings)
}

// TestExtra_leftOut checks that members which cannot be sent never decide over
// the event.
func TestExtra_leftOut(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		dialect capi.Dialect
		edit    func(e *clickid.Event)
		warning string
	}{
		"a name that no contract has": {logEvent, func(e *clickid.Event) { e.Extra = map[string]any{"surfce": 1} },
			"extra.surfce was left out: it is not a member that the dialect documents here"},
		"the same in the IAB standard": {iabECAPI, func(e *clickid.Event) { e.User.Extra = map[string]any{"shoe_size": 1} },
			"user.extra.shoe_size was left out: it is not a member that the dialect documents here"},
		"a surface without category": {logEvent, func(e *clickid.Event) { e.Extra = map[string]any{"surface": map[string]any{}} },
			"extra.surface was left out: it must have a category"},
		"an ID that is too long": {logEvent, func(e *clickid.Event) {
			e.Extra = map[string]any{"surface": map[string]any{"category": "app", "property_id": strings.Repeat("x", 257)}}
		}, "extra.surface was left out: it has a property_id that must not be longer than 256 characters"},
		"ext of text": {iabECAPI, func(e *clickid.Event) { e.Items = []clickid.Item{{ID: "a", Extra: map[string]any{"ext": "x"}}} },
			"items[0].extra.ext was left out: it must be an object"},
		"a member of the item itself": {logEvent, func(e *clickid.Event) { e.Items = []clickid.Item{{ID: "a", Extra: map[string]any{"price": 1}}} },
			"items[0].extra.price was left out: it is filled in from the item's price"},
		"an age": {iabECAPI, func(e *clickid.Event) { e.User.Extra = map[string]any{"age_range": 42} },
			"user.extra.age_range was left out: it must be an integer from 1 to 13"},
		"a gender that is not hashed": {iabECAPI, func(e *clickid.Event) { e.User.Extra = map[string]any{"gender": "female"} },
			"user.extra.gender was left out: it must be a SHA-256"},
		"an e-mail address": {logEvent, func(e *clickid.Event) { e.User.Extra = map[string]any{"ext": map[string]any{"a": "jane@example.com"}} },
			"user.extra.ext.a was left out: it"},
		"too many bytes": {logEvent, func(e *clickid.Event) {
			e.Properties = map[string]any{"a": strings.Repeat("x", 40<<10)}
			e.Extra = map[string]any{"ext": map[string]any{"a": strings.Repeat("x", 40<<10)}}
		}, "extra.ext was left out: it is too large"},
		"a privacy flag that the dialect cannot send": {logEvent, func(e *clickid.Event) { e.User.MeasurementOnly = true },
			"user.measurement_only was left out"},
		"the same in Scope3's ECAPI": {ecapi, func(e *clickid.Event) { e.User.MeasurementOnly = true }, "user.measurement_only was left out"},
		"a website without a page": {logEvent, func(e *clickid.Event) { e.Source = clickid.SourceWebsite },
			"page_url is expected by the platform with the source website"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := purchase("1")
			tt.edit(&e)
			result := checked(t, tt.dialect, e)
			require.Equal(t, clickid.VerdictReady, result.Verdict)
			require.Len(t, result.Warnings, 1)
			require.Contains(t, result.Warnings[0], tt.warning)
			require.NotContains(t, result.Warnings[0], "jane")
		})
	}
}

func TestLogEvent_requestExtra(t *testing.T) {
	t.Parallel()
	account := map[string]any{"account_id": "acc_1"}
	d := capi.LogEvent{EventSourceID: "shop", Extra: map[string]any{"adcp_version": "3.1", "account": account, "context": map[string]any{}, "ext": map[string]any{}}}
	p := platformtest.Responding(platformtest.OK())
	c := newClient(t, p, d)
	account["account_id"] = "changed later"
	_, err := c.Send(context.Background(), purchase("1"))
	require.NoError(t, err)
	require.Contains(t, string(p.Bodies[0]), `,"event_source_id":"shop","account":{"account_id":"acc_1"},"adcp_version":"3.1","context":{},"ext":{},"events":[`)

	for _, pointer := range []bool{false, true} {
		wrong := capi.LogEvent{EventSourceID: "shop", Extra: map[string]any{
			"adcp_version": "3.1.0", "account": "acc_1", "events": []int{}, "context": map[string]any{"user": "jane@example.com"},
		}}
		var dialect capi.Dialect = wrong
		if pointer {
			dialect = &wrong
		}
		_, err = capi.New(capi.Config{APIKey: testKey, Dialect: dialect})
		require.ErrorContains(t, err, `capi: LogEvent.Extra.adcp_version must be a version and release such as "3.1"`)
		require.ErrorContains(t, err, "capi: LogEvent.Extra.account must be an object")
		require.ErrorContains(t, err, "capi: LogEvent.Extra.events is not a member")
		require.ErrorContains(t, err, "capi: LogEvent.Extra.context.user ")
		require.NotContains(t, err.Error(), "jane")
	}
}

func TestECAPI_user(t *testing.T) {
	t.Parallel()
	jane, err := clickid.HashName(" Jane ")
	require.NoError(t, err)
	customer, err := clickid.HashCustomerID("User123")
	require.NoError(t, err)
	e := purchase("1")
	e.User = clickid.User{
		ExternalID: "c-1", HashedCustomerID: customer, ImpressionID: "imp_123abc", MeasurementOnly: true,
		Addresses: []clickid.Address{{
			Kind: clickid.AddressShipping, HashedFirstName: jane, City: "Saint-Étienne", State: " NY. ", Country: "FR",
		}},
		Extra: map[string]any{"customer_segments": "gold_member", "utcoffset": -300, "age_range": 5.0},
	}
	e.Value = clickid.Amount{}
	e.Items = []clickid.Item{{ID: "a", Discount: clickid.Decimal("1.50", "USD"), Extra: map[string]any{"cattax": 9, "item_coupon": "SPRING"}}}
	got := sent(t, iabECAPI, e)
	user := got["user_data"].(map[string]any)
	require.Equal(t, customer, user["customer_identifier"])
	require.Equal(t, "imp_123abc", user["impression_id"])
	require.Equal(t, true, user["mmt_only"])
	require.Equal(t, []any{"gold_member"}, user["customer_segments"])
	require.Equal(t, -300.0, user["utcoffset"])
	require.Equal(t, 5.0, user["age_range"])
	require.Equal(t, []any{map[string]any{"first_name": jane, "city": "saintétienne", "state": "ny", "country_code": "fr", "address_type": 2.0}}, user["address"])
	require.Equal(t, []any{map[string]any{"id": "a", "discount": 1.5, "cattax": 9.0, "item_coupon": "SPRING"}}, got["properties"].(map[string]any)["items"])
	require.Equal(t, "USD", got["currency_code"], "the discount has a currency")

	require.NotContains(t, sent(t, ecapi, e)["user_data"], "mmt_only")
	e.Source, e.PageURL = clickid.SourceWebsite, "https://shop.test/"
	require.Empty(t, checked(t, iabECAPI, e).Warnings)
}

func TestConfig_MaxBatchBytes_extra(t *testing.T) {
	t.Parallel()
	e := purchase("1")
	ext := map[string]any{"ext": map[string]any{"a": strings.Repeat("x", 10<<10)}}
	e.Extra, e.User.Extra = ext, ext
	e.User.IDs = []clickid.UserID{{Type: clickid.UserIDID5, Value: "x", Extra: ext}}
	result := checked(t, logEvent, e, func(cfg *capi.Config) { cfg.MaxBatchBytes = 16 << 10 })
	require.Equal(t, clickid.VerdictReady, result.Verdict)
	require.Equal(t, []string{"extra members were left out: with them, the event is larger than MaxBatchBytes"}, result.Warnings)
	require.Len(t, e.User.IDs[0].Extra, 1)
}
