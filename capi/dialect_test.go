package capi_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

func TestDialect_eventTypes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		event                clickid.EventType
		ecapi, iab, logEvent string
	}{
		{clickid.Purchase, "purchase", "purchase", "purchase"},
		{clickid.BeginCheckout, "begin_checkout", "begin_checkout", "initiate_checkout"},
		{clickid.SignUp, "sign_up", "sign_up", "complete_registration"},
		{clickid.CompleteRegistration, "complete_registration", "sign_up", "complete_registration"},
		{clickid.Lead, "lead", "generate_lead", "lead"},
		{clickid.ViewContent, "view_content", "viewed_item", "view_content"},
		{clickid.Install, "install", "install", "app_install"},
		{"level_up", "level_up", "level_up", "level_up"},
	}
	for _, tt := range tests {
		e := purchase("1")
		e.Type = tt.event
		require.Equal(t, tt.ecapi, sent(t, ecapi, e)["event_type"])
		require.Equal(t, tt.iab, sent(t, capi.ECAPI{DataSetID: "ds", IAB: true}, e)["event_type"])
		require.Equal(t, tt.logEvent, sent(t, logEvent, e)["event_type"])
	}
}

func TestDialect_sources(t *testing.T) {
	t.Parallel()
	iab := capi.ECAPI{DataSetID: "ds", IAB: true}
	interchange := capi.LogEvent{EventSourceID: "shop", AdvertiserID: "a"}
	tests := []struct {
		source                            clickid.Source
		ecapi, iab, logEvent, interchange any
	}{
		{"", nil, nil, nil, nil},
		{clickid.SourceWebsite, "website", "website", "website", "website"},
		{clickid.SourceApp, "app", "app", "app", "app"},
		{clickid.SourceInStore, "pos", "physical_store", "in_store", "in_store"},
		{clickid.SourcePhoneCall, "phone_call", "phone_call", "phone_call", "phone_call"},
		{clickid.SourceOffline, "other", "other", "offline", "other"},
		{clickid.SourceBusinessMessaging, "business_messaging", "business_messaging", "chat", "other"},
		{clickid.SourceChat, "chat", "chat", "chat", "other"},
		{clickid.SourceEmail, "email", "email", "email", "other"},
		{clickid.SourceSystemGenerated, "system_generated", "system_generated", "system_generated", "system_generated"},
		{clickid.SourceOther, "other", "other", "other", "other"},
	}
	for _, tt := range tests {
		e := purchase("1")
		e.Source = tt.source
		require.Equal(t, tt.ecapi, sent(t, ecapi, e)["source"], tt.source)
		require.Equal(t, tt.iab, sent(t, iab, e)["source"], tt.source)
		require.Equal(t, tt.logEvent, sent(t, logEvent, e)["action_source"], tt.source)
		require.Equal(t, tt.interchange, sent(t, interchange, e)["action_source"], tt.source)
	}
}

func TestECAPI_refundID(t *testing.T) {
	t.Parallel()
	e := purchase("1001")
	e.Type = clickid.Refund
	require.Equal(t, "refund:1001", sent(t, ecapi, e)["id"])
	require.Equal(t, "1001", sent(t, logEvent, e)["event_id"])
	e.ID = "refund:1001"
	require.Equal(t, "refund:1001", sent(t, ecapi, e)["id"])
}

func TestDialect_customEvent(t *testing.T) {
	t.Parallel()
	e := purchase("1")
	e.Type, e.CustomName = clickid.Custom, "Test drive"
	require.Equal(t, "Test drive", sent(t, ecapi, e)["custom_event"])
	require.Equal(t, "Test drive", sent(t, logEvent, e)["custom_event_name"])
}

// TestDialect_organic covers events that can be attributed in one dialect and
// are organic in another.
func TestDialect_organic(t *testing.T) {
	t.Parallel()
	iab := capi.ECAPI{DataSetID: "ds", IAB: true}
	hash, err := clickid.HashEmail("jane@example.com")
	require.NoError(t, err)
	tests := map[string]struct {
		user                 clickid.User
		ecapi, iab, logEvent bool // whether the event can be attributed
	}{
		"no user":                  {clickid.User{}, false, false, false},
		"external ID":              {clickid.User{ExternalID: "c-1"}, true, true, false},
		"RampID":                   {clickid.User{IDs: []clickid.UserID{clickid.RampID("x")}}, true, true, true},
		"ID5":                      {clickid.User{IDs: []clickid.UserID{clickid.ID5("x")}}, true, true, true},
		"UID2":                     {clickid.User{IDs: []clickid.UserID{{Type: clickid.UserIDUID2, Value: "x"}}}, false, true, true},
		"hashed e-mail":            {clickid.User{HashedEmail: hash}, false, true, true},
		"hashed phone":             {clickid.User{HashedPhone: hash}, false, true, true},
		"hashed customer ID":       {clickid.User{HashedCustomerID: hash}, false, true, false},
		"impression ID":            {clickid.User{ImpressionID: "imp_1"}, false, true, false},
		"postal address":           {clickid.User{Addresses: []clickid.Address{{HashedLastName: hash}}}, false, false, false},
		"IP and user agent":        {clickid.User{IP: "203.0.113.7", UserAgent: "x"}, false, true, true},
		"IP without a user agent":  {clickid.User{IP: "203.0.113.7"}, false, false, false},
		"user agent without an IP": {clickid.User{UserAgent: "x"}, false, false, false},
		"only GPP":                 {clickid.User{GPP: "DBAA"}, false, false, false},
	}
	for name, tt := range tests {
		e := purchase("1")
		e.Click, e.User = clickid.Click{}, tt.user
		for i, identified := range []bool{tt.ecapi, tt.iab, tt.logEvent} {
			dialect := []capi.Dialect{ecapi, iab, logEvent}[i]
			p := platformtest.Responding(platformtest.OK())
			report, err := newClient(t, p, dialect).Send(context.Background(), e)
			require.NoError(t, err)
			result := report.Results[0]
			if identified {
				require.Equal(t, clickid.VerdictAccepted, result.Verdict, "%s %T", name, dialect)
				continue
			}
			require.Equal(t, clickid.VerdictSkippedOrganic, result.Verdict, "%s %T", name, dialect)
			require.NotEmpty(t, result.Reason)
			require.Zero(t, p.Count())
			sent(t, dialect, e, func(cfg *capi.Config) { cfg.SendUnattributed = true })
		}
	}
}

func TestCheck_organicReason(t *testing.T) {
	t.Parallel()
	e := purchase("1")
	e.Click = clickid.Click{}
	require.Equal(t, "there is no click and no user identity to attribute it by", newClient(t, platformtest.Responding(platformtest.OK()), ecapi).Check(e).Reason)
	e.User.HashedEmail = strings.Repeat("a", 64)
	require.Equal(t, "there is no click, and the dialect does not carry the user identities that the event has", newClient(t, platformtest.Responding(platformtest.OK()), ecapi).Check(e).Reason)
}

func TestPageURL(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, page string
		keep       bool
		want       any
		warned     bool
	}{
		{"query and fragment are dropped", "https://shop.test/a%20b?x=1#f", false, "https://shop.test/a%20b", false},
		{"query and fragment with KeepPageQuery", "https://shop.test/a?x=1#f", true, "https://shop.test/a?x=1#f", false},
		{"an e-mail address with KeepPageQuery", "https://shop.test/a?x=jane%40example.com", true, "https://shop.test/a", true},
		{"a phone number with KeepPageQuery", "https://shop.test/a?x=%2B12125550000", true, "https://shop.test/a", true},
		{"credentials are dropped", "https://jane:secret@shop.test/a", false, "https://shop.test/a", false},
		{"a path with an e-mail address is left out", "https://shop.test/u/jane@example.com", false, nil, true},
		{"a relative URL is left out", "/thanks", false, nil, true},
		{"another scheme is left out", "javascript:alert(1)", false, nil, true},
		{"another scheme in capitals is taken", "HTTPS://SHOP.test/A", false, "https://shop.test/A", false},
		{"brackets", "https://shop.test/list[0]/{a}|b", false, "https://shop.test/list%5B0%5D/%7Ba%7D%7Cb", false},
		{"a query with brackets and pipes", "https://shop.test/?filter[size]=m|l&q=ü", true, "https://shop.test/?filter%5Bsize%5D=m%7Cl&q=%C3%BC", false},
		{"umlauts", "https://shop.test/schön", false, "https://shop.test/sch%C3%B6n", false},
		{"escapes stay", "https://shop.test/sch%c3%b6n%2Fx", false, "https://shop.test/sch%c3%b6n%2Fx", false},
		{"a bare percent sign", "https://shop.test/100%/50%25", false, "https://shop.test/100%25/50%25", false},
		{"a space and quotes", "https://shop.test/a b\"c\\d", false, "https://shop.test/a%20b%22c%5Cd", false},
		{"spaces around it", " https://shop.test/a ", false, "https://shop.test/a", false},
		{"a host of another script", "https://bücher.example/a", false, "https://xn--bcher-kva.example/a", false},
		{"a host of another script with a port", "https://Bücher.example:8443/a", false, "https://xn--bcher-kva.example:8443/a", false},
		{"an encoded host of another script", "https://b%C3%BCcher.example/a", false, "https://xn--bcher-kva.example/a", false},
		{"a host in capitals with a letter that browsers change", "https://STRA\u1E9EE.example/a", false, nil, true},
		{"a host that normalisation changes", "https://\u01CCa.example/a", false, nil, true},
		{"a host in Punycode", "https://xn--bcher-kva.example/a", false, "https://xn--bcher-kva.example/a", false},
		{"a host that is not one", "https://☃.example/a", false, nil, true},
		{"a host with a space", "https://a b.example/a", false, nil, true},
		{"an IPv6 host", "https://[2001:db8::1]:8443/a", false, "https://[2001:db8::1]:8443/a", false},
		{"an IPv6 host with a zone", "https://[fe80::1%25eth0]/a", false, nil, true},
		{"an empty port", "https://shop.test:/a", false, "https://shop.test/a", false},
		{"a line break", "https://shop.test/a\nb", false, nil, true},
		{"a path with an order number", "https://shop.test/orders/302-458-9921", false, "https://shop.test/orders/302-458-9921", false},
		{"a phone number by name", "https://shop.test/a?phone=2125550000", true, "https://shop.test/a", true},
		{"an encoded address in the path", "https://shop.test/u/jane%40example.com", false, nil, true},
		{"no URL", "", false, nil, false},
	}
	for _, tt := range tests {
		e := purchase("1")
		e.PageURL = tt.page
		p := platformtest.Responding(platformtest.OK())
		c := newClient(t, p, logEvent, func(cfg *capi.Config) { cfg.KeepPageQuery = tt.keep })
		report, err := c.Send(context.Background(), e)
		require.NoError(t, err, tt.name)
		require.True(t, report.Accepted(), tt.name)
		require.Equal(t, tt.warned, len(report.Warnings) > 0, tt.name)
		var body struct {
			Events []map[string]any `json:"events"`
		}
		require.NoError(t, json.Unmarshal(p.Bodies[0], &body))
		require.Equal(t, tt.want, body.Events[0]["event_source_url"], tt.name)
	}
}

func TestECAPI_Currency(t *testing.T) {
	t.Parallel()
	e := purchase("1")
	e.Value = clickid.Minor(100, "EUR")
	tests := map[capi.CurrencyMember][2]any{
		capi.CurrencyMemberCurrency: {"EUR", nil},
		capi.CurrencyMemberCode:     {nil, "EUR"},
		capi.CurrencyMemberBoth:     {"EUR", "EUR"},
	}
	for member, want := range tests {
		body := sent(t, capi.ECAPI{DataSetID: "ds", Currency: member}, e)
		require.Equal(t, want, [2]any{body["currency"], body["currency_code"]})
	}
}

func TestLogEvent_ClickIDType(t *testing.T) {
	t.Parallel()
	kind := func(d capi.LogEvent, param string) any {
		e := purchase("1")
		e.Click.Param = param
		return sent(t, d, e)["user_match"].(map[string]any)["click_id_type"]
	}
	require.Equal(t, "sc3clid", kind(logEvent, "sc3clid"))
	require.Equal(t, "clkid", kind(logEvent, ""))
	require.Equal(t, "gclid", kind(capi.LogEvent{EventSourceID: "shop", ClickIDType: "gclid"}, "clkid"))
}

func TestDialect_longUserAgent(t *testing.T) {
	t.Parallel()
	e := purchase("1")
	e.User.IP, e.User.UserAgent = "203.0.113.7", strings.Repeat("ü", 600)
	match := sent(t, logEvent, e)["user_match"].(map[string]any)
	require.Equal(t, strings.Repeat("ü", 512), match["client_user_agent"])
}

func TestLogEvent_watchMilestone(t *testing.T) {
	t.Parallel()
	e := purchase("1")
	e.Type = clickid.WatchMilestone
	c := newClient(t, platformtest.Responding(platformtest.OK()), logEvent)
	require.Equal(t, clickid.VerdictRejected, c.Check(e).Verdict)
	e.Properties = map[string]any{"progress_seconds": 30}
	require.Equal(t, clickid.VerdictReady, c.Check(e).Verdict)
}

func TestDialect_itemCurrency(t *testing.T) {
	t.Parallel()
	e := purchase("1")
	e.Items = []clickid.Item{{ID: "a"}, {ID: "b", Price: clickid.Minor(100, "EUR")}}
	require.Equal(t, "EUR", sent(t, ecapi, e)["currency"])
	require.Equal(t, map[string]any{"currency": "EUR", "contents": []any{
		map[string]any{"id": "a"}, map[string]any{"id": "b", "price": 1.0},
	}}, sent(t, logEvent, e)["custom_data"])
}
