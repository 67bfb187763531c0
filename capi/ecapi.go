package capi

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/rawjson"
)

// ECAPI is the dialect of Scope3's first conversion API, based on the Event and
// Conversion API 1.0 of the IAB Tech Lab. A request has one event. The platform
// identifies it by the data set and its ID, without its type. By default only
// the fields that Scope3 documents are sent. All event types are sent; Scope3
// refuses those that it does not document, such as [clickid.Refund], with
// status 400 (see [clickid.EventType]).
type ECAPI struct {
	// DataSetID is the data set, such as "ds_abc123xyz". Required.
	DataSetID string
	// Path is the path of the endpoint. Defaults to "/agentic/v1/events".
	Path string
	// IAB adds fields of the IAB standard that Scope3 does not document: hashed
	// e-mail, phone and customer ID, addresses, IP addresses and user agents,
	// GPP consent, further identity providers, names, categories and discounts
	// of items, and extra members. docs/dialects.md lists them. The source of a
	// store is then "physical_store" instead of "pos". Defaults to false.
	IAB bool
	// Currency selects the member with the currency. Defaults to
	// CurrencyMemberDefault.
	Currency CurrencyMember
}

// CurrencyMember selects the name of [ECAPI]'s member with the currency.
type CurrencyMember int

const (
	// CurrencyMemberDefault is "currency", or "currency_code" with [ECAPI].IAB.
	CurrencyMemberDefault CurrencyMember = iota
	// CurrencyMemberCurrency is "currency", the name that Scope3 documents.
	CurrencyMemberCurrency
	// CurrencyMemberCode is "currency_code", the name in the IAB standard.
	CurrencyMemberCode
	// CurrencyMemberBoth sends both members.
	CurrencyMemberBoth
)

const (
	ecapiPath         = "/agentic/v1/events"
	maxDataSetID      = 256
	ecapiRefundPrefix = "refund:"
)

func (d ECAPI) problems() []error {
	problems := []error{
		checkSetting("ECAPI.DataSetID", d.DataSetID, true, maxDataSetID),
		checkPath("ECAPI.Path", d.Path),
	}
	if d.Currency < CurrencyMemberDefault || d.Currency > CurrencyMemberBoth {
		problems = append(problems, errors.New("capi: ECAPI.Currency must be a CurrencyMember constant"))
	}
	return problems
}

func (d ECAPI) destination() string           { return d.DataSetID }
func (d ECAPI) origin(env Environment) string { return pingOrigin(env) }
func (d ECAPI) published() RateLimit          { return RateLimit{Requests: unlimited} }
func (d ECAPI) name() string                  { return "ecapi" }
func (d ECAPI) advertiser() string            { return "" }
func (d ECAPI) maxEvents() int                { return 1 }
func (d ECAPI) confirms() bool                { return false }
func (d ECAPI) respondsPerEvent() bool        { return false }

func (d ECAPI) path() string {
	if d.Path == "" {
		return ecapiPath
	}
	return d.Path
}

// iabSchema has the documented properties of the IAB standard that come from
// the event's properties.
var iabSchema = schema{
	"referrer":     isText(0),
	"coupon":       isTexts(0),
	"payment_type": isTexts(0),
	"shipping":     isNumber(math.Inf(1)),
	"tax":          isNumber(math.Inf(1)),
	"ext":          isObject,
	anyMember:      nil,
}

func (d ECAPI) fit(e *clickid.Event, r *remarks) {
	if !d.IAB {
		if e.User.MeasurementOnly {
			r.leaveOut("user.measurement_only", "is not a member of Scope3's ECAPI: the platform may use the event for optimization")
		}
		return
	}
	e.Properties = iabSchema.fit("properties", e.Properties, nil, r.leaveOut)
	iabExtras.fit(e, logEventExtras, r)
	if !isActionSource(e.Source) {
		r.change("source", "the IAB standard does not list it, so it is sent as other")
		e.Source = clickid.SourceOther
	}
	given, devices := e.User.IDs, 0
	e.User.IDs = nil
	for i, id := range given {
		if id.Type == clickid.UserIDMAID {
			devices++
		}
		if !iabCarries(id.Type) || id.Type == clickid.UserIDMAID && devices > 1 {
			r.leaveOut(fmt.Sprintf("user.ids[%d]", i), "belongs to a provider without a canonical domain, or to a second device")
			continue
		}
		e.User.IDs = append(e.User.IDs, id)
	}
}

// iabCarries reports whether the IAB standard has a member for user IDs of a
// type.
func iabCarries(t clickid.UserIDType) bool {
	return iabSource(t) != "" || t == clickid.UserIDHashedEmail || t == clickid.UserIDMAID
}

func (d ECAPI) identified(e *clickid.Event) bool {
	if !e.Click.IsZero() || e.User.ExternalID != "" {
		return true
	}
	for _, id := range e.User.IDs {
		if id.Type == clickid.UserIDRampID || id.Type == clickid.UserIDID5 || d.IAB && iabCarries(id.Type) {
			return true
		}
	}
	others := e.User
	others.IDs = nil
	return d.IAB && others.Identified()
}

type ecapiEvent struct {
	DataSetID    string      `json:"data_set_id"`
	EventType    string      `json:"event_type"`
	CustomEvent  string      `json:"custom_event,omitempty"`
	Timestamp    int64       `json:"timestamp"`
	ID           string      `json:"id"`
	Source       string      `json:"source,omitempty"`
	Value        json.Number `json:"value,omitempty"`
	Currency     string      `json:"currency,omitempty"`
	CurrencyCode string      `json:"currency_code,omitempty"`
	UserData     *ecapiUser  `json:"user_data,omitempty"`
	Properties   any         `json:"properties,omitempty"`
	Ext          any         `json:"ext,omitempty"`
}

type ecapiUser struct {
	ClickID            string         `json:"click_id,omitempty"`
	ExternalID         string         `json:"external_id,omitempty"`
	CustomerIdentifier string         `json:"customer_identifier,omitempty"`
	UIDs               []ecapiUID     `json:"uids,omitempty"`
	EmailAddress       []string       `json:"email_address,omitempty"`
	PhoneNumbers       []string       `json:"phone_numbers,omitempty"`
	Addresses          []ecapiAddress `json:"address,omitempty"`
	ImpressionID       string         `json:"impression_id,omitempty"`
	IFA                string         `json:"ifa,omitempty"`
	IP                 string         `json:"event_ip_address,omitempty"`
	UserAgent          string         `json:"event_user_agent,omitempty"`
	LandingIP          string         `json:"landing_ip_address,omitempty"`
	LandingUserAgent   string         `json:"landing_user_agent,omitempty"`
	GPP                string         `json:"gpp_string,omitempty"`
	GPPSections        []int          `json:"gpp_sid,omitempty"`
	MeasurementOnly    bool           `json:"mmt_only,omitempty"`
	Segments           any            `json:"customer_segments,omitempty"`
	UTCOffset          any            `json:"utcoffset,omitempty"`
	AgeRange           any            `json:"age_range,omitempty"`
	Gender             any            `json:"gender,omitempty"`
	Ext                any            `json:"ext,omitempty"`
}

type ecapiUID struct {
	ID     string `json:"id"`
	Source string `json:"source"`
	AType  int    `json:"atype"`
	Ext    any    `json:"ext,omitempty"`
}

type ecapiAddress struct {
	FirstName  string `json:"first_name,omitempty"`
	LastName   string `json:"last_name,omitempty"`
	Street     string `json:"street,omitempty"`
	City       string `json:"city,omitempty"`
	State      string `json:"state,omitempty"`
	Country    string `json:"country_code,omitempty"`
	PostalCode string `json:"postal_code,omitempty"`
	Type       int    `json:"address_type,omitempty"`
	Ext        any    `json:"ext,omitempty"`
}

// ecapiProperties has its members in the order of their names, like a map.
type ecapiProperties struct {
	Items         []ecapiItem `json:"items,omitempty"`
	PageURL       string      `json:"page_url,omitempty"`
	TransactionID string      `json:"transaction_id,omitempty"`
}

type ecapiItem struct {
	ID          string      `json:"id"`
	Name        string      `json:"name,omitempty"`
	Price       json.Number `json:"price,omitempty"`
	Discount    json.Number `json:"discount,omitempty"`
	Quantity    int         `json:"quantity,omitempty"`
	Brand       string      `json:"brand,omitempty"`
	Category    string      `json:"category,omitempty"`
	Affiliation any         `json:"affiliation,omitempty"`
	Taxonomy    any         `json:"cattax,omitempty"`
	Coupon      any         `json:"item_coupon,omitempty"`
	ListID      any         `json:"item_list_id,omitempty"`
	ListName    any         `json:"item_list_name,omitempty"`
	Variant     any         `json:"item_item_variant,omitempty"`
	LocationID  any         `json:"item_location_id,omitempty"`
	Ext         any         `json:"ext,omitempty"`
}

// addIAB adds the members that only the IAB standard documents.
func (i *ecapiItem) addIAB(item *clickid.Item) {
	i.Name, i.Category, i.Discount = item.Name, item.Category, json.Number(item.Discount.Number())
	i.Affiliation, i.Taxonomy, i.Coupon = item.Extra["affiliation"], item.Extra["cattax"], item.Extra["item_coupon"]
	i.ListID, i.ListName = item.Extra["item_list_id"], item.Extra["item_list_name"]
	i.Variant, i.LocationID, i.Ext = item.Extra["item_item_variant"], item.Extra["item_location_id"], item.Extra["ext"]
}

func (d ECAPI) encode(e *clickid.Event, pageURL string) (wireEvent, error) {
	event := ecapiEvent{
		DataSetID:   d.DataSetID,
		EventType:   d.eventType(e.Type),
		CustomEvent: e.CustomName,
		Timestamp:   e.Time.Unix(),
		ID:          ecapiID(e),
		Source:      d.source(e.Source),
		Value:       json.Number(e.Value.Number()),
		UserData:    d.user(e),
		Properties:  d.properties(e, pageURL),
	}
	if d.IAB {
		event.Ext = e.Extra["ext"]
	}
	member := d.Currency
	if member == CurrencyMemberDefault {
		member = CurrencyMemberCurrency
		if d.IAB {
			member = CurrencyMemberCode
		}
	}
	if member != CurrencyMemberCode {
		event.Currency = e.Currency()
	}
	if member != CurrencyMemberCurrency {
		event.CurrencyCode = e.Currency()
	}
	data, err := rawjson.Encode(event)
	return wireEvent{kind: event.EventType, id: event.ID, data: data}, err
}

// ecapiID returns the ID of the event. A refund gets an ID that differs from
// its purchase's, since the platform merges events of the same ID regardless of
// their types.
func ecapiID(e *clickid.Event) string {
	if e.Type == clickid.Refund && !strings.HasPrefix(e.ID, ecapiRefundPrefix) {
		return ecapiRefundPrefix + e.ID
	}
	return e.ID
}

// eventType returns the name of a type in Scope3's dialect or in the IAB
// standard.
func (d ECAPI) eventType(t clickid.EventType) string {
	if !d.IAB {
		return string(t)
	}
	switch t {
	case clickid.Lead:
		return "generate_lead"
	case clickid.ViewContent:
		return "viewed_item"
	case clickid.CompleteRegistration:
		return "sign_up"
	}
	return string(t)
}

func (d ECAPI) source(s clickid.Source) string {
	switch {
	case s == clickid.SourceInStore && d.IAB:
		return "physical_store"
	case s == clickid.SourceInStore:
		return "pos"
	case s == clickid.SourceOffline:
		return string(clickid.SourceOther)
	}
	return string(s)
}

// user returns the user_data of e, or nil when it would be empty.
func (d ECAPI) user(e *clickid.Event) *ecapiUser {
	u := &ecapiUser{ClickID: e.Click.ID, ExternalID: e.User.ExternalID}
	for _, id := range e.User.IDs {
		switch id.Type {
		case clickid.UserIDRampID:
			u.UIDs = append(u.UIDs, ecapiUID{ID: id.Value, Source: "liveramp.com", AType: atypePerson, Ext: d.uidExt(id)})
		case clickid.UserIDID5:
			u.UIDs = append(u.UIDs, ecapiUID{ID: id.Value, Source: "id5-sync.com", AType: atypeDevice, Ext: d.uidExt(id)})
		default:
			if d.IAB {
				u.addIAB(id)
			}
		}
	}
	if d.IAB {
		u.addIABUser(&e.User)
		u.LandingIP, u.LandingUserAgent = e.Click.LandingIP, e.Click.LandingUserAgent
	}
	if !d.identified(e) && u.GPP == "" && u.GPPSections == nil && !u.MeasurementOnly {
		return nil
	}
	return u
}

// uidExt returns the extensions of a user ID, which only the IAB standard
// documents.
func (d ECAPI) uidExt(id clickid.UserID) any {
	if !d.IAB {
		return nil
	}
	return id.Extra["ext"]
}

// addIAB adds a user ID for which only the IAB standard has a place.
func (u *ecapiUser) addIAB(id clickid.UserID) {
	switch {
	case id.Type == clickid.UserIDHashedEmail:
		u.EmailAddress = append(u.EmailAddress, id.Value)
	case id.Type == clickid.UserIDMAID:
		u.IFA = id.Value
	default:
		u.UIDs = append(u.UIDs, ecapiUID{ID: iabHash(id.Value), Source: iabSource(id.Type), AType: atypePerson, Ext: id.Extra["ext"]})
	}
}

// addIABUser adds what else only the IAB standard has a place for.
func (u *ecapiUser) addIABUser(user *clickid.User) {
	if u.CustomerIdentifier = user.HashedCustomerID; u.CustomerIdentifier == "" && user.ExternalID != "" {
		u.CustomerIdentifier = iabHash(user.ExternalID)
	}
	if user.HashedEmail != "" {
		u.EmailAddress = append(u.EmailAddress, user.HashedEmail)
	}
	if user.HashedPhone != "" {
		u.PhoneNumbers = []string{user.HashedPhone}
	}
	u.IP, u.UserAgent = user.IP, user.UserAgent
	u.GPP, u.GPPSections, u.MeasurementOnly = user.GPP, user.GPPSections, user.MeasurementOnly
	u.ImpressionID = user.ImpressionID
	u.Segments, u.UTCOffset, u.AgeRange = user.Extra["customer_segments"], user.Extra["utcoffset"], user.Extra["age_range"]
	u.Gender, u.Ext = user.Extra["gender"], user.Extra["ext"]
	for _, a := range user.Addresses {
		u.Addresses = append(u.Addresses, ecapiAddress{
			FirstName: a.HashedFirstName, LastName: a.HashedLastName, Street: a.HashedStreet, PostalCode: a.HashedPostalCode,
			City: a.City, State: a.State, Country: a.Country, Type: addressTypes[a.Kind], Ext: a.Extra["ext"],
		})
	}
}

// addressTypes are the numbers of the IAB standard. 0 omits the type.
var addressTypes = map[clickid.AddressKind]int{clickid.AddressBilling: 1, clickid.AddressShipping: 2}

// Agent types of AdCOM 1.0.
const (
	atypeDevice = 1
	atypePerson = 3
)

// iabSource returns the canonical domain by which the IAB standard names an
// identity provider, or "".
func iabSource(t clickid.UserIDType) string {
	switch t {
	case clickid.UserIDRampID, clickid.UserIDRampIDDerived:
		return "liveramp.com"
	case clickid.UserIDID5:
		return "id5-sync.com"
	case clickid.UserIDUID2:
		return "uidapi.com"
	case clickid.UserIDEUID:
		return "euid.eu"
	case clickid.UserIDPairID:
		return "google.com"
	}
	return ""
}

// iabHash returns an identifier as the IAB standard sends it: as a SHA-256.
// Scope3 documents RampID and ID5 as they are.
func iabHash(id string) string {
	hashed, err := clickid.HashCustomerID(id)
	if err != nil {
		return strings.ToLower(id) // a hash already
	}
	return hashed
}

// properties returns the properties of e, or nil when they would be empty.
func (d ECAPI) properties(e *clickid.Event, pageURL string) any {
	own := ecapiProperties{PageURL: pageURL, TransactionID: e.OrderID}
	if len(e.Items) > 0 {
		own.Items = make([]ecapiItem, len(e.Items))
		for i, item := range e.Items {
			own.Items[i] = ecapiItem{ID: item.ID, Price: json.Number(item.Price.Number()), Quantity: item.Quantity, Brand: item.Brand}
			if d.IAB {
				own.Items[i].addIAB(&item)
			}
		}
	}
	switch {
	case len(e.Properties) > 0:
		return merged{own: &own, properties: e.Properties}
	case own.Items == nil && pageURL == "" && e.OrderID == "":
		return nil
	}
	return &own
}

func (d ECAPI) request(events [][]byte, _ func([]byte) string) []byte { return events[0] }
