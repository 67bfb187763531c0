package capi_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/interchange"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

// TestDialect_documentedFields checks that every field in the tables of the
// guide exists.
func TestDialect_documentedFields(t *testing.T) {
	t.Parallel()
	types := map[string]reflect.Type{
		"Event": reflect.TypeFor[clickid.Event](), "LogEvent": reflect.TypeFor[capi.LogEvent](), "ECAPI": reflect.TypeFor[capi.ECAPI](),
		"EventSource": reflect.TypeFor[interchange.EventSource](), "Config": reflect.TypeFor[interchange.Config](),
	}
	path := regexp.MustCompile("^`([A-Za-z.\\[\\]]+?)(\\[\"[a-z_]+\"\\])?`$")
	for _, heading := range []string{"Members of log_event", "Members of ECAPI", "Members of an event source"} {
		for _, m := range platformtest.DocumentedMembers(t, heading) {
			found := path.FindStringSubmatch(m.Field)
			if found == nil {
				require.NotEmpty(t, m.Field, m.Name)
				continue
			}
			names := strings.Split(found[1], ".")
			require.Contains(t, types, names[0], m.Name)
			current := types[names[0]]
			for _, name := range names[1:] {
				for current.Kind() == reflect.Pointer {
					current = current.Elem()
				}
				field, ok := current.FieldByName(strings.TrimSuffix(name, "[]"))
				require.True(t, ok, "%s: %s", m.Name, m.Field)
				if current = field.Type; strings.HasSuffix(name, "[]") {
					current = current.Elem()
				}
			}
			require.Equal(t, found[2] != "", current.Kind() == reflect.Map && !strings.HasSuffix(m.Name, "custom_data") && m.Name != "properties", m.Name)
		}
	}
}

// completeEvents are events that have every member of a contract.
func completeEvents() []clickid.Event {
	ext := func() map[string]any { return map[string]any{"ext": map[string]any{"vendor": true}} }
	hash := strings.Repeat("a", 64)
	e := fullEvent()
	e.Click.LandingIP, e.Click.LandingUserAgent = "203.0.113.8", "Mozilla/5.0"
	e.PageURL = "https://shop.test/"
	e.Extra = ext()
	e.Extra["surface"] = map[string]any{
		"category": "owned_property", "property_type": "channel", "namespace": "video", "property_id": "7", "ext": map[string]any{},
	}
	e.User.HashedCustomerID, e.User.ImpressionID, e.User.MeasurementOnly = hash, "imp_1", true
	e.User.Addresses = []clickid.Address{{
		Kind: clickid.AddressBilling, HashedFirstName: hash, HashedLastName: hash, HashedStreet: hash, HashedPostalCode: hash,
		City: "new york", State: "ny", Country: "us", Extra: ext(),
	}}
	e.User.Extra = ext()
	maps.Copy(e.User.Extra, map[string]any{"customer_segments": []string{"gold"}, "utcoffset": -300, "age_range": 5, "gender": hash})
	e.User.IDs = append(e.User.IDs, clickid.UserID{Type: clickid.UserIDMAID, Value: "ifa"})
	for i := range e.User.IDs {
		e.User.IDs[i].Extra = ext()
	}
	e.Items[0].Discount = clickid.Decimal("1.00", "USD")
	e.Items[0].Extra = ext()
	e.Properties = map[string]any{
		"content_ids": []string{"a"}, "content_type": "product", "content_name": "Boots", "content_category": "Shoes", "num_items": 2,
		"search_string": "boots", "progress_percent": 50, "progress_seconds": 10, "ext": map[string]any{},
		"referrer": "https://search.test/", "coupon": []string{"SPRING"}, "payment_type": []string{"card"}, "shipping": 5, "tax": 12,
	}
	own := e
	own.Items = slices.Clone(e.Items)
	own.Items[0].Extra = map[string]any{
		"cattax": 9, "affiliation": "Store", "item_coupon": "SPRING", "item_list_id": "1", "item_list_name": "Sale",
		"item_item_variant": "red", "item_location_id": "7", "ext": map[string]any{},
	}
	custom := e
	custom.Type, custom.CustomName = clickid.Custom, "quiz"
	return []clickid.Event{e, own, custom}
}

// paths adds the paths of all members in v. It does not look into open objects.
func paths(path string, v any, found map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		if name := path[strings.LastIndex(path, ".")+1:]; name == "ext" || name == "account" || name == "context" {
			return
		}
		for name, member := range v {
			inner := strings.TrimPrefix(path+"."+name, ".")
			found[inner] = true
			paths(inner, member, found)
		}
	case []any:
		for _, element := range v {
			paths(path+"[]", element, found)
		}
	}
}

// free are the objects in which a contract allows members of any name.
var free = regexp.MustCompile(`^(properties|events\[\]\.custom_data(\.contents\[\])?)\.[a-z_]+$`)

// TestDialect_documentedMembers compares what the dialects send of complete
// events with the tables of the guide, both ways.
func TestDialect_documentedMembers(t *testing.T) {
	t.Parallel()
	full := receiverLogEvent
	full.TestEventCode = "TEST1"
	full.Extra = map[string]any{
		"account": map[string]any{"account_id": "a"}, "context": map[string]any{"a": 1}, "ext": map[string]any{}, "adcp_version": "3.1", "adcp_major_version": 3,
	}
	for _, tt := range []struct {
		name, heading string
		dialect       capi.Dialect
		sent          func(platformtest.Member) bool
	}{
		{"log_event", "Members of log_event", full, func(platformtest.Member) bool { return true }},
		{"ECAPI of the IAB", "Members of ECAPI", capi.ECAPI{DataSetID: clickidtest.DataSetID, IAB: true, Currency: capi.CurrencyMemberBoth},
			func(platformtest.Member) bool { return true }},
		{"ECAPI of Scope3", "Members of ECAPI", receiverECAPI, func(m platformtest.Member) bool { return m.Note != "IAB" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			found := make(map[string]bool)
			for _, e := range completeEvents() {
				scope3, ok := tt.dialect.(capi.ECAPI)
				if ok && !scope3.IAB && e.Type == clickid.Custom {
					continue // Scope3 does not document the type
				}
				srv := clickidtest.NewServer(t, func(cfg *clickidtest.Config) { cfg.IAB = ok && scope3.IAB })
				_, err := receiverClient(t, srv, tt.dialect).Send(t.Context(), e)
				require.NoError(t, err, "the receiver accepts every member")
				p := platformtest.Responding(platformtest.OK())
				_, err = newClient(t, p, tt.dialect).Send(t.Context(), e)
				require.NoError(t, err)
				var body any
				require.NoError(t, json.Unmarshal(p.Bodies[0], &body))
				paths("", body, found)
			}
			var want []string
			for _, m := range platformtest.DocumentedMembers(t, tt.heading) {
				if tt.sent(m) {
					want = append(want, m.Name)
				}
			}
			maps.DeleteFunc(found, func(name string, _ bool) bool { return free.MatchString(name) && !slices.Contains(want, name) })
			slices.Sort(want)
			require.Equal(t, want, slices.Sorted(maps.Keys(found)))
		})
	}
}
