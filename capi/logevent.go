package capi

import (
	"crypto/sha256"
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
	encoder := properties.Encoder{KeepNumbers: true}
	members, leftOut := encoder.Extra("LogEvent.Extra", d.Extra)
	for _, member := range leftOut {
		problem(member.Field, member.Problem)
	}
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
	if !e.Click.IsZero() {
		return true
	}
	user := e.User
	user.HashedCustomerID, user.ImpressionID = "", ""
	if !d.SendExternalID {
		user.ExternalID = ""
	}
	return user.Identified()
}

func (d LogEvent) encode(w *rawjson.Writer, e *clickid.Event, pageURL string) (kind, id string) {
	kind = logEventType(e.Type)
	w.Object("", func() {
		w.Text("event_id", e.ID)
		w.Text("event_type", kind)
		w.Time("event_time", e.Time)
		w.Text("custom_event_name", e.CustomName)
		w.Text("action_source", d.actionSource(e.Source))
		w.Text("event_source_url", pageURL)
		if d.identified(e) {
			w.Object("user_match", func() { d.writeUserMatch(w, e) })
		}
		w.Object("custom_data", func() { writeCustomData(w, e) })
		w.Raw("surface", e.Extra["surface"])
		w.Raw("ext", e.Extra["ext"])
	})
	return kind, e.ID
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

func (d LogEvent) writeUserMatch(w *rawjson.Writer, e *clickid.Event) {
	if !e.Click.IsZero() {
		w.Text("click_id", e.Click.ID)
		w.Text("click_id_type", d.clickIDType(&e.Click))
	}
	w.Array("uids", func() {
		for _, id := range e.User.IDs {
			writeUID(w, id)
		}
		if d.SendExternalID && e.User.ExternalID != "" {
			writeUID(w, clickid.UserID{Type: clickid.UserIDOther, Value: e.User.ExternalID})
		}
	})
	w.Text("hashed_email", e.User.HashedEmail)
	w.Text("hashed_phone", e.User.HashedPhone)
	w.Text("client_ip", e.User.IP)
	w.Text("client_user_agent", e.User.UserAgent)
	w.Raw("ext", e.User.Extra["ext"])
}

func writeUID(w *rawjson.Writer, id clickid.UserID) {
	w.Object("", func() {
		w.Text("type", string(id.Type))
		w.Text("value", id.Value)
		w.Raw("ext", id.Extra["ext"])
	})
}

func (d LogEvent) clickIDType(c *clickid.Click) string {
	switch {
	case d.ClickIDType != "":
		return d.ClickIDType
	case c.Param != "":
		return c.Param
	}
	return defaultClickIDType
}

// customMembers are the members of custom_data that come from the event's
// fields.
var customMembers = []string{"contents", "currency", "order_id", "value"}

func writeCustomData(w *rawjson.Writer, e *clickid.Event) {
	w.Sorted(customMembers, func(name string) {
		switch name {
		case "contents":
			w.Array(name, func() {
				for i := range e.Items {
					writeContent(w, &e.Items[i])
				}
			})
		case "currency":
			w.Text(name, e.Currency())
		case "order_id":
			w.Text(name, e.OrderID)
		case "value":
			w.Number(name, e.Value.Number())
		}
	}, e.Properties)
}

func writeContent(w *rawjson.Writer, item *clickid.Item) {
	w.Object("", func() {
		w.Text("id", item.ID)
		if item.Quantity > 0 {
			w.Int("quantity", int64(item.Quantity))
		}
		w.Number("price", item.Price.Number())
		w.Text("brand", item.Brand)
		w.Sorted(nil, func(string) {}, item.Extra)
	})
}

// frame returns the object around the events.
func (d LogEvent) frame() *body {
	const before, key = `{"idempotency_key":"`, 2 * sha256.Size
	head := append(make([]byte, 0, 512+len(d.extra)), before+strings.Repeat("0", key)+`",`...)
	contentAt := len(head)
	head = append(head, `"event_source_id":`...)
	head = rawjson.AppendString(head, d.EventSourceID)
	if d.TestEventCode != "" {
		head = append(head, `,"test_event_code":`...)
		head = rawjson.AppendString(head, d.TestEventCode)
	}
	if len(d.extra) > 0 {
		head = append(head, ',')
		head = append(head, d.extra[1:len(d.extra)-1]...) // without the braces
	}
	head = append(head, `,"events":[`...)
	return &body{head: head, tail: []byte(`]}`), key: head[len(before) : len(before)+key], contentAt: contentAt}
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
	if e.Type == clickid.WatchMilestone {
		_, percent := e.Properties["progress_percent"]
		_, seconds := e.Properties["progress_seconds"]
		if !percent && !seconds {
			r.refuse("properties", "must have progress_percent or progress_seconds with the type watch_milestone")
		}
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
