package clickid

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/clickid/clickid/internal/personaldata"
	"github.com/clickid/clickid/internal/properties"
	"github.com/clickid/clickid/internal/text"
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
	b.WriteString(": " + e.Reason())
	return b.String()
}

// Reason names the fields and what is wrong with them, without the prefix of
// Error.
func (e *EventError) Reason() string {
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

// Validate checks the rules that hold for every destination. It returns an
// [*EventError] that names every wrong field at once, or nil.
func (e Event) Validate() error {
	_, _, err := e.Clean()
	return err
}

// Clean checks e as Validate does and returns it in the form in which senders
// encode it: Properties are in JSON ([json.RawMessage]), and User has IP and
// UserAgent together or neither. The warnings name what was left out or
// changed, without its value. Authors of an outbox destination call it before
// they encode an event; the slices and maps of the result must not be changed.
func (e Event) Clean() (cleaned Event, warnings []string, err error) {
	c := cleaner{event: e}
	c.clean()
	if len(c.fields) == 0 {
		return c.event, c.warnings, nil
	}
	refusal := &EventError{Fields: c.fields}
	if text.Name(string(e.Type)) {
		refusal.Type = e.Type
	}
	return c.event, c.warnings, refusal
}

// cleaner checks one event, and collects everything that is wrong with it.
type cleaner struct {
	event    Event
	fields   []FieldError
	warnings []string
}

// refuse records a field that keeps the event from being sent.
func (c *cleaner) refuse(field, problem string) {
	c.fields = append(c.fields, FieldError{Field: field, Problem: problem})
}

func (c *cleaner) clean() {
	e := &c.event
	c.identity()
	c.time(e.Time)
	if err := e.Value.Validate(); err != nil {
		c.refuse("value", e.Value.problem)
	}
	if e.Source != "" && !text.Name(string(e.Source)) {
		c.refuse("source", text.ProblemName)
	}
	c.click()
	c.user(&e.User)
	c.text("order_id", e.OrderID, maxOrderIDLength)
	c.items()
	e.Properties = properties.Encode(e.Properties, c.refuse)
	if e.Consent < ConsentUnknown || e.Consent > ConsentDenied {
		c.refuse("consent", "must be unknown, granted or denied")
	}
}

func (c *cleaner) identity() {
	e := &c.event
	switch {
	case e.Type == "":
		c.refuse("type", "is required")
	case !text.Name(string(e.Type)):
		c.refuse("type", text.ProblemName)
	}
	if e.ID == "" {
		c.refuse("id", "is required: the order number, the same whenever the event is sent again")
	}
	c.text("id", e.ID, maxEventIDLength)
	switch {
	case e.Type == Custom && e.CustomName == "":
		c.refuse("custom_name", "is required with the type custom")
	case e.Type != Custom && e.CustomName != "":
		c.refuse("custom_name", "is allowed with the type custom only")
	}
	c.text("custom_name", e.CustomName, maxCustomNameLength)
}

func (c *cleaner) time(t time.Time) {
	switch {
	case t.IsZero():
		c.refuse("time", "is required: the time of the event itself")
	case t.After(time.Now().Add(futureTolerance)):
		c.refuse("time", "lies in the future")
	case t.Before(earliestTime):
		c.refuse("time", "lies before the year 2000: is its unit right?")
	}
}

func (c *cleaner) click() {
	e := &c.event
	if e.Click.ID != "" && !ValidID(e.Click.ID) {
		c.refuse("click.id", fmt.Sprintf("must be 1 to %d characters of [A-Za-z0-9._~-]", MaxIDLength))
	}
	if e.Click.Param != "" && !validParam(e.Click.Param) {
		c.refuse("click.param", fmt.Sprintf("must be 1 to %d characters of [A-Za-z0-9._~-]", maxParamLength))
	}
	if e.ClickToken != "" && !validToken(e.ClickToken) {
		c.refuse("click_token", fmt.Sprintf("must be 1 to %d characters of [A-Za-z0-9._~-]", MaxTokenLength))
	}
}

func (c *cleaner) user(u *User) {
	c.text("user.external_id", u.ExternalID, maxUserIDLength)
	for i, id := range u.IDs {
		field := fmt.Sprintf("user.ids[%d]", i)
		if !text.Name(string(id.Type)) {
			c.refuse(field+".type", text.ProblemName)
		}
		if id.Value == "" {
			c.refuse(field+".value", "is required")
		}
		c.text(field+".value", id.Value, maxUserIDLength)
		if id.Type == UserIDHashedEmail {
			c.hash(field+".value", id.Value)
		}
	}
	c.hash("user.hashed_email", u.HashedEmail)
	c.hash("user.hashed_phone", u.HashedPhone)
	if u.IP != "" {
		if addr, err := netip.ParseAddr(u.IP); err != nil || addr.Zone() != "" {
			c.refuse("user.ip", "must be an IPv4 or IPv6 address without port and zone")
		}
	}
	if text.HasControl(u.UserAgent) {
		c.refuse("user.user_agent", problemControl)
	}
	// The platform matches by both together, and refuses one without the other.
	if u.IP == "" || u.UserAgent == "" {
		u.IP, u.UserAgent = "", ""
	}
	u.UserAgent = text.Truncate(u.UserAgent, maxUserAgentLength)
	if text.HasControl(u.GPP) {
		c.refuse("user.gpp", problemControl)
	}
	for i, section := range u.GPPSections {
		if section < 0 {
			c.refuse(fmt.Sprintf("user.gpp_sections[%d]", i), "must not be negative")
		}
	}
}

func (c *cleaner) items() {
	e := &c.event
	if len(e.Items) > maxItems {
		c.refuse("items", fmt.Sprintf("must not be more than %d", maxItems))
		return
	}
	currency := e.Currency()
	for i := range e.Items {
		item, field := &e.Items[i], fmt.Sprintf("items[%d]", i)
		if item.ID == "" {
			c.refuse(field+".id", "is required")
		}
		c.text(field+".id", item.ID, maxItemFieldLength)
		c.text(field+".name", item.Name, maxItemFieldLength)
		c.text(field+".brand", item.Brand, maxItemFieldLength)
		c.text(field+".category", item.Category, maxItemFieldLength)
		if item.Quantity < 0 {
			c.refuse(field+".quantity", "must be at least 1")
		}
		if item.Price.problem != "" {
			c.refuse(field+".price", item.Price.problem)
		} else if !item.Price.IsZero() && item.Price.currency != currency {
			c.refuse(field+".price", "must have the currency of the event's value and of all other prices")
		}
	}
}

// Currency returns the currency of the value, or of the first item that has a
// price, or "".
func (e *Event) Currency() string {
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
	problemControl = "must be UTF-8 without control characters"
	problemHash    = "must be a SHA-256 in 64 lowercase hexadecimal characters (HashEmail, HashPhone)"
)

// text checks a text that is sent as it is.
func (c *cleaner) text(field, s string, limit int) {
	switch {
	case text.HasControl(s):
		c.refuse(field, problemControl)
	case text.Longer(s, limit):
		c.refuse(field, fmt.Sprintf("must not be longer than %d characters", limit))
	default:
		if problem := personaldata.Problem(s); problem != "" {
			c.refuse(field, problem)
		}
	}
}

func (c *cleaner) hash(field, s string) {
	switch {
	case s == "":
	case !isSHA256(s):
		c.refuse(field, problemHash)
	case s == hashOfNothing:
		c.refuse(field, "is the hash of nothing")
	}
}
