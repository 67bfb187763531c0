package clickid

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/clickid/clickid/internal/rawjson"
)

// Event is a conversion (a purchase, a lead …) in the library's own neutral
// form. Every [Dialect] sends the same Event, and every outbox queues it.
//
// Type, ID and Time are required, and so is something to attribute the event
// by: a click or a user identity. An event without one is organic: it is not
// sent, and that is not an error. Whatever else cannot be sent is left out with
// a warning; see [Event.Clean].
//
// Its JSON form is stable; amounts and times survive it exactly.
type Event struct {
	// Type is what happened.
	Type EventType `json:"type"`
	// ID is the caller's own ID of the event, usually the order number, 1 to
	// 256 characters, not an e-mail address. It must be the same whenever the same event is sent
	// again (redelivered webhooks, restarts): the platform counts it once.
	// Events of different types need different IDs on ECAPI, which
	// deduplicates without the type; there a refund is sent with "refund:"
	// before its ID, and other types are left as they are.
	ID string `json:"id"`
	// Time is when it happened, not when it is sent. Required; more than 15
	// minutes in the future or before the year 2000 is an error.
	Time time.Time `json:"time"`
	// Value is what the event is worth. Absent is not 0.00. A wrong amount is an
	// error.
	Value Amount `json:"value"`
	// Source is where it happened. Left out when empty.
	Source Source `json:"source,omitempty"`

	// Click is the ad click behind the event. [Convert] fills it in from the
	// visitor's request; a webhook fills it from [Tracker.Linked] or
	// [Tracker.Resolve].
	Click Click `json:"click"`
	// ClickToken stands for Click where that is not known yet: the token that
	// [Token] returned earlier. It is resolved by the client's Resolver, which
	// with an outbox means at delivery. Click wins when both are set.
	ClickToken string `json:"click_token,omitempty"`

	// User identifies the user where there is no click, or beside it.
	User User `json:"user"`
	// OrderID is the order's number when ID is something else; at most 256
	// characters.
	OrderID string `json:"order_id,omitempty"`
	// Items are the goods, at most 1,000. An item without ID and a line with a
	// negative price are left out.
	Items []Item `json:"items,omitempty"`
	// PageURL is the page it happened on. Query and fragment are dropped
	// before it is sent, since they may hold personal data, unless the client
	// is configured to keep them.
	PageURL string `json:"page_url,omitempty"`
	// CustomName names an event of type [Custom]; at most 256 characters.
	CustomName string `json:"custom_name,omitempty"`
	// Properties are further facts, in JSON's types, sent under their own
	// names. A property is left out when its name is one that the library fills
	// in itself, and when it holds what cannot be encoded or looks like an
	// e-mail address, a phone number or a postal address.
	Properties map[string]any `json:"properties,omitempty"`
	// KeepNumbers sends item names, CustomName and Properties also where they
	// look like a phone number. Set it where part numbers or the like have that
	// form. E-mail addresses are left out all the same, and so are the values
	// of properties that are named like a phone number.
	KeepNumbers bool `json:"keep_numbers,omitempty"`
	// Consent is the user's, where the application knows it. Denied is
	// never sent. Unknown (the default) leaves the decision to the visitor's
	// tracker in Convert, and sends otherwise.
	Consent Consent `json:"consent,omitempty"`
	// Keys are the application's keys of the user or order, under which an
	// outbox finds the event again to erase it. The keys of OrderID and
	// User.ExternalID are always among them. Only their hashes are stored.
	Keys []Key `json:"keys,omitempty"`
}

// UnmarshalJSON reads an event. Numbers in Properties become [json.Number], so
// that they are sent with the digits they were queued with. The error names
// the field that cannot be read, without its value.
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
		return fmt.Errorf("clickid: the event cannot be read from JSON: %s %s", field, problem)
	}
	*e = Event(p)
	return nil
}

// User is what identifies a user to the platform, besides the click: opaque
// or hashed, never in clear.
type User struct {
	// ExternalID is the advertiser's own opaque ID of the customer; at most
	// 512 characters, not an e-mail address or phone number. Sent by ECAPI, and
	// by LogEvent when it is told to.
	ExternalID string `json:"external_id,omitempty"`
	// IDs are tokens of identity providers, such as [RampID] and [ID5].
	IDs []UserID `json:"ids,omitempty"`
	// HashedEmail is what [HashEmail] returns: 64 hexadecimal characters.
	// Sent by LogEvent, and by ECAPI with IAB fields switched on.
	HashedEmail string `json:"hashed_email,omitempty"`
	// HashedPhone is what [HashPhone] returns: 64 hexadecimal characters.
	// Sent like HashedEmail.
	HashedPhone string `json:"hashed_phone,omitempty"`
	// IP and UserAgent are the visitor's. The platform matches by them only
	// together: one without the other is left out. Of a list of addresses, such
	// as X-Forwarded-For, the first is sent, without its port. A user agent is
	// cut after 512 characters. Sent like HashedEmail.
	IP        string `json:"ip,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
	// GPP is the IAB Global Privacy Platform string, and GPPSections its
	// section IDs. Sent by ECAPI with IAB fields switched on.
	GPP         string `json:"gpp,omitempty"`
	GPPSections []int  `json:"gpp_sections,omitempty"`
}

// Identified reports whether u holds anything that identifies a user. An IP
// address and a user agent count only together.
func (u User) Identified() bool {
	return u.ExternalID != "" || len(u.IDs) > 0 || u.HashedEmail != "" || u.HashedPhone != "" || u.IP != "" && u.UserAgent != ""
}

// Format prints what LogValue returns, whatever the verb: %+v must not spill
// what LogValue keeps back.
func (e Event) Format(s fmt.State, _ rune) { _, _ = fmt.Fprintf(s, "clickid.Event %v", e.LogValue()) }

// LogValue keeps everything that belongs to a user out of logs.
func (e Event) LogValue() slog.Value {
	return slog.GroupValue(slog.String("type", string(e.Type)), slog.Time("time", e.Time), slog.String("value", e.Value.String()))
}

// UserID is a token of an identity provider.
type UserID struct {
	Type  UserIDType `json:"type"`
	Value string     `json:"value"`
}

// RampID returns LiveRamp's person-based token as a user ID.
func RampID(token string) UserID { return UserID{Type: UserIDRampID, Value: token} }

// ID5 returns ID5's device-based token as a user ID.
func ID5(token string) UserID { return UserID{Type: UserIDID5, Value: token} }

// Item is one line of the order.
type Item struct {
	// ID is the shop's number of the article, such as its SKU; required, at most
	// 256 characters.
	ID string `json:"id"`
	// Name is sent by ECAPI with IAB fields switched on, as Category is.
	Name     string `json:"name,omitempty"`
	Brand    string `json:"brand,omitempty"` // at most 256 characters
	Category string `json:"category,omitempty"`
	// Quantity is at least 1 and at most 2^53; 0 leaves it out.
	Quantity int `json:"quantity,omitempty"`
	// Price is that of one piece, in the currency of the event's Value.
	Price Amount `json:"price"`
}
