package capi

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/clickid/clickid"
)

// extras are the extra members that a dialect documents for the parts of an
// event. Their names in the schemas are those of the contract.
type extras struct {
	event, user, userID, address, item schema
}

// fit brings the extra members of e into their form. It leaves out those that
// have none. A member that only another dialect documents is left out without a
// warning, since the same event may go to several destinations.
func (x extras) fit(e *clickid.Event, other extras, r *remarks) {
	e.Extra = x.event.fit("extra", e.Extra, other.event, r.leaveOut)
	e.User.Extra = x.user.fit("user.extra", e.User.Extra, other.user, r.leaveOut)
	fitEach("user.ids", &e.User.IDs, func(id *clickid.UserID) *map[string]any { return &id.Extra }, x.userID, other.userID, r)
	fitEach("user.addresses", &e.User.Addresses, func(a *clickid.Address) *map[string]any { return &a.Extra }, x.address, other.address, r)
	fitEach("items", &e.Items, func(i *clickid.Item) *map[string]any { return &i.Extra }, x.item, other.item, r)
}

// fitEach fits the extra members of the elements of a list, without changing the
// given list.
func fitEach[T any](field string, list *[]T, extra func(*T) *map[string]any, own, other schema, r *remarks) {
	copied := false
	for i := range *list {
		if len(*extra(&(*list)[i])) == 0 {
			continue
		}
		if !copied {
			*list, copied = slices.Clone(*list), true
		}
		members := extra(&(*list)[i])
		*members = own.fit(fmt.Sprintf("%s[%d].extra", field, i), *members, other, r.leaveOut)
	}
}

// logEventExtras are the members of AdCP's schemas. The contents of custom_data
// may have any other member.
var logEventExtras = extras{
	event:  schema{"ext": isObject, "surface": isSurface},
	user:   schema{"ext": isObject},
	userID: schema{"ext": isObject},
	item: schema{
		"ext": isObject, anyMember: nil,
		"id": isOwn("id"), "quantity": isOwn("quantity"), "price": isOwn("price"), "brand": isOwn("brand"),
	},
}

// iabExtras are the members of the IAB standard.
var iabExtras = extras{
	event: schema{"ext": isObject},
	user: schema{
		"customer_segments": isTexts(0), "utcoffset": isInteger(-24*60, 24*60), "age_range": isInteger(1, 13), "gender": isHash, "ext": isObject,
	},
	userID:  schema{"ext": isObject},
	address: schema{"ext": isObject},
	item: schema{
		"affiliation": isText(0), "cattax": isInteger(0, maxInteger), "item_coupon": isText(0), "item_list_id": isText(0),
		"item_list_name": isText(0), "item_item_variant": isText(0), "item_location_id": isText(0), "ext": isObject,
	},
}

// requestExtras are the members of a log_event request that have no field in
// [LogEvent].
var requestExtras = schema{
	"account": isObject, "context": isObject, "ext": isObject, "adcp_version": isVersion, "adcp_major_version": isInteger(1, 99),
}

// version is AdCP's form of a version: without the patch.
var version = regexp.MustCompile(`^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?)?$`)

func isVersion(v any) (any, string) {
	if s, ok := v.(string); !ok || !version.MatchString(s) {
		return nil, `must be a version and release such as "3.1"`
	}
	return v, ""
}

// isOwn refuses a member that is filled in from a field of the item.
func isOwn(field string) func(any) (any, string) {
	return func(any) (any, string) { return nil, "is filled in from the item's " + field }
}

// isHash takes a SHA-256 in hexadecimal.
func isHash(v any) (any, string) {
	s, _ := v.(string)
	if s = strings.ToLower(s); len(s) != 64 || strings.Trim(s, "0123456789abcdef") != "" {
		return nil, "must be a SHA-256 in 64 hexadecimal characters (HashName)"
	}
	return s, ""
}

// surfaceCategories are the places of AdCP's event surface.
var surfaceCategories = []string{
	"owned_property", "website", "app", "offline", "phone_call", "chat", "email", "in_store", "system_generated", "other",
}

// surfaceSchema has the members of an event surface. It may have any other.
var surfaceSchema = schema{
	"category": isText(0), "property_type": isText(128), "namespace": isText(128), "property_id": isText(256), "ext": isObject,
}

// isSurface takes an event surface.
func isSurface(v any) (any, string) {
	surface, ok := v.(map[string]any)
	if !ok {
		return nil, "must be an object"
	}
	if category, _ := surface["category"].(string); !slices.Contains(surfaceCategories, category) {
		return nil, "must have a category: " + strings.Join(surfaceCategories, ", ")
	}
	for _, name := range slices.Sorted(maps.Keys(surface)) {
		if rule, ok := surfaceSchema[name]; ok {
			if _, problem := rule(surface[name]); problem != "" {
				return nil, "has a " + name + " that " + problem
			}
		}
	}
	return v, ""
}
