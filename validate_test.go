package clickid_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

func long(n int) string { return strings.Repeat("ä", n) }

// hashed is a SHA-256.
var hashed = strings.Repeat("0af9", 16)

// TestEvent_Clean_refusals has every reason for which an event cannot be sent.
func TestEvent_Clean_refusals(t *testing.T) {
	t.Parallel()
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
		{"an ID of white space", func(e *clickid.Event) { e.ID = " \u00a0" }, []string{"id"}},
		{"an ID of 256 characters", func(e *clickid.Event) { e.ID = long(256) }, nil},
		{"an ID of 257 characters", func(e *clickid.Event) { e.ID = long(257) }, []string{"id"}},
		{"an e-mail address as ID", func(e *clickid.Event) { e.ID = "jane@example.com" }, []string{"id"}},
		{"an e-mail address within an ID", func(e *clickid.Event) { e.ID = "1001-ｊａｎｅ＠example.com" }, []string{"id"}},
		{"an ID with a line break", func(e *clickid.Event) { e.ID = "1\n2" }, []string{"id"}},
		{"an ID that is not UTF-8", func(e *clickid.Event) { e.ID = "\xff" }, []string{"id"}},
		{"an order number of twelve digits", func(e *clickid.Event) { e.ID = "202411230017" }, nil},
		{"an order number like a North American number", func(e *clickid.Event) { e.ID = "302-458-9921" }, nil},
		{"an order number like a British number", func(e *clickid.Event) { e.ID = "0123 456 789" }, nil},
		{"a French VAT number", func(e *clickid.Event) { e.ID = "FR 40 303 265 045" }, nil},
		{"an order number with a plus", func(e *clickid.Event) { e.ID = "+49 171 2345678" }, nil},
		{"no time", func(e *clickid.Event) { e.Time = time.Time{} }, []string{"time"}},
		{"a till that is 14 minutes ahead", func(e *clickid.Event) { e.Time = time.Now().Add(14 * time.Minute) }, nil},
		{"a till that is 16 minutes ahead", func(e *clickid.Event) { e.Time = time.Now().Add(16 * time.Minute) }, []string{"time"}},
		{"a time of milliseconds taken as seconds", func(e *clickid.Event) { e.Time = time.Unix(1732356930000, 0) }, []string{"time"}},
		{"a time of 1999", func(e *clickid.Event) { e.Time = time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC) }, []string{"time"}},
		{"a value of 0.00", func(e *clickid.Event) { e.Value = clickid.Minor(0, "USD") }, nil},
		{"a negative value", func(e *clickid.Event) { e.Value = clickid.Minor(-1, "USD") }, []string{"value"}},
		{"a value in words", func(e *clickid.Event) { e.Value = clickid.Decimal("1,50", "EUR") }, []string{"value"}},
		{"a value without currency", func(e *clickid.Event) { e.Value = clickid.Decimal("1.50", "") }, []string{"value"}},
		{"a custom event without a name", func(e *clickid.Event) { e.Type = clickid.Custom }, []string{"custom_name"}},
		{"a custom event named like an address", func(e *clickid.Event) {
			e.Type, e.CustomName = clickid.Custom, "jane@example.com"
		}, []string{"custom_name"}},
		{"an unknown consent", func(e *clickid.Event) { e.Consent = 9 }, []string{"consent"}},
		{"several mistakes", func(e *clickid.Event) {
			e.ID, e.Time, e.Value, e.Source, e.OrderID = "", time.Time{}, clickid.Decimal("x", "USD"), "?", "jane@example.com"
		}, []string{"id", "time", "value"}},

		{"organic", func(e *clickid.Event) { e.Click = clickid.Click{} }, nil},
		{"only a click ID that cannot be sent", func(e *clickid.Event) { e.Click.ID = "a b" }, []string{"click.id"}},
		{"only a token that cannot be sent", func(e *clickid.Event) { e.Click, e.ClickToken = clickid.Click{}, "a b" }, []string{"click_token"}},
		{"only an e-mail address that is not hashed", func(e *clickid.Event) {
			e.Click, e.User.HashedEmail = clickid.Click{}, "jane@example.com"
		}, []string{"user.hashed_email"}},
		{"only identities that cannot be sent", func(e *clickid.Event) {
			e.Click = clickid.Click{}
			e.User = clickid.User{ExternalID: "jane@example.com", IDs: []clickid.UserID{{Type: "id5"}}, IP: "unknown", UserAgent: "x"}
		}, []string{"user.external_id", "user.ids[0].value", "user.ip"}},
		{"one identity is left", func(e *clickid.Event) {
			e.Click = clickid.Click{}
			e.User = clickid.User{ExternalID: "jane@example.com", HashedPhone: hashed}
		}, nil},
		{"a token is left", func(e *clickid.Event) { e.Click.ID, e.ClickToken = "a b", "token" }, nil},
		{"an IP address that attributed nothing", func(e *clickid.Event) {
			e.Click, e.User = clickid.Click{}, clickid.User{IP: "unknown"}
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := purchase("1")
			tt.edit(&e)
			requireFields(t, e.Validate(), tt.fields)
			requireRefusedAgain(t, e)
		})
	}
}

// requireRefusedAgain checks that an event can be stored, and that a refused
// one is not sent when it is read back.
func requireRefusedAgain(t *testing.T, e clickid.Event) {
	t.Helper()
	cleaned, _, err := e.Clean()
	data, marshalErr := json.Marshal(cleaned)
	require.NoError(t, marshalErr)
	var back clickid.Event
	require.NoError(t, json.Unmarshal(data, &back))
	require.Equal(t, err != nil, back.Validate() != nil || back.Consent == clickid.ConsentDenied)
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

// TestEvent_Clean_decoration has what never keeps an order from being sent.
func TestEvent_Clean_decoration(t *testing.T) {
	t.Parallel()
	agent := func(agent string) func(*clickid.Event) {
		return func(e *clickid.Event) { e.User.IP, e.User.UserAgent = "203.0.113.7", agent }
	}
	ip := func(ip string) func(*clickid.Event) {
		return func(e *clickid.Event) { e.User.IP, e.User.UserAgent = ip, "Mozilla/5.0" }
	}
	item := func(item clickid.Item) func(*clickid.Event) {
		return func(e *clickid.Event) { e.Items = []clickid.Item{{ID: "first"}, item, {ID: "last"}} }
	}
	items := func(e clickid.Event) any {
		var ids []string
		for _, item := range e.Items {
			ids = append(ids, item.ID)
		}
		return strings.Join(ids, " ")
	}
	gotIP := func(e clickid.Event) any { return e.User.IP }
	gotAgent := func(e clickid.Event) any { return e.User.UserAgent }
	gotSource := func(e clickid.Event) any { return string(e.Source) }
	second := func(get func(clickid.Item) string) func(clickid.Event) any {
		return func(e clickid.Event) any { return get(e.Items[1]) }
	}
	name := second(func(i clickid.Item) string { return i.Name })
	price := second(func(i clickid.Item) string { return i.Price.String() })
	source := func(source clickid.Source) func(*clickid.Event) {
		return func(e *clickid.Event) { e.Source = source }
	}
	tests := []struct {
		name    string
		edit    func(*clickid.Event)
		get     func(clickid.Event) any
		want    any
		warning string // the field that it begins with; "" means none
	}{
		{"a user agent", agent("Mozilla/5.0 (X11)"), gotAgent, "Mozilla/5.0 (X11)", ""},
		{"a user agent in Latin-1", agent("M\xfcller/1.0"), gotAgent, "Mller/1.0", "user.user_agent was changed"},
		{"a user agent with a tab", agent("a\tb"), gotAgent, "a b", "user.user_agent was changed"},
		{"a user agent with a line break", agent("a\r\nb"), gotAgent, "a  b", "user.user_agent was changed"},
		{"a user agent with a NUL", agent("a\x00b"), gotAgent, "ab", "user.user_agent was changed"},
		{"a user agent of control characters", agent("\x01\xff"), gotAgent, "", "user.user_agent was left out"},
		{"a long user agent", agent(long(600)), gotAgent, long(512), "user.user_agent was changed"},
		{"an IPv4 address", ip("203.0.113.7"), gotIP, "203.0.113.7", ""},
		{"an IPv6 address", ip("2001:db8::1"), gotIP, "2001:db8::1", ""},
		{"a long IPv6 address", ip("2001:0db8:0000:0000:0000:0000:0000:0001"), gotIP, "2001:0db8:0000:0000:0000:0000:0000:0001", ""},
		{"an address with a port", ip("203.0.113.7:443"), gotIP, "203.0.113.7", "user.ip was changed"},
		{"an IPv6 address with a port", ip("[2001:db8::1]:443"), gotIP, "2001:db8::1", "user.ip was changed"},
		{"an IPv6 address in brackets", ip("[2001:db8::1]"), gotIP, "2001:db8::1", "user.ip was changed"},
		{"an IPv6 address with a zone", ip("fe80::1%eth0"), gotIP, "fe80::1", "user.ip was changed"},
		{"an IPv4 address in IPv6", ip("::ffff:203.0.113.7"), gotIP, "203.0.113.7", "user.ip was changed"},
		{"X-Forwarded-For", ip("203.0.113.7, 10.0.0.1, 10.0.0.2"), gotIP, "203.0.113.7", "user.ip was changed"},
		{"X-Forwarded-For with an unknown address", ip("unknown, 203.0.113.7:1234"), gotIP, "203.0.113.7", "user.ip was changed"},
		{"Forwarded", ip(`for="[2001:db8::1]:4711";proto=https, for=10.0.0.1`), gotIP, "2001:db8::1", "user.ip was changed"},
		{"not an address", ip("unknown"), gotIP, "", "user.ip was left out"},
		{"no address", ip("0.0.0.0"), gotIP, "", "user.ip was left out"},

		{"an item without SKU", item(clickid.Item{Name: "Gift"}), items, "first last", "items[1] was left out"},
		{"an item with an address as SKU", item(clickid.Item{ID: "jane@example.com"}), items, "first last", "items[1] was left out"},
		{"an item with a line break in its SKU", item(clickid.Item{ID: "a\nb"}), items, "first last", "items[1] was left out"},
		{"an item with a long SKU", item(clickid.Item{ID: long(257)}), items, "first last", "items[1] was left out"},
		{"an item with a SKU like a phone number", item(clickid.Item{ID: "302-458-9921"}), items, "first 302-458-9921 last", ""},
		{"a discount line", item(clickid.Item{ID: "SAVE10", Price: clickid.Minor(-1000, "EUR")}), items, "first last", "items[1] was left out"},
		{"a thousand and one items", func(e *clickid.Event) {
			e.Items = make([]clickid.Item, 1001)
			for i := range e.Items {
				e.Items[i].ID = "x"
			}
		}, func(e clickid.Event) any { return len(e.Items) }, 1000, "items[1000:] was left out"},
		{"a name with a line break", item(clickid.Item{ID: "x", Name: "Boots\nred\r\n"}), name, "Boots red", "items[1].name was changed"},
		{"a name with an address", item(clickid.Item{ID: "x", Name: "Mug for jane@example.com"}), name, "", "items[1].name was left out"},
		{"a name with an address over two lines", item(clickid.Item{ID: "x", Name: "jane@exam\x00ple.com"}), name, "", "items[1].name was left out"},
		{"a name with a phone number", item(clickid.Item{ID: "x", Name: "call +49 30 12345678 4pm"}), name, "", "items[1].name was left out"},
		{"a long name", item(clickid.Item{ID: "x", Name: long(300)}), name, long(256), "items[1].name was changed"},
		{"a brand with a line break", item(clickid.Item{ID: "x", Brand: "A\nB"}), second(func(i clickid.Item) string { return i.Brand }), "A B", "items[1].brand was changed"},
		{"a category that is not UTF-8", item(clickid.Item{ID: "x", Category: "Schuh\xe9"}), second(func(i clickid.Item) string { return i.Category }), "Schuh", "items[1].category was changed"},
		{"a negative quantity", item(clickid.Item{ID: "x", Quantity: -1}), second(func(i clickid.Item) string { return fmt.Sprint(i.Quantity) }), "0", "items[1].quantity was left out"},
		{"a quantity above 2^53", item(clickid.Item{ID: "x", Quantity: 1<<53 + 1}), second(func(i clickid.Item) string { return fmt.Sprint(i.Quantity) }), "0", "items[1].quantity was left out"},
		{"a price in words", item(clickid.Item{ID: "x", Price: clickid.Decimal("1,50", "EUR")}), price, "", "items[1].price was left out"},
		{"a price of a database", item(clickid.Item{ID: "x", Price: clickid.Decimal("126.0420168067226891", "eur")}), price, "126.042016807 EUR", "items[1].price was changed"},
		{"a price in another currency than the value", func(e *clickid.Event) {
			e.Value = clickid.Minor(1, "USD")
			item(clickid.Item{ID: "x", Price: clickid.Minor(1, "EUR")})(e)
		}, price, "", "items[1].price was left out"},
		{"prices in two currencies", func(e *clickid.Event) {
			item(clickid.Item{ID: "x", Price: clickid.Minor(1, "EUR")})(e)
			e.Items[0].Price = clickid.Minor(1, "USD")
		}, price, "", "items[1].price was left out"},

		{"a source", source("website"), gotSource, "website", ""},
		{"a source in capitals", source("Web-Site "), gotSource, "web_site", "source was changed"},
		{"a source of other characters", source("Küche"), gotSource, "", "source was left out"},
		{"a name on another event", func(e *clickid.Event) { e.CustomName = "x" }, func(e clickid.Event) any { return e.CustomName }, "", "custom_name was left out"},
		{"a custom event with a long name", func(e *clickid.Event) { e.Type, e.CustomName = clickid.Custom, long(257) }, func(e clickid.Event) any { return e.CustomName }, long(256), "custom_name was changed"},
		{"an order ID of 257 characters", func(e *clickid.Event) { e.OrderID = long(257) }, func(e clickid.Event) any { return e.OrderID }, "", "order_id was left out"},
		{"an address as order ID", func(e *clickid.Event) { e.OrderID = "jane@example.com" }, func(e clickid.Event) any { return e.OrderID }, "", "order_id was left out"},
		{"an order ID like a phone number", func(e *clickid.Event) { e.OrderID = "302-458-9921" }, func(e clickid.Event) any { return e.OrderID }, "302-458-9921", ""},
		{"GPP with a line break", func(e *clickid.Event) { e.User.GPP = "a\nb" }, func(e clickid.Event) any { return e.User.GPP }, "", "user.gpp was left out"},
		{"a negative GPP section", func(e *clickid.Event) { e.User.GPPSections = []int{7, -1, 8} }, func(e clickid.Event) any { return fmt.Sprint(e.User.GPPSections) }, "[7 8]", "user.gpp_sections[1] was left out"},
		{"an invalid page URL", func(e *clickid.Event) { e.PageURL = "%%%" }, func(e clickid.Event) any { return e.PageURL }, "%%%", ""},

		{"a value of a database", func(e *clickid.Event) { e.Value = clickid.Decimal("149.990000000000000000000000000000", "usd") }, func(e clickid.Event) any { return e.Value.String() }, "149.99 USD", ""},
		{"a value with many digits", func(e *clickid.Event) { e.Value = clickid.Decimal("126.0420168067226891", "USD") }, func(e clickid.Event) any { return e.Value.String() }, "126.042016807 USD", "value was changed"},
		{"a currency of another list", func(e *clickid.Event) { e.Value = clickid.Minor(100, "BTC") }, func(e clickid.Event) any { return e.Value.String() }, "1.00 BTC", "value has a currency"},

		{"a hash in capitals", func(e *clickid.Event) { e.User.HashedPhone = strings.ToUpper(hashed) }, func(e clickid.Event) any { return e.User.HashedPhone }, hashed, "user.hashed_phone was changed"},
		{"a hash with a line break", func(e *clickid.Event) { e.User.HashedEmail = hashed + "\n" }, func(e clickid.Event) any { return e.User.HashedEmail }, hashed, "user.hashed_email was changed"},
		{"a hash in capitals as user ID", func(e *clickid.Event) {
			e.User.IDs = []clickid.UserID{{Type: clickid.UserIDHashedEmail, Value: strings.ToUpper(hashed)}}
		}, func(e clickid.Event) any { return e.User.IDs[0].Value }, hashed, "user.ids[0].value was changed"},
		{"an address that is not hashed", func(e *clickid.Event) { e.User.HashedEmail = "jane@example.com" }, func(e clickid.Event) any { return e.User.HashedEmail }, "", "user.hashed_email was left out"},
		{"the hash of nothing", func(e *clickid.Event) {
			e.User.HashedEmail = "E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
		}, func(e clickid.Event) any { return e.User.HashedEmail }, "", "user.hashed_email was left out"},
		{"an address as external ID", func(e *clickid.Event) { e.User.ExternalID = "jane@example.com" }, func(e clickid.Event) any { return e.User.ExternalID }, "", "user.external_id was left out"},
		{"a phone number as external ID", func(e *clickid.Event) { e.User.ExternalID = "+12125550000" }, func(e clickid.Event) any { return e.User.ExternalID }, "", "user.external_id was left out"},
		{"a customer number like a phone number", func(e *clickid.Event) { e.User.ExternalID = "302-458-9921" }, func(e clickid.Event) any { return e.User.ExternalID }, "302-458-9921", ""},
		{"an address as user ID", func(e *clickid.Event) {
			e.User.IDs = []clickid.UserID{clickid.RampID("x"), clickid.ID5("jane@example.com")}
		}, func(e clickid.Event) any { return len(e.User.IDs) }, 1, "user.ids[1].value was left out"},
		{"a user ID of a type in capitals", func(e *clickid.Event) { e.User.IDs = []clickid.UserID{{Type: "ID5", Value: "x"}} }, func(e clickid.Event) any { return len(e.User.IDs) }, 0, "user.ids[0].type was left out"},
		{"a user ID of 513 characters", func(e *clickid.Event) { e.User.IDs = []clickid.UserID{clickid.RampID(long(513))} }, func(e clickid.Event) any { return len(e.User.IDs) }, 0, "user.ids[0].value was left out"},
		{"a user ID that is not a hash", func(e *clickid.Event) {
			e.User.IDs = []clickid.UserID{{Type: clickid.UserIDHashedEmail, Value: "x"}}
		}, func(e clickid.Event) any { return len(e.User.IDs) }, 0, "user.ids[0].value was left out"},
		{"a click parameter with a space", func(e *clickid.Event) { e.Click.Param = "a b" }, func(e clickid.Event) any { return e.Click.ID + e.Click.Param }, documentedID, "click.param was left out"},
		{"a click ID beside a token", func(e *clickid.Event) { e.Click.ID, e.ClickToken = "a b", "token" }, func(e clickid.Event) any { return e.Click.IsZero() }, true, "click.id was left out"},
		{"a time with an offset of seconds", func(e *clickid.Event) {
			e.Time = time.Date(2024, 11, 23, 10, 15, 30, 0, time.FixedZone("LMT", 53*60+28))
		}, func(e clickid.Event) any { return e.Time.Format(time.RFC3339) }, "2024-11-23T09:22:02Z", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := purchase("1")
			tt.edit(&e)
			before := fmt.Sprintf("%#v", e)
			cleaned, warnings, err := e.Clean()
			require.NoError(t, err)
			require.Equal(t, tt.want, tt.get(cleaned))
			if tt.warning == "" {
				require.Empty(t, warnings)
			} else {
				require.Len(t, warnings, 1)
				require.True(t, strings.HasPrefix(warnings[0], tt.warning), warnings[0])
				require.NotContains(t, warnings[0], "jane")
			}
			require.Equal(t, before, fmt.Sprintf("%#v", e), "Clean does not change the caller's event")
			again, warnings, err := cleaned.Clean()
			require.NoError(t, err)
			require.Equal(t, cleaned.User, again.User)
			require.Equal(t, cleaned.Items, again.Items)
			if tt.warning == "value has a currency" || strings.HasPrefix(tt.warning, "value was") || strings.Contains(tt.warning, "price was changed") {
				return // still true
			}
			require.Empty(t, warnings, "a clean event stays as it is")
		})
	}
}

func TestEvent_Clean_manyWarnings(t *testing.T) {
	t.Parallel()
	e := purchase("1")
	e.Items = make([]clickid.Item, 500)
	_, warnings, err := e.Clean()
	require.NoError(t, err)
	require.Len(t, warnings, 21)
	require.Equal(t, "480 further fields were left out or changed", warnings[20])
}

type panics struct{}

func (panics) MarshalJSON() ([]byte, error) { panic("jane@example.com") }

func TestEvent_Clean_properties(t *testing.T) {
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
		leftOut    []string
	}{
		{"JSON's types", map[string]any{"a": nil, "b": true, "c": 1, "d": 1.5, "e": "x", "f": []int{1}, "g": map[string]string{"h": "i"}, "j": json.Number("0.10")}, nil},
		{"an e-mail address", map[string]any{"note": "jane@example.com"}, []string{"properties.note"}},
		{"an e-mail address in a list", map[string]any{"note": []any{"a", "b", "jane@example.com"}}, []string{"properties.note[2]"}},
		{"a nested e-mail address", map[string]any{"a": map[string]any{"b": []any{map[string]any{"c": "jane@example.com"}}}}, []string{"properties.a.b[0].c"}},
		{"an e-mail address as a name", map[string]any{"jane@example.com": 1}, []string{"properties.?"}},
		{"an e-mail address behind a second member", map[string]any{"a": json.RawMessage(`{"b":"jane@example.com","b":1}`)}, nil},
		{"a phone number", map[string]any{"note": "call +1 212-555-0000"}, []string{"properties.note"}},
		{"digits that the name calls a phone number", map[string]any{"phone": "2125550000", "contact": map[string]any{"mobileNumber": 2125550000}}, []string{"properties.contact.mobileNumber", "properties.phone"}},
		{"digits that the name does not", map[string]any{"order": "2125550000", "phone_model": "2125550000"}, nil},
		{"a postal address", map[string]any{"shipping_address": map[string]any{"city": "Bonn"}}, []string{"properties.shipping_address"}},
		{"an image", map[string]any{"image": "hero@2x.png"}, nil},
		{"names that the library fills in", map[string]any{"value": 1, "currency": "USD", "order_id": "1", "transaction_id": "1", "items": nil, "contents": nil, "page_url": ""}, []string{
			"properties.contents", "properties.currency", "properties.items", "properties.order_id", "properties.page_url", "properties.transaction_id", "properties.value",
		}},
		{"an empty name", map[string]any{"": 1}, []string{"properties.?"}},
		{"a long name", map[string]any{strings.Repeat("x", 129): 1}, []string{"properties.?"}},
		{"infinity", map[string]any{"a": math.Inf(1), "b": 1}, []string{"properties.a"}},
		{"not a number", map[string]any{"a": math.NaN(), "b": 1}, []string{"properties.a"}},
		{"a number that is too large", map[string]any{"a": json.Number("1e999")}, []string{"properties.a"}},
		{"a function", map[string]any{"a": func() {}}, []string{"properties.a"}},
		{"an invalid number", map[string]any{"a": json.Number("1,5")}, []string{"properties.a"}},
		{"a value whose MarshalJSON panics", map[string]any{"a": panics{}, "b": []any{panics{}}}, []string{"properties.a", "properties.b"}},
		{"a cycle", map[string]any{"a": cycle}, []string{"properties.a"}},
		{"eight levels", map[string]any{"a": nested(7)}, nil},
		{"nine levels", map[string]any{"a": nested(8)}, []string{"properties.a[0][0][0][0][0][0][0][0]"}},
		{"64 KiB", map[string]any{"a": strings.Repeat("x", 64<<10), "b": 1}, []string{"properties.a"}},
		{"the largest ones", map[string]any{"a": strings.Repeat("x", 30<<10), "b": strings.Repeat("x", 40<<10), "c": strings.Repeat("x", 20<<10)}, []string{"properties.b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := purchase("1")
			e.Properties = tt.properties
			cleaned, warnings, err := e.Clean()
			require.NoError(t, err)
			require.Len(t, warnings, len(tt.leftOut))
			require.Len(t, cleaned.Properties, len(tt.properties)-len(tt.leftOut))
			for i, field := range tt.leftOut {
				require.True(t, strings.HasPrefix(warnings[i], field+" was left out: it "), warnings[i])
				require.NotContains(t, warnings[i], "jane")
				require.NotContains(t, warnings[i], "2125550000")
			}
			sent, err := json.Marshal(cleaned)
			require.NoError(t, err)
			require.NotContains(t, string(sent), "jane")
		})
	}
}

func TestEvent_KeepNumbers(t *testing.T) {
	t.Parallel()
	e := purchase("1")
	e.KeepNumbers = true
	e.Items = []clickid.Item{{ID: "a", Name: "Valve 302-458-9921"}, {ID: "b", Name: "for jane@example.com"}}
	e.Properties = map[string]any{"part": "302-458-9921", "phone": "302-458-9921", "mail": "jane@example.com"}
	cleaned, warnings, err := e.Clean()
	require.NoError(t, err)
	require.Equal(t, "Valve 302-458-9921", cleaned.Items[0].Name)
	require.Empty(t, cleaned.Items[1].Name)
	require.Contains(t, cleaned.Properties, "part")
	require.Len(t, cleaned.Properties, 1)
	require.Len(t, warnings, 3)
}

// A time whose year has four digits in its zone can be encoded, and no other.
func TestEvent_Clean_years(t *testing.T) {
	t.Parallel()
	for _, year := range []int{-1, 0, 1, 9999, 10000, 10001, 1 << 40, -1 << 40} {
		start := time.Date(year, time.January, 1, 0, 0, 0, 0, time.UTC)
		for _, second := range []time.Duration{-24 * time.Hour, -time.Second, 0, 24 * time.Hour} {
			for _, offset := range []int{-24 * 3600, 1 - 24*3600, -3600, 0, 3600, 24*3600 - 1, 24 * 3600} {
				at := start.Add(second).In(time.FixedZone("", offset))
				e := clickid.Event{Click: clickid.Click{ID: "click", At: at}}
				cleaned, _, _ := e.Clean()
				encodable := 0 <= at.Year() && at.Year() <= 9999 && offset > -24*3600 && offset < 24*3600
				require.Equal(t, encodable, cleaned.Click.At.Equal(at) && !at.IsZero() || encodable && at.IsZero(), "%d %v %d", year, second, offset)
				_, err := json.Marshal(cleaned)
				require.NoError(t, err)
			}
		}
	}
}
