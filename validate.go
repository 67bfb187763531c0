package clickid

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of log_event, which every event keeps so that it can be sent in
// either dialect. They count characters.
const (
	maxEventIDLength    = 256
	maxCustomNameLength = 256
	maxUserIDLength     = 512
	maxUserIDTypeLength = 64
	maxOrderIDLength    = 256
	maxItemFieldLength  = 256
	maxUserAgentLength  = 512
	maxNameLength       = 64 // of an event type or source
	maxItems            = 1000
)

// earliestTime is before any conversion that can still be attributed: an older
// time is a wrong unit or an unset field.
var earliestTime = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// EventError names everything that is wrong with an event. It matches
// [ErrInvalidEvent] and holds no value of the event.
type EventError struct {
	// Type is the event's type as the caller named it, or "" when that itself
	// is wrong.
	Type EventType
	// Fields are the wrong fields.
	Fields []FieldError
}

// FieldError is one wrong field of an event.
type FieldError struct {
	// Field is the path of the field in the event's JSON form, such as
	// "items[2].price".
	Field string
	// Problem says what is wrong, without the value.
	Problem string
}

// Error names the fields and problems.
func (e *EventError) Error() string {
	var b strings.Builder
	b.WriteString("clickid: invalid event")
	if e.Type != "" {
		b.WriteString(" of type " + string(e.Type))
	}
	b.WriteString(": " + e.problems())
	return b.String()
}

func (e *EventError) problems() string {
	var b strings.Builder
	for i, f := range e.Fields {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(f.Field + " " + f.Problem)
	}
	return b.String()
}

// Is reports whether target is [ErrInvalidEvent].
func (e *EventError) Is(target error) bool { return target == ErrInvalidEvent }

// Validate checks the rules that hold for every dialect and returns an
// [*EventError] that names every wrong field at once, or nil. [Client.Check]
// adds the rules of its dialect.
func (e Event) Validate() error {
	v := validation{}
	v.event(&e)
	if len(v.fields) == 0 {
		return nil
	}
	return v.err(&e)
}

// validation collects what is wrong with one event.
type validation struct {
	fields     []FieldError
	properties properties
}

func (v *validation) add(field, problem string) {
	v.fields = append(v.fields, FieldError{Field: field, Problem: problem})
}

// err returns the problems as an error.
func (v *validation) err(e *Event) *EventError {
	err := &EventError{Fields: v.fields}
	if isName(string(e.Type)) {
		err.Type = e.Type
	}
	return err
}

func (v *validation) event(e *Event) {
	v.identity(e)
	v.time(e.Time)
	if err := e.Value.Validate(); err != nil {
		v.add("value", e.Value.problem)
	}
	if e.Source != "" && !isName(string(e.Source)) {
		v.add("source", problemName)
	}
	v.click(e)
	v.user(&e.User)
	v.text("order_id", e.OrderID, maxOrderIDLength)
	v.items(e)
	v.properties = encodeProperties(e.Properties, v.add)
	if e.Consent < ConsentUnknown || e.Consent > ConsentDenied {
		v.add("consent", "must be unknown, granted or denied")
	}
	if e.Replays < 0 {
		v.add("replays", "must not be negative")
	}
}

func (v *validation) identity(e *Event) {
	switch {
	case e.Type == "":
		v.add("type", "is required")
	case !isName(string(e.Type)):
		v.add("type", problemName)
	}
	if e.ID == "" {
		v.add("id", "is required: the order number, the same whenever the event is sent again")
	}
	v.text("id", e.ID, maxEventIDLength)
	switch {
	case e.Type == Custom && e.CustomName == "":
		v.add("custom_name", "is required with the type custom")
	case e.Type != Custom && e.CustomName != "":
		v.add("custom_name", "is allowed with the type custom only")
	}
	v.text("custom_name", e.CustomName, maxCustomNameLength)
}

func (v *validation) time(t time.Time) {
	switch {
	case t.IsZero():
		v.add("time", "is required: the time of the event itself")
	case t.After(time.Now().Add(futureTolerance)):
		v.add("time", "lies in the future")
	case t.Before(earliestTime):
		v.add("time", "lies before the year 2000: is its unit right?")
	}
}

func (v *validation) click(e *Event) {
	if e.Click.ID != "" && !ValidID(e.Click.ID) {
		v.add("click.id", fmt.Sprintf("must be 1 to %d characters of [A-Za-z0-9._~-]", MaxIDLength))
	}
	if e.Click.Param != "" && !validParam(e.Click.Param) {
		v.add("click.param", fmt.Sprintf("must be 1 to %d characters of [A-Za-z0-9._~-]", maxParamLength))
	}
	if e.ClickToken != "" && !validToken(e.ClickToken) {
		v.add("click_token", fmt.Sprintf("must be 1 to %d characters of [A-Za-z0-9._~-]", MaxTokenLength))
	}
}

func (v *validation) user(u *User) {
	v.text("user.external_id", u.ExternalID, maxUserIDLength)
	for i, id := range u.IDs {
		field := fmt.Sprintf("user.ids[%d]", i)
		if !isName(string(id.Type)) {
			v.add(field+".type", problemName)
		}
		if id.Value == "" {
			v.add(field+".value", "is required")
		}
		v.text(field+".value", id.Value, maxUserIDLength)
		if id.Type == UserIDHashedEmail {
			v.hash(field+".value", id.Value)
		}
	}
	v.hash("user.hashed_email", u.HashedEmail)
	v.hash("user.hashed_phone", u.HashedPhone)
	if u.IP != "" {
		if addr, err := netip.ParseAddr(u.IP); err != nil || addr.Zone() != "" {
			v.add("user.ip", "must be an IPv4 or IPv6 address without port and zone")
		}
	}
	if hasControl(u.UserAgent) {
		v.add("user.user_agent", problemControl)
	}
	if hasControl(u.GPP) {
		v.add("user.gpp", problemControl)
	}
	for i, section := range u.GPPSections {
		if section < 0 {
			v.add(fmt.Sprintf("user.gpp_sections[%d]", i), "must not be negative")
		}
	}
}

func (v *validation) items(e *Event) {
	if len(e.Items) > maxItems {
		v.add("items", fmt.Sprintf("must not be more than %d", maxItems))
		return
	}
	currency := e.currency()
	for i := range e.Items {
		item, field := &e.Items[i], fmt.Sprintf("items[%d]", i)
		if item.ID == "" {
			v.add(field+".id", "is required")
		}
		v.text(field+".id", item.ID, maxItemFieldLength)
		v.text(field+".name", item.Name, maxItemFieldLength)
		v.text(field+".brand", item.Brand, maxItemFieldLength)
		v.text(field+".category", item.Category, maxItemFieldLength)
		if item.Quantity < 0 {
			v.add(field+".quantity", "must be at least 1")
		}
		if item.Price.problem != "" {
			v.add(field+".price", item.Price.problem)
		} else if !item.Price.IsZero() && item.Price.currency != currency {
			v.add(field+".price", "must have the currency of the event's value and of all other prices")
		}
	}
}

// currency returns that of the value, or else of the first item that has a
// price.
func (e *Event) currency() string {
	if e.Value.currency != "" {
		return e.Value.currency
	}
	for i := range e.Items {
		if c := e.Items[i].Price.currency; c != "" {
			return c
		}
	}
	return ""
}

const (
	problemName    = "must be 1 to 64 characters of [a-z0-9_]"
	problemControl = "must be UTF-8 without control characters"
	problemHash    = "must be a SHA-256 in 64 lowercase hexadecimal characters (HashEmail, HashPhone)"
)

// text checks a text that is sent as it is.
func (v *validation) text(field, s string, limit int) {
	switch {
	case hasControl(s):
		v.add(field, problemControl)
	case len(s) > limit && utf8.RuneCountInString(s) > limit:
		v.add(field, fmt.Sprintf("must not be longer than %d characters", limit))
	default:
		if problem := personalData(s); problem != "" {
			v.add(field, problem)
		}
	}
}

func (v *validation) hash(field, s string) {
	switch {
	case s == "":
	case !isSHA256(s):
		v.add(field, problemHash)
	case s == hashOfNothing:
		v.add(field, "is the hash of nothing")
	}
}

func hasControl(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl)
}

// isName reports whether s can be an event type, a source or the type of a
// user ID. Types that are not documented are the platform's to judge.
func isName(s string) bool {
	return s != "" && len(s) <= maxNameLength && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
