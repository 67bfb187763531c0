package capi

import (
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

func (d ECAPI) encode(w *rawjson.Writer, e *clickid.Event, pageURL string) (kind, id string) {
	kind, id = d.eventType(e.Type), ecapiID(e)
	w.Object("", func() {
		w.Text("data_set_id", d.DataSetID)
		w.Text("event_type", kind)
		w.Text("custom_event", e.CustomName)
		w.Int("timestamp", e.Time.Unix())
		w.Text("id", id)
		w.Text("source", d.source(e.Source))
		w.Number("value", e.Value.Number())
		d.writeCurrency(w, e.Currency())
		if d.hasUserData(e) {
			w.Object("user_data", func() { d.writeUserData(w, e) })
		}
		w.Object("properties", func() { d.writeProperties(w, e, pageURL) })
		if d.IAB {
			w.Raw("ext", e.Extra["ext"])
		}
	})
	return kind, id
}

func (d ECAPI) writeCurrency(w *rawjson.Writer, currency string) {
	member := d.Currency
	if member == CurrencyMemberDefault {
		member = CurrencyMemberCurrency
		if d.IAB {
			member = CurrencyMemberCode
		}
	}
	if member != CurrencyMemberCode {
		w.Text("currency", currency)
	}
	if member != CurrencyMemberCurrency {
		w.Text("currency_code", currency)
	}
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

// hasUserData reports whether the event has a user_data: something to attribute
// it by, or statements about privacy.
func (d ECAPI) hasUserData(e *clickid.Event) bool {
	return d.identified(e) || d.IAB && (e.User.GPP != "" || len(e.User.GPPSections) > 0 || e.User.MeasurementOnly)
}

func (d ECAPI) writeUserData(w *rawjson.Writer, e *clickid.Event) {
	user := &e.User
	w.Text("click_id", e.Click.ID)
	w.Text("external_id", user.ExternalID)
	if d.IAB {
		w.Text("customer_identifier", customerIdentifier(user))
	}
	w.Array("uids", func() {
		for _, id := range user.IDs {
			d.writeUID(w, id)
		}
	})
	if d.IAB {
		writeIABUser(w, e)
	}
}

// writeUID writes a user ID of a provider that the dialect documents.
func (d ECAPI) writeUID(w *rawjson.Writer, id clickid.UserID) {
	source, value, atype := iabSource(id.Type), id.Value, int64(atypePerson)
	switch {
	case id.Type == clickid.UserIDRampID:
	case id.Type == clickid.UserIDID5:
		atype = atypeDevice
	case !d.IAB || source == "":
		return
	default:
		value = iabHash(value)
	}
	w.Object("", func() {
		w.Text("id", value)
		w.Text("source", source)
		w.Int("atype", atype)
		if d.IAB {
			w.Raw("ext", id.Extra["ext"])
		}
	})
}

// customerIdentifier returns the hash of the customer's ID.
func customerIdentifier(user *clickid.User) string {
	if user.HashedCustomerID == "" && user.ExternalID != "" {
		return iabHash(user.ExternalID)
	}
	return user.HashedCustomerID
}

// writeIABUser writes the members for which only the IAB standard has a place.
func writeIABUser(w *rawjson.Writer, e *clickid.Event) {
	user := &e.User
	device := ""
	w.Array("email_address", func() {
		for _, id := range user.IDs {
			switch id.Type {
			case clickid.UserIDHashedEmail:
				w.Text("", id.Value)
			case clickid.UserIDMAID:
				device = id.Value
			}
		}
		w.Text("", user.HashedEmail)
	})
	w.Array("phone_numbers", func() { w.Text("", user.HashedPhone) })
	w.Array("address", func() {
		for i := range user.Addresses {
			writeAddress(w, &user.Addresses[i])
		}
	})
	w.Text("impression_id", user.ImpressionID)
	w.Text("ifa", device)
	w.Text("event_ip_address", user.IP)
	w.Text("event_user_agent", user.UserAgent)
	w.Text("landing_ip_address", e.Click.LandingIP)
	w.Text("landing_user_agent", e.Click.LandingUserAgent)
	w.Text("gpp_string", user.GPP)
	w.Array("gpp_sid", func() {
		for _, section := range user.GPPSections {
			w.Int("", int64(section))
		}
	})
	w.True("mmt_only", user.MeasurementOnly)
	for _, name := range []string{"customer_segments", "utcoffset", "age_range", "gender", "ext"} {
		w.Raw(name, user.Extra[name])
	}
}

func writeAddress(w *rawjson.Writer, a *clickid.Address) {
	w.Object("", func() {
		w.Text("first_name", a.HashedFirstName)
		w.Text("last_name", a.HashedLastName)
		w.Text("street", a.HashedStreet)
		w.Text("city", a.City)
		w.Text("state", a.State)
		w.Text("country_code", a.Country)
		w.Text("postal_code", a.HashedPostalCode)
		if kind, ok := addressTypes[a.Kind]; ok {
			w.Int("address_type", kind)
		}
		w.Raw("ext", a.Extra["ext"])
	})
}

// addressTypes are the numbers of the IAB standard.
var addressTypes = map[clickid.AddressKind]int64{clickid.AddressBilling: 1, clickid.AddressShipping: 2}

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

// ownProperties are the members of properties that come from the event's fields.
var ownProperties = []string{"items", "page_url", "transaction_id"}

func (d ECAPI) writeProperties(w *rawjson.Writer, e *clickid.Event, pageURL string) {
	w.Sorted(ownProperties, func(name string) {
		switch name {
		case "items":
			w.Array(name, func() {
				for i := range e.Items {
					d.writeItem(w, &e.Items[i])
				}
			})
		case "page_url":
			w.Text(name, pageURL)
		case "transaction_id":
			w.Text(name, e.OrderID)
		}
	}, e.Properties)
}

func (d ECAPI) writeItem(w *rawjson.Writer, item *clickid.Item) {
	w.Object("", func() {
		w.Text("id", item.ID)
		if d.IAB {
			w.Text("name", item.Name)
		}
		w.Number("price", item.Price.Number())
		if d.IAB {
			w.Number("discount", item.Discount.Number())
		}
		if item.Quantity > 0 {
			w.Int("quantity", int64(item.Quantity))
		}
		w.Text("brand", item.Brand)
		if d.IAB {
			w.Text("category", item.Category)
			for _, name := range iabItemMembers {
				w.Raw(name, item.Extra[name])
			}
		}
	})
}

// iabItemMembers are the extra members of an item that the IAB standard
// documents.
var iabItemMembers = []string{
	"affiliation", "cattax", "item_coupon", "item_list_id", "item_list_name", "item_item_variant", "item_location_id", "ext",
}

func (d ECAPI) frame() *body { return &body{} }
