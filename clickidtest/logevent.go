package clickidtest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

const maxEvents = 10_000

var (
	logEventTypes = oneOf(
		"page_view", "view_content", "select_content", "select_item", "search", "share",
		"add_to_cart", "remove_from_cart", "viewed_cart", "add_to_wishlist", "initiate_checkout", "add_payment_info",
		"purchase", "refund", "lead", "qualify_lead", "close_convert_lead", "disqualify_lead",
		"complete_registration", "subscribe", "follow", "content_view", "watch_milestone", "start_trial",
		"app_install", "app_launch", "contact", "schedule", "donate", "submit_application", "custom",
	)
	actionSources = oneOf(
		"website", "app", "offline", "phone_call", "chat", "email", "in_store", "system_generated", "other",
	)
	interchangeSources = oneOf("website", "app", "in_store", "phone_call", "system_generated", "other")
	uidTypes           = oneOf(
		"rampid", "rampid_derived", "id5", "uid2", "euid", "pairid", "maid", "hashed_email",
		"publisher_first_party", "world_id_nullifier", "other",
	)
	surfaceCategories = oneOf(
		"owned_property", "website", "app", "offline", "phone_call", "chat", "email", "in_store", "system_generated", "other",
	)
	adcpVersion    = pattern(`^(0|[1-9]\d*)\.(0|[1-9]\d*)(-[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?)?$`)
	idempotencyKey = pattern(`^[A-Za-z0-9_.:-]{16,255}$`)
	threeCapitals  = pattern(`^[A-Z]{3}$`)
)

// logEvent handles a request in the dialect log_event.
func (x *exchange) logEvent() response {
	p := problems{asked: x.asked}
	o, refusal := x.payload(&p)
	if o == nil {
		return refusal
	}
	b := x.openRequest(o)
	if len(p.found) == 0 {
		x.mu.Lock()
		resp, ok := x.earlier()
		x.mu.Unlock()
		if ok {
			return resp
		}
	}
	if source := b.source; source != "" && !x.registered(source) {
		return x.refuse(http.StatusBadRequest, Error{
			Code: "REFERENCE_NOT_FOUND", Message: "The event source is not registered", Field: "/event_source_id",
			Suggestion: "Register the event source first", Recovery: "correctable",
		})
	}
	raw := rawEvents(x.body, len(b.list))
	for i, v := range b.list {
		x.readEvent(&b, i, v, raw[i])
	}
	if len(p.found) > 0 {
		x.leaveEvents()
		return x.invalid(append(p.found, b.spoilt...))
	}
	if len(b.spoilt) > 0 && (!x.cfg.PartialFailures || b.unnamed) {
		x.leaveEvents()
		return x.remember(x.invalid(b.spoilt))
	}
	if resp, refused := x.refuseWhole(); refused {
		return x.remember(resp)
	}
	return x.bookEvents(&b)
}

// batch is the request around the events.
type batch struct {
	source, testCode string
	list             []any
	spoilt           []Problem // of all events
	unnamed          bool      // an invalid event has no ID to report it by
	warnings         []string
}

// openRequest checks the members that all events share.
func (x *exchange) openRequest(o *object) batch {
	o.require("event_source_id", "events", "idempotency_key")
	b := batch{
		source:   o.text("event_source_id", 256),
		testCode: o.text("test_event_code", 256),
	}
	x.record.IdempotencyKey = o.text("idempotency_key", 0, idempotencyKey)
	var ok bool
	if b.list, ok = o.list("events"); ok {
		x.record.Events = len(b.list)
		if len(b.list) < 1 || len(b.list) > maxEvents {
			o.wrong("events", "must be 1 to %d events", maxEvents)
			b.list = nil
		}
	}
	o.text("adcp_version", 0, adcpVersion)
	o.integer("adcp_major_version", 1, 99)
	o.object("account")
	o.object("context")
	o.object("ext")
	o.refuseOthers()
	return b
}

// rawEvents returns the n events of a valid body as they were sent.
func rawEvents(body []byte, n int) []json.RawMessage {
	var members map[string]json.RawMessage
	events := make([]json.RawMessage, 0, n)
	// parse has accepted the body, so this cannot fail.
	_ = json.Unmarshal(body, &members)
	_ = json.Unmarshal(members["events"], &events)
	return events
}

// earlier returns the response to a request whose idempotency key was used
// before: the earlier response, or a conflict if the body differs. The caller
// holds the lock.
func (x *exchange) earlier() (response, bool) {
	known, ok := x.ledger.exchanges[idempotency{x.account.APIKey, x.record.IdempotencyKey}]
	if !ok {
		return response{}, false
	}
	if x.cfg.Now().Sub(known.at) > x.cfg.KeyLifetime {
		x.leaveEvents()
		return x.refuse(http.StatusConflict, Error{
			Code: "IDEMPOTENCY_EXPIRED", Message: "The idempotency key was used too long ago", Field: "/idempotency_key", Recovery: "correctable",
		}), true
	}
	if known.body != sha256.Sum256(x.body) {
		x.leaveEvents()
		return x.refuse(http.StatusConflict, Error{
			Code: "IDEMPOTENCY_CONFLICT", Message: "The idempotency key was used with another body", Field: "/idempotency_key", Recovery: "correctable",
		}), true
	}
	x.record.Replayed = true
	x.events = make([]*Event, len(known.events))
	for i, e := range known.events {
		repeated := *e
		x.events[i] = &repeated
		if e.Outcome == OutcomeAccepted || e.Outcome == OutcomeDuplicate {
			x.ledger.book(&repeated, x.cfg.Now())
		}
	}
	return known.response, true
}

// readEvent checks one event of the request.
func (x *exchange) readEvent(b *batch, index int, v any, raw json.RawMessage) {
	p := problems{asked: x.asked}
	path := eventPath(index)
	e := &Event{
		Dialect: DialectLogEvent, Destination: b.source, TestCode: b.testCode,
		Request: x.record.Number, Raw: raw,
	}
	if o := p.newObject(path, v); o != nil {
		x.logEventMembers(o, e)
		if e.Value != "" && e.Currency == "" {
			b.warn(path + " has a value without a currency")
		}
		if e.Source == "website" && !o.has("event_source_url") {
			b.warn(path + " has the action source website without an event_source_url")
		}
	}
	e.Problems = p.found
	if len(p.found) > 0 {
		e.Outcome = OutcomeRefused
		b.unnamed = b.unnamed || e.ID == ""
		b.spoilt = append(b.spoilt, p.found[:min(len(p.found), maxProblems-len(b.spoilt))]...)
	}
	x.events = append(x.events, e)
}

func eventPath(index int) string { return "/events/" + strconv.Itoa(index) }

func (b *batch) warn(warning string) {
	if len(b.warnings) < maxProblems {
		b.warnings = append(b.warnings, warning)
	}
}

func (x *exchange) logEventMembers(o *object, e *Event) {
	o.require("event_id", "event_type", "event_time")
	e.ID = o.text("event_id", 256)
	e.Type = o.text("event_type", 0, logEventTypes)
	e.Time = o.timestamp("event_time", x.cfg.Now())
	if x.endpoint == endpointInterchange {
		e.Source = o.text("action_source", 0, interchangeSources)
	} else {
		e.Source = o.text("action_source", 0, actionSources)
	}
	o.text("event_source_url", 0, webURL)
	name := o.text("custom_event_name", 256)
	switch {
	case e.Type == "custom" && !o.has("custom_event_name"):
		o.wrong("custom_event_name", "is required with the type custom")
	case e.Type != "" && e.Type != "custom" && name != "":
		o.wrong("custom_event_name", "is only for the type custom")
	}
	if match := o.object("user_match"); match != nil {
		userMatch(match, e)
	}
	data := o.object("custom_data")
	if data != nil {
		customData(data, e)
	}
	if e.Type == "watch_milestone" && (data == nil || !data.has("progress_percent") && !data.has("progress_seconds")) {
		o.wrong("custom_data", "must have progress_percent or progress_seconds with the type watch_milestone")
	}
	if surface := o.object("surface"); surface != nil {
		eventSurface(surface)
	}
	o.object("ext")
	o.refuseOthers()
	o.noPersonalData(o.path, "", o.members)
}

// eventSurface checks the documented members and allows others.
func eventSurface(o *object) {
	o.require("category")
	o.text("category", 0, surfaceCategories)
	o.text("property_type", 128)
	o.text("namespace", 128)
	o.text("property_id", 256)
	o.object("ext")
}

func userMatch(o *object, e *Event) {
	uids := o.objects("uids")
	for _, uid := range uids {
		uid.require("type", "value")
		u := UID{Provider: uid.text("type", 64, uidTypes)}
		if u.Provider == "hashed_email" {
			u.Value = uid.text("value", 512, sha256Hex)
		} else {
			u.Value = uid.text("value", 512)
		}
		uid.object("ext")
		uid.refuseOthers()
		if u.Provider == "other" && e.ExternalID == "" {
			e.ExternalID = u.Value
		}
		e.UIDs = append(e.UIDs, u)
	}
	o.text("hashed_email", 0, sha256Hex)
	o.text("hashed_phone", 0, sha256Hex)
	e.ClickID = o.text("click_id", 512)
	e.ClickIDType = o.text("click_id_type", 64)
	if o.has("click_id") != o.has("click_id_type") {
		o.wrong("click_id", "must come with click_id_type")
	}
	o.text("client_ip", 45, ipAddress)
	o.text("client_user_agent", 512)
	o.object("ext")
	o.refuseOthers()
	if len(uids) == 0 && !o.has("hashed_email") && !o.has("hashed_phone") && !o.has("click_id") &&
		!(o.has("client_ip") && o.has("client_user_agent")) {
		o.add(o.path, "must have at least one of uids, hashed_email, hashed_phone, click_id, and client_ip together with client_user_agent")
	}
}

// customData checks the documented members and allows others, also those of
// contents.
func customData(o *object, e *Event) {
	e.Value = o.number("value", 0, unbounded)
	e.Currency = o.text("currency", 0, threeCapitals)
	o.text("order_id", 256)
	o.texts("content_ids", 256)
	o.text("content_type", 128)
	o.text("content_name", 0)
	o.text("content_category", 0)
	o.integer("num_items", 0, unbounded)
	o.text("search_string", 0)
	o.number("progress_percent", 0, 100)
	o.number("progress_seconds", 0, unbounded)
	for _, item := range o.objects("contents") {
		item.require("id")
		item.text("id", 256)
		item.integer("quantity", 1, unbounded)
		item.number("price", 0, unbounded)
		item.text("brand", 256)
		item.object("ext")
	}
	o.object("ext")
	o.noPostalAddress(o.path, o.members)
}

// leaveEvents marks the valid events of a refused request as not processed.
func (x *exchange) leaveEvents() {
	for _, e := range x.events {
		if e.Outcome == "" {
			e.Outcome = OutcomeNotProcessed
		}
	}
}

// refuseWhole applies the scripted refusals that concern the whole request.
func (x *exchange) refuseWhole() (response, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i, e := range x.events {
		r := x.script.refusals.of(e.ID)
		if r == nil || !r.WholeRequest {
			continue
		}
		r.count[e.ID]++
		e.refuse(eventPath(i), r)
		x.leaveEvents()
		refusal := Error{Code: r.Code, Message: "Validation error", Recovery: r.Recovery}
		field := eventPath(i) + "/event_type"
		issue := Problem{Message: "Validation error", Path: field}
		switch r.Naming {
		case NamingDefault, NamingPointer:
			refusal.Field = field
		case NamingBrackets:
			refusal.Field = fmt.Sprintf("events[%d].event_type", i)
		case NamingIssues:
			refusal.Issues = []Problem{issue}
		case NamingDetails:
			issue.Path = []any{"events", i, "event_type"}
			refusal.Details = map[string]any{"issues": []Problem{issue}}
		}
		return x.refuse(r.Status, refusal), true
	}
	return response{}, false
}

type partialFailure struct {
	EventID  string `json:"event_id,omitempty"`
	Index    *int   `json:"index,omitempty"`
	Field    string `json:"field,omitempty"`
	Code     string `json:"code"`
	Message  string `json:"message"`
	Recovery string `json:"recovery,omitempty"`
}

// name names the event of a partial failure.
func (f *partialFailure) name(n Naming, e *Event, index int) {
	switch n {
	case NamingDefault, NamingID:
		f.EventID = e.ID
	case NamingPointer, NamingIssues, NamingDetails:
		f.Field = eventPath(index) + "/event_type"
	case NamingBrackets:
		f.Field = fmt.Sprintf("events[%d].event_type", index)
	case NamingIndex:
		f.Index = &index
	case NamingUnknownID:
		f.EventID = "unknown-" + strconv.Itoa(index)
	}
}

type logEventResponse struct {
	Received        int              `json:"events_received"`
	Processed       int              `json:"events_processed"`
	PartialFailures []partialFailure `json:"partial_failures"`
	Warnings        []string         `json:"warnings"`
	MatchQuality    float64          `json:"match_quality"`
}

// bookEvents counts the events that are not refused and returns the response.
func (x *exchange) bookEvents(b *batch) response {
	body := logEventResponse{Received: max(0, len(x.events)-x.fault.Unreceived), PartialFailures: []partialFailure{}, Warnings: []string{}}
	body.Warnings = append(body.Warnings, b.warnings...)
	x.mu.Lock()
	defer x.mu.Unlock()
	refusals := x.script.refusals
	if resp, ok := x.earlier(); ok {
		return resp // another request used the key in the meantime
	}
	matched := 0
	processed := len(x.events) - x.fault.Unprocessed - x.fault.Unreceived
	for i, e := range x.events {
		failure, naming := partialFailure{Code: "VALIDATION_ERROR"}, NamingDefault
		if r := refusals.of(e.ID); r != nil && e.Outcome == "" {
			r.count[e.ID]++
			e.refuse(eventPath(i), r)
			failure.Code, failure.Recovery, naming = r.Code, r.Recovery, r.Naming
		}
		if e.Outcome == "" && i < processed && i >= processed-x.fault.Failed {
			e.fail(eventPath(i))
		}
		switch {
		case e.Outcome == OutcomeRefused:
			failure.Message = e.Problems[0].Field + " " + e.Problems[0].Message
			failure.name(naming, e, i)
			body.PartialFailures = append(body.PartialFailures, failure)
		case i >= processed:
			e.Outcome = OutcomeNotProcessed
		default:
			x.ledger.book(e, x.cfg.Now())
			body.Processed++
			if e.ClickID != "" || len(e.UIDs) > 0 {
				matched++
			}
		}
	}
	if body.Processed > 0 {
		body.MatchQuality = float64(matched) / float64(body.Processed)
	}
	var resp response
	if x.endpoint == endpointInterchange {
		resp = x.reply(http.StatusOK, map[string]any{"data": body})
	} else {
		resp = x.reply(http.StatusOK, body)
	}
	return x.rememberLocked(resp)
}

// remember keeps a response for requests that repeat the idempotency key.
func (x *exchange) remember(resp response) response {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.rememberLocked(resp)
}

func (x *exchange) rememberLocked(resp response) response {
	x.ledger.remember(idempotency{x.account.APIKey, x.record.IdempotencyKey}, completed{
		at: x.cfg.Now(), body: sha256.Sum256(x.body), response: resp, events: x.events,
	})
	return resp
}
