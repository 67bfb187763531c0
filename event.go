package clickid

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/clickid/clickid/internal/rawjson"
)

// Event is a conversion, such as a purchase or a lead. It does not depend on a
// dialect or a queue.
//
// Type, ID and Time are required, and something to attribute the event by: a
// click or a user identity. An event without one is organic: it is not sent,
// without an error. Other fields that cannot be sent are left out with a
// warning; see [Event.Clean].
//
// The JSON form is stable and keeps amounts and times exactly.
type Event struct {
	// Type is the type of the event. Required.
	Type EventType `json:"type"`
	// ID is the application's ID of the event, usually the order number: 1 to
	// 256 characters, not an e-mail address. It must be the same whenever the
	// event is sent again (redelivered webhooks, restarts), since the platform
	// counts an ID once. On ECAPI, which deduplicates without the type, events
	// of different types need different IDs; only the ID of a refund is sent
	// with the prefix "refund:".
	ID string `json:"id"`
	// Time is the time of the event, not of the sending. Required. More than 15
	// minutes in the future or before the year 2000 is an error.
	Time time.Time `json:"time"`
	// Value is the value of the event. A missing value is not 0.00. An invalid
	// amount is an error.
	Value Amount `json:"value"`
	// Source is the place of the event. Optional.
	Source Source `json:"source,omitempty"`

	// Click is the click on the ad. [Convert] sets it from the visitor's
	// request. Webhooks set it with [Tracker.Linked] or [Tracker.Resolve].
	Click Click `json:"click"`
	// ClickToken is the token of the click that [Token] returned. The client's
	// Resolver resolves it, with an outbox at delivery. It is ignored if Click
	// is set.
	ClickToken string `json:"click_token,omitempty"`

	// User identifies the user, with or without a click.
	User User `json:"user"`
	// OrderID is the order number if it differs from ID. It has at most 256
	// characters.
	OrderID string `json:"order_id,omitempty"`
	// Items are the items of the order, at most 1,000. An item without ID or
	// with a negative price is left out.
	Items []Item `json:"items,omitempty"`
	// PageURL is the page of the event. Query and fragment are removed before
	// sending, since they may contain personal data, unless the client is
	// configured to keep them.
	PageURL string `json:"page_url,omitempty"`
	// CustomName names an event of type [Custom]; at most 256 characters.
	CustomName string `json:"custom_name,omitempty"`
	// Properties are additional members, in types of JSON. A property is left
	// out if the library sets a member of its name, if it cannot be encoded, or
	// if it looks like an e-mail address, a phone number or a postal address.
	Properties map[string]any `json:"properties,omitempty"`
	// Extra are further members of the event that only a dialect has, by name:
	// its ext, and log_event's surface. User, UserID, Address and Item have
	// such members, too. A dialect sends those that its contract documents for
	// the place; docs/dialects.md lists them. They are checked like Properties.
	// Together, Properties and Extra may take 64 KiB as JSON.
	Extra map[string]any `json:"extra,omitempty"`
	// KeepNumbers sends item names, CustomName, Properties and Extra that look
	// like a phone number, for example part numbers. E-mail addresses and the
	// values of members with names of phone numbers are still left out.
	KeepNumbers bool `json:"keep_numbers,omitempty"`
	// Consent is the consent of the user, if the application knows it. An event
	// with denied consent is not sent. With unknown consent (the default),
	// Convert uses the consent of the visitor. Without a visitor, as in a
	// webhook, the event is sent. If the sender's resolver is a tracker with
	// [Config].Consent, it is sent without user identities but with its click,
	// which was stored with consent, and skipped if it has none.
	Consent Consent `json:"consent,omitempty"`
	// Keys are the application's keys of the user or order. An outbox finds the
	// event by them for erasure. The keys of OrderID and User.ExternalID are
	// included automatically. Only hashes of the keys are stored.
	Keys []Key `json:"keys,omitempty"`
}

// UnmarshalJSON decodes an event. Numbers in Properties become [json.Number],
// which keeps their digits. The error names the field and does not contain its
// value.
func (e *Event) UnmarshalJSON(data []byte) error {
	type plain Event
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var p plain
	if err := dec.Decode(&p); err != nil {
		field, problem := rawjson.Locate(data, reflect.TypeFor[plain]())
		if field == "" {
			field = "it"
		}
		return fmt.Errorf("clickid: decoding the event: %s %s", field, problem)
	}
	*e = Event(p)
	return nil
}

// User identifies a user to the platform besides the click, with opaque or
// hashed values.
type User struct {
	// ExternalID is the advertiser's opaque ID of the customer. It has at most
	// 512 characters and is not an e-mail address or phone number. ECAPI sends
	// it, and LogEvent if configured.
	ExternalID string `json:"external_id,omitempty"`
	// IDs are tokens of identity providers, such as [RampID] and [ID5].
	IDs []UserID `json:"ids,omitempty"`
	// HashedEmail is the result of [HashEmail]: 64 hexadecimal characters.
	// LogEvent sends it, and ECAPI with IAB fields.
	HashedEmail string `json:"hashed_email,omitempty"`
	// HashedPhone is the result of [HashPhone]: 64 hexadecimal characters. It
	// is sent like HashedEmail.
	HashedPhone string `json:"hashed_phone,omitempty"`
	// HashedCustomerID is the result of [HashCustomerID]: 64 hexadecimal
	// characters. ECAPI sends it with IAB fields, and the hash of ExternalID if
	// it is empty.
	HashedCustomerID string `json:"hashed_customer_id,omitempty"`
	// ImpressionID is the platform's ID of an ad that the user saw. It has at
	// most 512 characters. ECAPI sends it with IAB fields.
	ImpressionID string `json:"impression_id,omitempty"`
	// Addresses are postal addresses of the user, with hashed names, at most
	// 10. ECAPI sends them with IAB fields. They do not suffice to attribute an
	// event.
	Addresses []Address `json:"addresses,omitempty"`
	// IP and UserAgent are those of the visitor. The platform only uses them
	// together, so one without the other is left out. Of a list of addresses,
	// such as X-Forwarded-For, the first is sent without its port. Only the first
	// 512 characters of the user agent are sent. They are sent like HashedEmail.
	IP        string `json:"ip,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
	// GPP is the IAB Global Privacy Platform string, and GPPSections are its
	// section IDs. ECAPI sends them with IAB fields.
	GPP         string `json:"gpp,omitempty"`
	GPPSections []int  `json:"gpp_sections,omitempty"`
	// MeasurementOnly forbids the platform to use the event for more than
	// attribution, such as the optimization of ads. ECAPI sends it with IAB
	// fields. Other dialects have no such member, so they send the event with a
	// warning.
	MeasurementOnly bool `json:"measurement_only,omitempty"`
	// Extra are further members, such as ext; see [Event].Extra.
	Extra map[string]any `json:"extra,omitempty"`
}

// Identified reports whether u identifies a user. An IP address and a user
// agent do so only together.
func (u User) Identified() bool {
	return u.ExternalID != "" || len(u.IDs) > 0 || u.HashedEmail != "" || u.HashedPhone != "" || u.HashedCustomerID != "" ||
		u.ImpressionID != "" || u.IP != "" && u.UserAgent != ""
}

// WithoutIdentities returns u without personal data: with its GPP string, its
// sections and MeasurementOnly.
func (u User) WithoutIdentities() User {
	return User{GPP: u.GPP, GPPSections: u.GPPSections, MeasurementOnly: u.MeasurementOnly}
}

// Format prints the value of LogValue for every verb, also for %+v.
func (e Event) Format(s fmt.State, _ rune) { _, _ = fmt.Fprintf(s, "clickid.Event %v", e.LogValue()) }

// LogValue returns the event without personal data.
func (e Event) LogValue() slog.Value {
	return slog.GroupValue(slog.String("type", string(e.Type)), slog.Time("time", e.Time), slog.String("value", e.Value.String()))
}

// UserID is a token of an identity provider.
type UserID struct {
	Type  UserIDType `json:"type"`  // the provider
	Value string     `json:"value"` // the token as the provider issues it
	// Extra are further members, such as ext; see [Event].Extra.
	Extra map[string]any `json:"extra,omitempty"`
}

// RampID returns LiveRamp's person-based token as a user ID.
func RampID(token string) UserID { return UserID{Type: UserIDRampID, Value: token} }

// ID5 returns ID5's device-based token as a user ID.
func ID5(token string) UserID { return UserID{Type: UserIDID5, Value: token} }

// Currency returns the currency of the value or of the first item with a price
// or a discount, or "".
func (e *Event) Currency() string {
	if e.Value.currency != "" {
		return e.Value.currency
	}
	for i := range e.Items {
		if c := cmp.Or(e.Items[i].Price.currency, e.Items[i].Discount.currency); c != "" {
			return c
		}
	}
	return ""
}
