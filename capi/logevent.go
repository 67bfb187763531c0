package capi

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/properties"
	"github.com/clickid/clickid/internal/rawjson"
	"github.com/clickid/clickid/internal/text"
)

// LogEvent is the dialect of AdCP's log_event over HTTP, the platform's stable
// API. A request has up to 10,000 events. An event is identified by the event
// source, its type and its ID.
type LogEvent struct {
	// EventSourceID is the event source, with 1 to 256 characters. The platform
	// refuses events of a source that is not registered. Required.
	EventSourceID string
	// AdvertiserID selects the Interchange endpoint of this advertiser, on
	// another host, instead of the tracking endpoint. It has 1 to 128
	// characters of [A-Za-z0-9._~-]. Its staging host appears in public
	// material and is not known to be in operation. Defaults to none.
	AdvertiserID string
	// Path is the path of the endpoint. Defaults to "/agentic/v1/capi", or,
	// with AdvertiserID, to
	// "/api/v2/buyer/advertisers/{AdvertiserID}/log-event".
	Path string
	// TestEventCode makes the platform validate events without counting them.
	// It has at most 256 characters. Defaults to none.
	TestEventCode string
	// ClickIDType is sent as click_id_type. It has at most 64 characters.
	// Defaults to the URL parameter of the click, or "clkid".
	ClickIDType string
	// SendExternalID sends User.ExternalID as a user ID of type "other".
	// log_event has no member for the advertiser's own user IDs, so agree on it
	// with the platform first. Defaults to false: an event that has only an
	// ExternalID is then not attributable.
	SendExternalID bool
	// Extra are further members of a request, by name: account, context, ext,
	// and adcp_version such as "3.1". They are checked by [New], and not sent
	// by default.
	Extra map[string]any

	extra         json.RawMessage // Extra as it is sent, or nil
	extraProblems []error         // of Extra
}

const (
	logEventPath        = "/agentic/v1/capi"
	interchangeOrigin   = "https://api.interchange.io"
	interchangeStaging  = "https://api.agentic.staging.scope3.com"
	interchangeRequests = 100 // per minute and address
	maxLogEventEvents   = 10_000
	maxEventSourceID    = 256
	maxAdvertiserID     = 128
	maxTestEventCode    = 256
	maxClickIDType      = 64
	maxContentID        = 256
	maxContentType      = 128
	defaultClickIDType  = "clkid"
)

func (d LogEvent) problems() []error {
	problems := []error{
		checkSetting("LogEvent.EventSourceID", d.EventSourceID, true, maxEventSourceID),
		checkSetting("LogEvent.TestEventCode", d.TestEventCode, false, maxTestEventCode),
		checkSetting("LogEvent.ClickIDType", d.ClickIDType, false, maxClickIDType),
		checkPath("LogEvent.Path", d.Path),
	}
	if d.AdvertiserID != "" && (!text.Unreserved(d.AdvertiserID, maxAdvertiserID) || d.AdvertiserID == "." || d.AdvertiserID == "..") {
		problems = append(problems, fmt.Errorf("capi: LogEvent.AdvertiserID must be 1 to %d characters of [A-Za-z0-9._~-]", maxAdvertiserID))
	}
	return append(problems, d.extraProblems...)
}

// settled returns d with its extra members encoded, so that later changes of
// the map have no effect.
func (d LogEvent) settled() LogEvent {
	d.extra, d.extraProblems = nil, nil
	problem := func(field, problem string) {
		d.extraProblems = append(d.extraProblems, fmt.Errorf("capi: %s %s", field, problem))
	}
	members := properties.NewEncoder(true, problem).Extra("LogEvent.Extra", d.Extra)
	if members = requestExtras.fit("LogEvent.Extra", members, nil, problem); len(members) > 0 {
		d.extra, _ = rawjson.Encode(members) // they are encoded already
	}
	return d
}

func (d LogEvent) destination() string    { return d.EventSourceID }
func (d LogEvent) name() string           { return "logevent" }
func (d LogEvent) advertiser() string     { return d.AdvertiserID }
func (d LogEvent) maxEvents() int         { return maxLogEventEvents }
func (d LogEvent) respondsPerEvent() bool { return true }

// confirms is documented for Interchange. The response of the tracking endpoint
// is not documented.
func (d LogEvent) confirms() bool { return d.AdvertiserID != "" }

func (d LogEvent) origin(env Environment) string {
	switch {
	case d.AdvertiserID == "":
		return pingOrigin(env)
	case env == EnvironmentStaging:
		return interchangeStaging
	}
	return interchangeOrigin
}

func (d LogEvent) path() string {
	switch {
	case d.Path != "":
		return d.Path
	case d.AdvertiserID != "":
		return "/api/v2/buyer/advertisers/" + d.AdvertiserID + "/log-event"
	}
	return logEventPath
}

func (d LogEvent) published() RateLimit {
	if d.AdvertiserID != "" {
		return RateLimit{Requests: interchangeRequests, Per: time.Minute}
	}
	return RateLimit{Requests: unlimited}
}

func (d LogEvent) identified(e *clickid.Event) bool {
	user := e.User
	user.HashedCustomerID, user.ImpressionID = "", ""
	if !d.SendExternalID {
		user.ExternalID = ""
	}
	return !e.Click.IsZero() || user.Identified()
}

type logEvent struct {
	ID           string     `json:"event_id"`
	Type         string     `json:"event_type"`
	Time         string     `json:"event_time"`
	CustomName   string     `json:"custom_event_name,omitempty"`
	ActionSource string     `json:"action_source,omitempty"`
	SourceURL    string     `json:"event_source_url,omitempty"`
	UserMatch    *userMatch `json:"user_match,omitempty"`
	CustomData   any        `json:"custom_data,omitempty"`
	Surface      any        `json:"surface,omitempty"`
	Ext          any        `json:"ext,omitempty"`
}

type userMatch struct {
	ClickID     string        `json:"click_id,omitempty"`
	ClickIDType string        `json:"click_id_type,omitempty"`
	UIDs        []logEventUID `json:"uids,omitempty"`
	HashedEmail string        `json:"hashed_email,omitempty"`
	HashedPhone string        `json:"hashed_phone,omitempty"`
	ClientIP    string        `json:"client_ip,omitempty"`
	UserAgent   string        `json:"client_user_agent,omitempty"`
	Ext         any           `json:"ext,omitempty"`
}

type logEventUID struct {
	Type  clickid.UserIDType `json:"type"`
	Value string             `json:"value"`
	Ext   any                `json:"ext,omitempty"`
}

// customData has its members in the order of their names, like a map.
type customData struct {
	Contents any         `json:"contents,omitempty"`
	Currency string      `json:"currency,omitempty"`
	OrderID  string      `json:"order_id,omitempty"`
	Value    json.Number `json:"value,omitempty"`
}

type logEventContent struct {
	ID       string      `json:"id"`
	Quantity int         `json:"quantity,omitempty"`
	Price    json.Number `json:"price,omitempty"`
	Brand    string      `json:"brand,omitempty"`
}

func (d LogEvent) encode(e *clickid.Event, pageURL string) (wireEvent, error) {
	event := logEvent{
		ID:           e.ID,
		Type:         logEventType(e.Type),
		Time:         e.Time.UTC().Format(time.RFC3339),
		CustomName:   e.CustomName,
		ActionSource: d.actionSource(e.Source),
		SourceURL:    pageURL,
		CustomData:   d.customData(e),
		Surface:      e.Extra["surface"],
		Ext:          e.Extra["ext"],
	}
	if d.identified(e) {
		event.UserMatch = d.userMatch(e)
	}
	data, err := rawjson.Encode(event)
	return wireEvent{kind: event.Type, id: event.ID, data: data}, err
}

func logEventType(t clickid.EventType) string {
	switch t {
	case clickid.BeginCheckout:
		return "initiate_checkout"
	case clickid.SignUp:
		return string(clickid.CompleteRegistration)
	case clickid.Install:
		return "app_install"
	}
	return string(t)
}

// isActionSource reports whether an action source of the contract stands for s.
func isActionSource(s clickid.Source) bool {
	switch s {
	case "", clickid.SourceWebsite, clickid.SourceApp, clickid.SourceOffline, clickid.SourcePhoneCall, clickid.SourceChat, clickid.SourceEmail,
		clickid.SourceInStore, clickid.SourceSystemGenerated, clickid.SourceBusinessMessaging, clickid.SourceOther:
		return true
	}
	return false
}

func (d LogEvent) actionSource(s clickid.Source) string {
	if s == clickid.SourceBusinessMessaging {
		s = clickid.SourceChat
	}
	if d.AdvertiserID == "" {
		return string(s)
	}
	// The Interchange endpoint accepts only some of the action sources.
	switch s {
	case "", clickid.SourceWebsite, clickid.SourceApp, clickid.SourceInStore, clickid.SourcePhoneCall, clickid.SourceSystemGenerated:
		return string(s)
	}
	return string(clickid.SourceOther)
}

func (d LogEvent) userMatch(e *clickid.Event) *userMatch {
	m := &userMatch{
		ClickID:     e.Click.ID,
		HashedEmail: e.User.HashedEmail,
		HashedPhone: e.User.HashedPhone,
		ClientIP:    e.User.IP,
		UserAgent:   e.User.UserAgent,
		Ext:         e.User.Extra["ext"],
	}
	for _, id := range e.User.IDs {
		m.UIDs = append(m.UIDs, logEventUID{id.Type, id.Value, id.Extra["ext"]})
	}
	if m.ClickID != "" {
		m.ClickIDType = d.clickIDType(e.Click)
	}
	if d.SendExternalID && e.User.ExternalID != "" {
		m.UIDs = append(m.UIDs, logEventUID{Type: clickid.UserIDOther, Value: e.User.ExternalID})
	}
	return m
}

func (d LogEvent) clickIDType(c clickid.Click) string {
	switch {
	case d.ClickIDType != "":
		return d.ClickIDType
	case c.Param != "":
		return c.Param
	}
	return defaultClickIDType
}

// customData returns the custom_data of e, or nil when it would be empty.
func (d LogEvent) customData(e *clickid.Event) any {
	data := customData{Currency: e.Currency(), OrderID: e.OrderID, Value: json.Number(e.Value.Number())}
	if len(e.Items) > 0 {
		data.Contents = contents(e.Items)
	}
	switch {
	case len(e.Properties) > 0:
		return merged{own: &data, properties: e.Properties}
	case data.Contents == nil && data.Currency == "" && data.OrderID == "" && data.Value == "":
		return nil
	}
	return &data
}

// contents returns the contents of the items, with their extra members.
func contents(items []clickid.Item) any {
	own, extra := make([]logEventContent, len(items)), false
	for i, item := range items {
		own[i] = logEventContent{ID: item.ID, Quantity: item.Quantity, Price: json.Number(item.Price.Number()), Brand: item.Brand}
		extra = extra || len(item.Extra) > 0
	}
	if !extra {
		return own
	}
	all := make([]any, len(items))
	for i := range items {
		all[i] = merged{own: own[i], properties: items[i].Extra}
	}
	return all
}

// request wraps events that are encoded already.
func (d LogEvent) request(events [][]byte, key func(content []byte) string) []byte {
	size := 512 + len(d.extra)
	for _, event := range events {
		size += len(event) + 1
	}
	const keyLength = 64
	head := `{"idempotency_key":"` + strings.Repeat("0", keyLength) + `",`
	body := make([]byte, 0, len(head)+size)
	body = append(body, head...)
	body = append(body, `"event_source_id":`...)
	body = rawjson.AppendString(body, d.EventSourceID)
	if d.TestEventCode != "" {
		body = append(body, `,"test_event_code":`...)
		body = rawjson.AppendString(body, d.TestEventCode)
	}
	if len(d.extra) > 0 {
		body = append(body, ',')
		body = append(body, d.extra[1:len(d.extra)-1]...) // without the braces
	}
	body = append(body, `,"events":[`...)
	for i, event := range events {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, event...)
	}
	body = append(body, `]}`...)
	copy(body[len(`{"idempotency_key":"`):], key(body[len(head):]))
	return body
}

// logEventSchema has the documented members of custom_data that come from the
// properties.
var logEventSchema = schema{
	"content_ids":      isTexts(maxContentID),
	"content_type":     isText(maxContentType),
	"content_name":     isText(0),
	"content_category": isText(0),
	"search_string":    isText(0),
	"num_items":        isInteger(0, maxInteger),
	"progress_percent": isNumber(100),
	"progress_seconds": isNumber(math.Inf(1)),
	"ext":              isObject,
	anyMember:          nil,
}

// uidTypes are the types of user IDs that the contract lists.
var uidTypes = []clickid.UserIDType{
	clickid.UserIDRampID, clickid.UserIDRampIDDerived, clickid.UserIDID5, clickid.UserIDUID2, clickid.UserIDEUID, clickid.UserIDPairID,
	clickid.UserIDMAID, clickid.UserIDHashedEmail, clickid.UserIDFirstParty, clickid.UserIDWorldIDNullifier, clickid.UserIDOther,
}

func (d LogEvent) fit(e *clickid.Event, r *remarks) {
	e.Properties = logEventSchema.fit("properties", e.Properties, nil, r.leaveOut)
	logEventExtras.fit(e, iabExtras, r)
	if e.User.MeasurementOnly {
		r.leaveOut("user.measurement_only", "is not a member of log_event: the platform may use the event for optimization")
	}
	if e.Source == clickid.SourceWebsite && e.PageURL == "" {
		r.warnings = append(r.warnings, "page_url is expected by the platform with the source website")
	}
	_, percent := e.Properties["progress_percent"]
	_, seconds := e.Properties["progress_seconds"]
	if e.Type == clickid.WatchMilestone && !percent && !seconds {
		r.refuse("properties", "must have progress_percent or progress_seconds with the type watch_milestone")
	}
	if !isActionSource(e.Source) {
		r.change("source", "log_event does not list it, so it is sent as other")
		e.Source = clickid.SourceOther
	}
	for i, id := range e.User.IDs {
		if slices.Contains(uidTypes, id.Type) {
			continue
		}
		r.change(fmt.Sprintf("user.ids[%d].type", i), "log_event does not list it, so it is sent as other")
		ids := slices.Clone(e.User.IDs)
		ids[i].Type = clickid.UserIDOther
		e.User.IDs = ids
	}
}
