package capi_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/stretchr/testify/require"
)

// fuzzedTexts are what shops, tills and visitors put into an event.
var fuzzedTexts = []string{
	"", "a", "ü", "Boots\nred", "a\tb", "\x00", "\xff", "\u2028", "\u200b", "\ufeffa", "{}", "0", strings.Repeat("ä", 257), strings.Repeat("x", 600),
	"jane@example.com", "a@b.co", "logo@2x.png", "logo@2x.zip", "anna@10x.com", "%40", "jane%40example.com", "jane%2540example.com", "till@store.local",
	"ｊａｎｅ＠ｅｘａｍｐｌｅ．ｃｏｍ", "jane@example.com2", "jane@example.com_2", "jane@пример.рф", "@a.com", "a@.com", "\"a b\"@c.com",
	"+12125550000", "+1 212-555-0000 x12", "call +49 30 12345678 4pm", "+49 30 12345678", "(212) 555-0000", "302-458-9921", "0123 456 789",
	"2125550000", "+1(2)3.4-5 6/7-8", ":+12345678-9pm", "1+23456789", "+1234567", "+１２１２５５５００００", "FR 40 303 265 045",
	"2024-11-23 10:15:30", "4006381333931", "Mozilla/5.0 (X11; Linux)", "Caf\xe9/1.0",
	"https://shop.test/a?b#c", "https://u:p@shop.test/", "ftp://x", "https://shop.test/list[0]|{x}?f[a]=b|c#[", "https://shop.test/100%",
	"https://bücher.example/schön?q=ü", "https://shop.test:99999/", "https://[::1]/", "https://a_b.test/", "https://shop.test/?phone=2125550000",
	"https://shop.test/\\x", "https://shop.test/%zz", "https://%41.test/", "https://shop.test/;a=1,2:3@4",
	"203.0.113.7", "203.0.113.7:443", "203.0.113.7, 10.0.0.1", "[2001:db8::1]:443", "fe80::1%eth0", "::ffff:1.2.3.4", "unknown",
	strings.Repeat("0AF9", 16), strings.Repeat("0af9", 16), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	"149.99", "149.990000000000000000000000000000", "126.0420168067226891", ".99", "-0.00", "-1", "usd", "BGN", "XAD", "ISK",
	"num_items", "content_ids", "content_type", "progress_percent", "coupon", "tax", "shipping", "referrer", "ext", "address", "phone", "value", "items",
	"2.0", "9007199254740993", "1e999", "[\"a\"]", "[1]", "[\"\"]", "null", "{\"address\":1}", "{\"a\":{\"phone\":4930901820}}", "-5", "true",
	"website", "Web-Site", "kiosk", "custom", "watch_milestone", "refund", "id5", "hashed_email", "maid", "other", "publisher_first_party",
}

// documentedTypes are event types that the endpoint of a dialect lists. It
// refuses others, and the type of an event cannot be left out.
func documentedTypes(d capi.Dialect) []clickid.EventType {
	if e, ok := d.(capi.ECAPI); ok && !e.IAB {
		return []clickid.EventType{clickid.Purchase, clickid.Lead, clickid.ViewContent, clickid.SignUp}
	}
	return []clickid.EventType{
		clickid.Purchase, clickid.Lead, clickid.ViewContent, clickid.SignUp, clickid.Refund, clickid.Install, clickid.Custom, clickid.WatchMilestone,
	}
}

// FuzzContract checks that the receiver accepts every event that the client
// accepts, whatever its texts and numbers are.
func FuzzContract(f *testing.F) {
	for i, text := range fuzzedTexts {
		f.Add(text, "name", int64(14999), uint32(0x0000_5555)<<(i%2))
		f.Add("order-1", text, int64(0), uint32(0xFFFF_FFFF))
		f.Add(text, text, int64(i), uint32(0x3333_3333)<<(i%2))
		f.Add(text, fuzzedTexts[(i+len(fuzzedTexts)/2)%len(fuzzedTexts)], int64(-i), uint32(i)*0x9E37_79B9)
	}
	dialects := []capi.Dialect{
		receiverECAPI, capi.ECAPI{DataSetID: clickidtest.DataSetID, IAB: true}, withExternalID(receiverLogEvent), receiverInterchange,
	}
	var clients []*capi.Client
	for i, dialect := range dialects {
		ecapi, _ := dialect.(capi.ECAPI)
		receiver := clickidtest.New(clickidtest.Config{IAB: ecapi.IAB, Keep: 10})
		c, err := capi.New(capi.Config{
			APIKey: clickidtest.APIKey, Dialect: dialect, KeepPageQuery: i%2 == 0, HTTPClient: &http.Client{Transport: handlerTransport{receiver}},
			RateLimit: capi.RateLimit{Requests: -1},
		})
		require.NoError(f, err)
		clients = append(clients, c)
	}
	f.Fuzz(func(t *testing.T, text, other string, number int64, mask uint32) {
		e := fuzzedEvent(text, other, number, mask)
		for i, client := range clients {
			dialect := dialects[i]
			types := documentedTypes(dialect)
			e.Type = types[uint64(number)%uint64(len(types))]
			result := client.Check(e)
			if result.Verdict != clickid.VerdictReady {
				continue
			}
			_, err := client.Send(context.Background(), e)
			var refusal *capi.ResponseError
			if !errors.As(err, &refusal) {
				require.NoError(t, err)
				continue
			}
			if unlisted := "value has a currency"; strings.Contains(strings.Join(result.Warnings, "\n"), unlisted) && strings.Contains(string(refusal.Body), "/currency") {
				continue // the client warned
			}
			t.Fatalf("%+v: %s", dialect, refusal.Body)
		}
	})
}

// fuzzExtra sets the fields that few shops use, and extra members everywhere.
func fuzzExtra(e *clickid.Event, text, other string, number int64) {
	extra := map[string]any{
		"ext": json.RawMessage(text), "surface": map[string]any{"category": other, "property_id": text}, "customer_segments": []any{text},
		"utcoffset": number, "age_range": json.RawMessage(text), "gender": other, "affiliation": text, "cattax": number, "price": 1, other: text,
	}
	e.Extra, e.User.Extra = extra, extra
	e.User.HashedCustomerID, e.User.ImpressionID, e.User.MeasurementOnly = text, other, true
	e.User.Addresses = []clickid.Address{{
		Kind: clickid.AddressKind(other), HashedLastName: text, HashedPostalCode: other, City: text, State: other, Country: text, Extra: extra,
	}}
	for i := range e.User.IDs {
		e.User.IDs[i].Extra = extra
	}
	for i := range e.Items {
		e.Items[i].Discount, e.Items[i].Extra = clickid.Decimal(other, "USD"), extra
	}
}

// fuzzedEvent sets the fields of an event that mask chooses.
func fuzzedEvent(text, other string, number int64, mask uint32) clickid.Event {
	e := purchase("order-1")
	next := uint32(1)
	chosen := func() bool { next <<= 1; return mask&(next>>1) != 0 }
	set := func(field *string, value string) {
		if chosen() {
			*field = value
		}
	}
	set(&e.ID, text)
	set(&e.OrderID, text)
	set(&e.User.ExternalID, text)
	set(&e.PageURL, text)
	set(&e.User.UserAgent, text)
	set(&e.User.IP, other)
	set(&e.User.GPP, text)
	set(&e.User.HashedEmail, text)
	set(&e.User.HashedPhone, other)
	set(&e.CustomName, other)
	set((*string)(&e.Source), text)
	set(&e.Click.ID, text)
	set(&e.Click.Param, other)
	switch {
	case chosen():
		e.Value = clickid.Decimal(text, "USD")
	case chosen():
		e.Value = clickid.Minor(number, other)
	default:
		e.Value = clickid.StripeMinor(number, "usd")
	}
	if chosen() {
		e.User.IDs = []clickid.UserID{clickid.RampID(text), {Type: clickid.UserIDType(other), Value: text}, {Type: clickid.UserIDHashedEmail, Value: other}}
	}
	if chosen() {
		e.Items = []clickid.Item{
			{ID: text, Name: other, Brand: other, Category: text, Quantity: int(number), Price: clickid.Minor(number, "USD")},
			{ID: "sku", Name: text, Brand: text, Quantity: 1, Price: clickid.Decimal(text, "usd")}, {Name: text},
		}
	}
	if chosen() {
		e.Properties = map[string]any{other: text, "content_name": text, "nested": map[string]any{"list": []any{text, number}, other: text}}
	}
	if chosen() {
		if e.Properties == nil {
			e.Properties = map[string]any{}
		}
		for _, name := range []string{"num_items", "content_ids", "progress_percent", "progress_seconds", "coupon", "tax", "ext", other} {
			e.Properties[name] = json.RawMessage(text)
		}
	}
	if chosen() {
		e.User.GPPSections = []int{int(number), 7}
	}
	if chosen() {
		fuzzExtra(&e, text, other, number)
	}
	return e
}
