package clickid_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

func TestEventValidation(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return strings.Repeat("ä", n) }
	tests := []struct {
		name   string
		edit   func(*clickid.Event)
		fields []string // wrong ones; none means valid
	}{
		{"the smallest event", func(*clickid.Event) {}, nil},
		{"no type", func(e *clickid.Event) { e.Type = "" }, []string{"type"}},
		{"a type in capitals", func(e *clickid.Event) { e.Type = "Purchase" }, []string{"type"}},
		{"an undocumented type", func(e *clickid.Event) { e.Type = "level_up" }, nil},
		{"a long type", func(e *clickid.Event) { e.Type = clickid.EventType(strings.Repeat("x", 65)) }, []string{"type"}},
		{"no ID", func(e *clickid.Event) { e.ID = "" }, []string{"id"}},
		{"an ID of 256 characters", func(e *clickid.Event) { e.ID = long(256) }, nil},
		{"an ID of 257 characters", func(e *clickid.Event) { e.ID = long(257) }, []string{"id"}},
		{"an e-mail address as ID", func(e *clickid.Event) { e.ID = "jane@example.com" }, []string{"id"}},
		{"an ID with a line break", func(e *clickid.Event) { e.ID = "1\n2" }, []string{"id"}},
		{"an ID that is no UTF-8", func(e *clickid.Event) { e.ID = "\xff" }, []string{"id"}},
		{"an order number of twelve digits", func(e *clickid.Event) { e.ID = "202411230017" }, nil},
		{"no time", func(e *clickid.Event) { e.Time = time.Time{} }, []string{"time"}},
		{"a time of four minutes ahead", func(e *clickid.Event) { e.Time = time.Now().Add(4 * time.Minute) }, nil},
		{"a time of six minutes ahead", func(e *clickid.Event) { e.Time = time.Now().Add(6 * time.Minute) }, []string{"time"}},
		{"a time of milliseconds taken as seconds", func(e *clickid.Event) { e.Time = time.Unix(1732356930000, 0) }, []string{"time"}},
		{"a time of 1999", func(e *clickid.Event) { e.Time = time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC) }, []string{"time"}},
		{"a value of 0.00", func(e *clickid.Event) { e.Value = clickid.Minor(0, "USD") }, nil},
		{"a negative value", func(e *clickid.Event) { e.Value = clickid.Minor(-1, "USD") }, []string{"value"}},
		{"a value in words", func(e *clickid.Event) { e.Value = clickid.Decimal("1,50", "EUR") }, []string{"value"}},
		{"a source in capitals", func(e *clickid.Event) { e.Source = "Web Site" }, []string{"source"}},
		{"a click ID with a space", func(e *clickid.Event) { e.Click.ID = "a b" }, []string{"click.id"}},
		{"a click parameter with a space", func(e *clickid.Event) { e.Click.Param = "a b" }, []string{"click.param"}},
		{"a token with a space", func(e *clickid.Event) { e.ClickToken = "a b" }, []string{"click_token"}},
		{"an e-mail address as external ID", func(e *clickid.Event) { e.User.ExternalID = "jane@example.com" }, []string{"user.external_id"}},
		{"a phone number as external ID", func(e *clickid.Event) { e.User.ExternalID = "+12125550000" }, []string{"user.external_id"}},
		{"an e-mail address as user ID", func(e *clickid.Event) {
			e.User.IDs = []clickid.UserID{clickid.RampID("x"), clickid.ID5("jane@example.com")}
		}, []string{"user.ids[1].value"}},
		{"an empty user ID", func(e *clickid.Event) { e.User.IDs = []clickid.UserID{{}} }, []string{"user.ids[0].type", "user.ids[0].value"}},
		{"a user ID of 513 characters", func(e *clickid.Event) { e.User.IDs = []clickid.UserID{clickid.RampID(long(513))} }, []string{"user.ids[0].value"}},
		{"a user ID that is no hash", func(e *clickid.Event) {
			e.User.IDs = []clickid.UserID{{Type: clickid.UserIDHashedEmail, Value: "x"}}
		}, []string{"user.ids[0].value"}},
		{"an e-mail address that is not hashed", func(e *clickid.Event) { e.User.HashedEmail = "jane@example.com" }, []string{"user.hashed_email"}},
		{"a hash in capitals", func(e *clickid.Event) { e.User.HashedPhone = strings.Repeat("A", 64) }, []string{"user.hashed_phone"}},
		{"the hash of nothing", func(e *clickid.Event) {
			e.User.HashedEmail = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
		}, []string{"user.hashed_email"}},
		{"an IP address with a port", func(e *clickid.Event) { e.User.IP = "203.0.113.7:443" }, []string{"user.ip"}},
		{"an IPv6 address", func(e *clickid.Event) { e.User.IP = "2001:db8::1" }, nil},
		{"an IPv6 address with a zone", func(e *clickid.Event) { e.User.IP = "fe80::1%eth0" }, []string{"user.ip"}},
		{"a user agent with a line break", func(e *clickid.Event) { e.User.UserAgent = "a\nb" }, []string{"user.user_agent"}},
		{"GPP with a line break", func(e *clickid.Event) { e.User.GPP = "a\nb" }, []string{"user.gpp"}},
		{"a negative GPP section", func(e *clickid.Event) { e.User.GPPSections = []int{7, -1} }, []string{"user.gpp_sections[1]"}},
		{"an order ID of 257 characters", func(e *clickid.Event) { e.OrderID = long(257) }, []string{"order_id"}},
		{"an item without ID", func(e *clickid.Event) { e.Items = []clickid.Item{{Name: "x"}} }, []string{"items[0].id"}},
		{"a negative quantity", func(e *clickid.Event) { e.Items = []clickid.Item{{ID: "x", Quantity: -1}} }, []string{"items[0].quantity"}},
		{"a price in another currency than the value", func(e *clickid.Event) {
			e.Value = clickid.Minor(1, "USD")
			e.Items = []clickid.Item{{ID: "x", Price: clickid.Minor(1, "EUR")}}
		}, []string{"items[0].price"}},
		{"prices in two currencies", func(e *clickid.Event) {
			e.Items = []clickid.Item{{ID: "x", Price: clickid.Minor(1, "EUR")}, {ID: "y", Price: clickid.Minor(1, "USD")}}
		}, []string{"items[1].price"}},
		{"a negative price", func(e *clickid.Event) { e.Items = []clickid.Item{{ID: "x", Price: clickid.Minor(-1, "EUR")}} }, []string{"items[0].price"}},
		{"a long brand", func(e *clickid.Event) { e.Items = []clickid.Item{{ID: "x", Brand: long(257)}} }, []string{"items[0].brand"}},
		{"a thousand and one items", func(e *clickid.Event) { e.Items = make([]clickid.Item, 1001) }, []string{"items"}},
		{"a custom event without a name", func(e *clickid.Event) { e.Type = clickid.Custom }, []string{"custom_name"}},
		{"a name on another event", func(e *clickid.Event) { e.CustomName = "x" }, []string{"custom_name"}},
		{"an unknown consent", func(e *clickid.Event) { e.Consent = 9 }, []string{"consent"}},
		{"a page URL is no reason to lose an order", func(e *clickid.Event) { e.PageURL = "%%%" }, nil},
		{"several mistakes", func(e *clickid.Event) {
			e.ID, e.Time, e.Value, e.Source, e.OrderID = "", time.Time{}, clickid.Decimal("x", "USD"), "-", "jane@example.com"
		}, []string{"id", "time", "value", "source", "order_id"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := purchase("1")
			tt.edit(&e)
			requireFields(t, e.Validate(), tt.fields)
		})
	}
}

func requireFields(t *testing.T, err error, fields []string) {
	t.Helper()
	if len(fields) == 0 {
		require.NoError(t, err)
		return
	}
	require.ErrorIs(t, err, clickid.ErrInvalidEvent)
	var invalid *clickid.EventError
	require.ErrorAs(t, err, &invalid)
	var got []string
	for _, f := range invalid.Fields {
		got = append(got, f.Field)
		require.ErrorContains(t, err, f.Field+" "+f.Problem)
	}
	require.ElementsMatch(t, fields, got)
	require.NotContains(t, err.Error(), "jane")
	require.NotContains(t, err.Error(), "2125550000")
}

func TestPropertyValidation(t *testing.T) {
	t.Parallel()
	nested := func(levels int) any {
		var v any = "x"
		for range levels {
			v = []any{v}
		}
		return v
	}
	cycle := map[string]any{}
	cycle["self"] = cycle
	tests := []struct {
		name       string
		properties map[string]any
		fields     []string
	}{
		{"JSON's types", map[string]any{"a": nil, "b": true, "c": 1, "d": 1.5, "e": "x", "f": []int{1}, "g": map[string]string{"h": "i"}, "j": json.Number("0.10")}, nil},
		{"an e-mail address", map[string]any{"note": "jane@example.com"}, []string{"properties.note"}},
		{"an e-mail address in a list", map[string]any{"note": []any{"a", "b", "jane@example.com"}}, []string{"properties.note[2]"}},
		{"an e-mail address deep down", map[string]any{"a": map[string]any{"b": []any{map[string]any{"c": "jane@example.com"}}}}, []string{"properties.a.b[0].c"}},
		{"an e-mail address as a name", map[string]any{"jane@example.com": 1}, []string{"properties.?"}},
		{"a phone number", map[string]any{"note": "call +1 212-555-0000"}, []string{"properties.note"}},
		{"digits that the name calls a phone number", map[string]any{"phone": "2125550000", "contact": map[string]any{"mobileNumber": 2125550000}}, []string{"properties.phone", "properties.contact.mobileNumber"}},
		{"digits that the name does not", map[string]any{"order": "2125550000", "phone_model": "2125550000"}, nil},
		{"an image", map[string]any{"image": "hero@2x.png"}, nil},
		{"names that the library fills in", map[string]any{"value": 1, "currency": "USD", "order_id": "1", "transaction_id": "1", "items": nil, "contents": nil, "page_url": ""}, []string{
			"properties.value", "properties.currency", "properties.order_id", "properties.transaction_id", "properties.items", "properties.contents", "properties.page_url",
		}},
		{"an empty name", map[string]any{"": 1}, []string{"properties.?"}},
		{"a long name", map[string]any{strings.Repeat("x", 129): 1}, []string{"properties.?"}},
		{"infinity", map[string]any{"a": math.Inf(1)}, []string{"properties.a"}},
		{"a function", map[string]any{"a": func() {}}, []string{"properties.a"}},
		{"a number that is none", map[string]any{"a": json.Number("1,5")}, []string{"properties.a"}},
		{"a cycle", map[string]any{"a": cycle}, []string{"properties.a"}},
		{"eight levels", map[string]any{"a": nested(7)}, nil},
		{"nine levels", map[string]any{"a": nested(8)}, []string{"properties.a[0][0][0][0][0][0][0][0]"}},
		{"64 KiB", map[string]any{"a": strings.Repeat("x", 64<<10)}, []string{"properties"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := purchase("1")
			e.Properties = tt.properties
			requireFields(t, e.Validate(), tt.fields)
		})
	}
}

func TestEventTooLargeForARequest(t *testing.T) {
	t.Parallel()
	e := purchase("1")
	e.Properties = map[string]any{"a": strings.Repeat("x", 20_000)}
	c := newClient(t, platformtest.Responding(platformtest.OK()), logEvent, func(cfg *capi.Config) { cfg.MaxBatchBytes = 16 << 10 })
	result := c.Check(e)
	require.Equal(t, clickid.VerdictRejected, result.Verdict)
	require.ErrorContains(t, result.Err, "MaxBatchBytes")
}
