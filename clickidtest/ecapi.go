package clickidtest

import (
	"net/http"
	"time"
)

// Event types of Scope3's dialect.
var ecapiTypes = oneOf(
	"purchase", "add_to_cart", "begin_checkout", "add_payment_info",
	"lead", "sign_up", "complete_registration", "subscribe",
	"page_view", "view_content",
)

// iabType is the form of a type of the IAB standard, whose list is open.
var iabType = pattern(`^[a-z][a-z0-9_]{0,63}$`)

var iabSource = oneOf(
	"email", "website", "app", "phone_call", "chat", "physical_store", "system_generated", "business_messaging", "other",
	"pos", // Scope3's own
)

// agentTypes are the identity providers of Scope3's table and their atype.
var agentTypes = map[string]int64{"liveramp.com": 3, "id5-sync.com": 1}

// latestSecond tells seconds from milliseconds: it is after every plausible
// time in seconds and before every recent one in milliseconds.
const latestSecond = 1e11

// ecapi handles a request in the dialect ECAPI.
func (x *exchange) ecapi() response {
	p := problems{asked: x.asked}
	o, refusal := x.payload(&p)
	if o == nil {
		return refusal
	}
	x.record.Events = 1
	if id, ok := o.members["data_set_id"].(string); ok && id != "" && !permits(x.account.DataSets, id) {
		return x.refuse(http.StatusForbidden, Error{Code: "ACCESS_DENIED", Message: "Access denied to dataset"})
	}
	e := x.ecapiEvent(o)
	e.Raw, e.Request, e.Problems = x.body, x.record.Number, p.found
	x.events = []*Event{e}
	if len(p.found) == 0 {
		if r := x.refusalOf(e.ID); r != nil && e.ID != "" {
			e.refuse("", r)
			return x.refuse(r.Status, Error{Code: r.Code, Message: "Validation error", Recovery: r.Recovery})
		}
	}
	if len(p.found) > 0 {
		e.Outcome = OutcomeRefused
		return x.invalid(p.found)
	}
	if x.fault.Failed > 0 {
		e.fail("")
		return x.refuse(http.StatusBadRequest, Error{Code: "VALIDATION_ERROR", Message: "Validation error"})
	}
	x.mu.Lock()
	x.ledger.book(e, x.cfg.Now())
	x.mu.Unlock()
	return x.reply(http.StatusOK, map[string]any{"status": "ok"})
}

// ecapiEvent checks an event and returns it as far as it can be read.
func (x *exchange) ecapiEvent(o *object) *Event {
	iab := x.cfg.IAB
	e := &Event{Dialect: DialectECAPI}
	o.require("data_set_id", "event_type", "timestamp")
	e.Destination = o.text("data_set_id", 0)
	if iab {
		e.Type = o.text("event_type", 0, iabType)
		x.ecapiBeyond(o, e)
	} else {
		e.Type = o.text("event_type", 0, ecapiTypes)
	}
	if seconds, ok := o.integer("timestamp", 0, unbounded); ok && seconds > latestSecond {
		o.wrong("timestamp", "must be in seconds, not in milliseconds")
	} else if ok {
		e.Time = time.Unix(seconds, 0).UTC()
		o.notAhead("timestamp", e.Time, x.cfg.Now())
	}
	e.ID = o.text("id", 0)
	if iab {
		e.Source = o.text("source", 0, iabSource)
	} else {
		e.Source = o.text("source", 0)
	}
	e.Value = o.number("value", -unbounded, unbounded)
	e.Currency = o.text("currency", 0, isoCurrency)
	code := o.text("currency_code", 0, isoCurrency)
	switch {
	case e.Currency == "" && code != "":
		e.Currency = code
		if !iab {
			o.wrong("currency_code", "is the name in the IAB standard; use currency")
		}
	case code != "" && code != e.Currency:
		o.wrong("currency_code", "must be the same as currency")
	}
	if user := o.object("user_data"); user != nil {
		x.ecapiUser(user, e)
	}
	if properties := o.object("properties"); properties != nil {
		if iab {
			iabProperties(properties)
		}
		o.noPostalAddress(properties.path, properties.members)
	}
	o.refuseOthers()
	o.noPersonalData(o.path, "", o.members)
	return e
}

// ecapiBeyond checks the members and rules that the IAB standard adds to
// Scope3's dialect.
func (x *exchange) ecapiBeyond(o *object, e *Event) {
	o.text("custom_event", 0) // ignored with other types
	if e.Type == "custom" && !o.has("custom_event") {
		o.wrong("custom_event", "is required with the type custom")
	}
	if o.has("value") && !o.has("currency") && !o.has("currency_code") {
		o.wrong("currency_code", "is required with a value")
	}
	o.object("ext")
}

func (x *exchange) ecapiUser(o *object, e *Event) {
	iab := x.cfg.IAB
	e.ClickID = o.text("click_id", 0)
	e.ExternalID = o.text("external_id", 0)
	for _, uid := range o.objects("uids") {
		uid.require("id", "source", "atype")
		u := UID{Provider: uid.text("source", 0), Value: uid.text("id", 0)}
		atype, hasType := uid.integer("atype", 1, unbounded)
		u.AType = int(atype)
		want, documented := agentTypes[u.Provider]
		switch {
		case u.Provider != "" && !documented && !iab:
			uid.wrong("source", "must be one of liveramp.com, id5-sync.com")
		case documented && hasType && atype != want:
			uid.wrong("atype", "must be %d for %s", want, u.Provider)
		}
		if iab {
			uid.object("ext")
		}
		uid.refuseOthers()
		e.UIDs = append(e.UIDs, u)
	}
	if iab {
		iabUser(o)
	}
	o.refuseOthers()
}

// iabUser checks the members that the IAB standard adds to user_data.
func iabUser(o *object) {
	o.text("customer_identifier", 0, sha256Hex)
	o.texts("email_address", 0, sha256Hex)
	o.texts("phone_numbers", 0, sha256Hex)
	o.text("gender", 0, sha256Hex)
	o.integer("age_range", 1, 13)
	o.texts("customer_segments", 0)
	o.integer("utcoffset", -24*60, 24*60)
	for _, address := range o.objects("address") {
		for _, hashed := range []string{"first_name", "last_name", "street", "postal_code"} {
			address.text(hashed, 0, sha256Hex)
		}
		address.text("city", 0)
		address.text("state", 0)
		address.text("country_code", 0)
		address.integer("address_type", 1, 3)
		address.object("ext")
		address.refuseOthers()
	}
	o.text("impression_id", 0)
	o.text("ifa", 0)
	o.text("event_ip_address", 0, ipAddress)
	o.text("landing_ip_address", 0, ipAddress)
	o.text("event_user_agent", 0)
	o.text("landing_user_agent", 0)
	o.text("gpp_string", 0)
	o.integers("gpp_sid", 0, unbounded)
	o.boolean("mmt_only")
	o.object("ext")
}

// iabProperties checks the documented members of properties and allows others.
func iabProperties(o *object) {
	o.text("transaction_id", 0)
	o.text("page_url", 0, webURL)
	o.text("referrer", 0)
	o.texts("coupon", 0)
	o.texts("payment_type", 0)
	o.number("shipping", 0, unbounded)
	o.number("tax", 0, unbounded)
	for _, item := range o.objects("items") {
		for _, text := range []string{
			"id", "name", "brand", "affiliation", "category", "item_coupon", "item_list_id", "item_list_name",
			"item_item_variant", "item_location_id",
		} {
			item.text(text, 0)
		}
		item.number("price", 0, unbounded)
		item.number("discount", 0, unbounded)
		item.number("quantity", 0, unbounded)
		item.integer("cattax", 0, unbounded)
		item.object("ext")
		item.refuseOthers()
	}
	o.object("ext")
}
