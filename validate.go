package clickid

import (
	"fmt"
	"strings"
	"time"

	"github.com/clickid/clickid/internal/iso4217"
	"github.com/clickid/clickid/internal/personaldata"
	"github.com/clickid/clickid/internal/properties"
	"github.com/clickid/clickid/internal/text"
	"github.com/clickid/clickid/internal/visitor"
)

// The limits of log_event, in characters. All events keep them, so that they
// can be sent in either dialect.
const (
	maxEventIDLength    = 256
	maxCustomNameLength = 256
	maxUserIDLength     = 512
	maxOrderIDLength    = 256
)

// earliestTime is before any event that can be attributed. An earlier time is
// an error of the unit or an unset field.
var earliestTime = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// EventError contains all problems of an event. It matches [ErrInvalidEvent]
// and contains no value of the event.
type EventError struct {
	// Type is the type of the event, or "" if it is invalid.
	Type EventType
	// Fields are the invalid fields.
	Fields []FieldError
}

// FieldError is the problem of a field.
type FieldError struct {
	// Field is the path of the field in the event's JSON form, such as
	// "items[2].price".
	Field string
	// Problem describes the problem without the value.
	Problem string
}

// Error returns the fields and their problems.
func (e *EventError) Error() string {
	if e.Type != "" {
		return "clickid: invalid event of type " + string(e.Type) + ": " + e.Reason()
	}
	return "clickid: invalid event: " + e.Reason()
}

// Reason returns the fields and their problems without the prefix of Error.
func (e *EventError) Reason() string {
	texts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		texts[i] = f.Field + " " + f.Problem
	}
	return strings.Join(texts, "; ")
}

// Is reports whether target is [ErrInvalidEvent].
func (e *EventError) Is(target error) bool { return target == ErrInvalidEvent }

// Validate returns the error of [Event.Clean].
func (e Event) Validate() error {
	_, _, err := e.Clean()
	return err
}

// Clean returns e in the form in which senders encode it: without fields that
// cannot be sent, the others normalized, and Properties as [json.RawMessage]. A
// warning names each field that was left out or changed, without its value.
//
// The error is an [*EventError]. It contains every field because of which no
// destination can accept the event: type, ID, time and value, consent, and the
// identities if none is left. The event that is returned with an error can be
// encoded as JSON, contains nothing that was left out, and is not sent when it
// is decoded again.
//
// Destinations of an outbox call Clean before they encode an event. The slices
// and maps of the result must not be changed.
func (e Event) Clean() (cleaned Event, warnings []string, err error) {
	c := cleaner{event: e, encoder: properties.Encoder{KeepNumbers: e.KeepNumbers}}
	c.clean()
	if n := len(c.warnings) - maxWarnings; n > 0 {
		c.warnings = append(c.warnings[:maxWarnings:maxWarnings], fmt.Sprintf("%d further fields were left out or changed", n))
	}
	if len(c.fields) == 0 {
		return c.event, c.warnings, nil
	}
	refusal := &EventError{Fields: c.fields}
	if text.Name(string(e.Type)) {
		refusal.Type = e.Type
	}
	return c.event, c.warnings, refusal
}

// maxWarnings limits the warnings of an event.
const maxWarnings = 20

// cleaner checks an event and collects its problems.
type cleaner struct {
	event    Event
	encoder  properties.Encoder
	list     string // whose element is being checked, or ""
	index    int    // of the element
	fields   []FieldError
	warnings []string
	// identity are identities that were left out.
	identity []FieldError
}

// path returns the path of a field of the event, or of the element that is being
// checked.
func (c *cleaner) path(field string) string {
	switch {
	case c.list == "":
		return field
	case field == "":
		return fmt.Sprintf("%s[%d]", c.list, c.index)
	}
	return fmt.Sprintf("%s[%d].%s", c.list, c.index, field)
}

// refuse adds a problem because of which the event cannot be sent.
func (c *cleaner) refuse(field, problem string) {
	c.fields = append(c.fields, FieldError{Field: field, Problem: problem})
}

// leaveOut adds a warning about a field that is left out.
func (c *cleaner) leaveOut(field, problem string) {
	c.warnings = append(c.warnings, c.path(field)+" was left out: it "+problem)
}

// leaveOutIdentity adds a warning about an identity that is left out.
func (c *cleaner) leaveOutIdentity(field, problem string) {
	c.leaveOut(field, problem)
	c.identity = append(c.identity, FieldError{Field: c.path(field), Problem: problem})
}

// change adds a warning about a field that is sent in another form.
func (c *cleaner) change(field, how string) {
	c.warnings = append(c.warnings, c.path(field)+" was changed: "+how)
}

// extra returns the extra members in a field without those that cannot be sent.
func (c *cleaner) extra(field string, given map[string]any) map[string]any {
	encoded, leftOut := c.encoder.Extra(field, given)
	c.leaveOutAll(leftOut)
	return encoded
}

func (c *cleaner) leaveOutAll(members []properties.LeftOut) {
	for _, member := range members {
		c.leaveOut(member.Field, member.Problem)
	}
}

func (c *cleaner) clean() {
	e := &c.event
	// The members of the event take their share of the bytes before those of its
	// parts.
	encoded, leftOut := c.encoder.Properties(e.Properties)
	c.leaveOutAll(leftOut)
	e.Properties = encoded
	e.Extra = c.extra("extra", e.Extra)
	c.typeAndID()
	c.time()
	c.value()
	c.source()
	c.click()
	c.user()
	if e.Click.ID == "" && e.ClickToken == "" && !e.User.Identified() {
		if c.fields = append(c.fields, c.identity...); len(c.identity) > 0 {
			// With an empty user ID the event is not organic when it is decoded
			// again.
			e.User.IDs = []UserID{{}}
		}
	}
	e.OrderID = c.identifier("order_id", e.OrderID, maxOrderIDLength)
	c.items()
	if e.Consent < ConsentUnknown || e.Consent > ConsentDenied {
		c.refuse("consent", "must be unknown, granted or denied")
		e.Consent = ConsentDenied
	}
}

func (c *cleaner) typeAndID() {
	e := &c.event
	switch {
	case e.Type == "":
		c.refuse("type", "is required")
	case !text.Name(string(e.Type)):
		c.refuse("type", text.ProblemName)
	}
	if strings.TrimSpace(e.ID) == "" {
		c.refuse("id", "is required: the order number, the same whenever the event is sent again")
	} else if problem := identifierProblem(e.ID, maxEventIDLength); problem != "" {
		c.refuse("id", problem)
	}
	switch {
	case e.Type == Custom:
		if e.CustomName = c.text("custom_name", e.CustomName, maxCustomNameLength); e.CustomName == "" {
			c.refuse("custom_name", "is required with the type custom")
		}
	case e.CustomName != "":
		c.leaveOut("custom_name", "is for the type custom only")
		e.CustomName = ""
	}
}

func (c *cleaner) time() {
	t := &c.event.Time
	switch {
	case t.IsZero():
		c.refuse("time", "is required: the time of the event itself")
	case t.After(time.Now().Add(maxTimeAhead)):
		c.refuse("time", "is more than 15 minutes in the future")
	case t.Before(earliestTime):
		c.refuse("time", "is before the year 2000: check its unit")
	}
	// The text form of a time only contains the minutes of its offset.
	if _, offset := t.Zone(); offset%60 != 0 || !encodable(*t) {
		*t = t.UTC()
	}
	for _, t := range []*time.Time{t, &c.event.Click.At, &c.event.Click.Expires} {
		if !encodable(*t) {
			*t = time.Time{}
		}
	}
}

// maxTimeAhead is how far the clock of another machine may be ahead.
const maxTimeAhead = 15 * time.Minute

// encodable reports whether a time has the text form of RFC 3339.
func encodable(t time.Time) bool {
	const day, year0, year10000 = 24 * 60 * 60, -62167219200, 253402300800 // in seconds
	_, offset := t.Zone()
	local := t.Unix() + int64(offset)
	return year0 <= local && local < year10000 && -day < offset && offset < day
}

func (c *cleaner) value() {
	value := c.event.Value
	switch {
	case value.problem != "":
		c.refuse("value", value.problem)
	case value.rounded:
		c.change("value", fmt.Sprintf("it was rounded to %d decimals", maxFractionDigits))
	}
	if value.number != "" && !iso4217.Listed(value.currency) {
		c.warnings = append(c.warnings, "value has a currency that ISO 4217 does not list; the platform may refuse it")
	}
}

func (c *cleaner) source() {
	source := &c.event.Source
	if *source == "" || text.Name(string(*source)) {
		return
	}
	name := strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(strings.TrimSpace(string(*source))))
	if !text.Name(name) {
		c.leaveOut("source", text.ProblemName)
		*source = ""
		return
	}
	c.change("source", "names consist of [a-z0-9_]")
	*source = Source(name)
}

func (c *cleaner) click() {
	e := &c.event
	if e.Click.ID != "" && !storableID(e.Click.ID) {
		c.leaveOutIdentity("click.id", fmt.Sprintf("must be 1 to %d visible ASCII characters", MaxIDLength))
		e.Click = Click{}
	}
	if !ValidID(e.Click.ID) {
		// Config.Accept allows more than the default.
		if problem := personaldata.ProblemOfID(e.Click.ID); problem != "" {
			c.leaveOutIdentity("click.id", problem)
			e.Click = Click{}
		}
	}
	if e.Click.Param != "" && !validParam(e.Click.Param) {
		c.leaveOut("click.param", fmt.Sprintf("must be 1 to %d characters of [A-Za-z0-9._~-]", maxParamLength))
		e.Click.Param = ""
	}
	c.landing()
	if e.ClickToken != "" && !validToken(e.ClickToken) {
		c.leaveOutIdentity("click_token", fmt.Sprintf("must be 1 to %d characters of [A-Za-z0-9._~-]", MaxTokenLength))
		e.ClickToken = ""
	}
}

// landing leaves out address and user agent of the landing if one of them cannot
// be sent.
func (c *cleaner) landing() {
	click := &c.event.Click
	ip, _ := visitor.IP(click.LandingIP)
	agent := visitor.UserAgent(click.LandingUserAgent)
	if given := click.LandingIP != "" || click.LandingUserAgent != ""; given && (ip == "" || agent == "") {
		c.leaveOut("click.landing_ip", "must be an address, together with landing_user_agent")
		ip, agent = "", ""
	}
	click.LandingIP, click.LandingUserAgent = ip, agent
}

func (c *cleaner) user() {
	u := &c.event.User
	if problem := userIDProblem(u.ExternalID); problem != "" {
		c.leaveOutIdentity("user.external_id", problem)
		u.ExternalID = ""
	}
	given := u.IDs
	u.IDs = nil
	for i, id := range given {
		c.list, c.index = "user.ids", i
		if c.userID(&id) {
			u.IDs = append(u.IDs, id)
		}
	}
	c.list = ""
	u.HashedEmail = c.hash("user.hashed_email", u.HashedEmail, c.leaveOutIdentity)
	u.HashedPhone = c.hash("user.hashed_phone", u.HashedPhone, c.leaveOutIdentity)
	u.HashedCustomerID = c.hash("user.hashed_customer_id", u.HashedCustomerID, c.leaveOutIdentity)
	if problem := userIDProblem(u.ImpressionID); problem != "" {
		c.leaveOutIdentity("user.impression_id", problem)
		u.ImpressionID = ""
	}
	c.network()
	c.privacy()
	c.addresses()
	u.Extra = c.extra("user.extra", u.Extra)
}

func userIDProblem(id string) string {
	switch {
	case text.HasControl(id):
		return problemControl
	case text.Longer(id, maxUserIDLength):
		return fmt.Sprintf("must not be longer than %d characters", maxUserIDLength)
	}
	return personaldata.ProblemOfID(id)
}

// userID brings a user ID into the form in which it is sent. It returns false if
// it is left out.
func (c *cleaner) userID(id *UserID) bool {
	problem := userIDProblem(id.Value)
	switch {
	case !text.Name(string(id.Type)):
		c.leaveOutIdentity("type", text.ProblemName)
		return false
	case id.Value == "":
		problem = "is required"
	case id.Type == UserIDHashedEmail:
		if id.Value = c.hash("value", id.Value, c.leaveOutIdentity); id.Value == "" {
			return false
		}
		problem = ""
	}
	if problem != "" {
		c.leaveOutIdentity("value", problem)
		return false
	}
	id.Extra = c.extra("extra", id.Extra)
	return true
}

// hash returns a hash in lower case, or "" if s is not a hash.
func (c *cleaner) hash(field, s string, leaveOut func(field, problem string)) string {
	normal := strings.ToLower(strings.TrimSpace(s))
	switch {
	case s == "":
		return ""
	case !isSHA256(normal):
		leaveOut(field, problemHash)
		return ""
	case normal == hashOfNothing:
		leaveOut(field, "is the hash of an empty text")
		return ""
	case normal != s:
		c.change(field, "hashes are in lower case and without spaces")
	}
	return normal
}

// network normalizes IP address and user agent, and keeps both or neither.
func (c *cleaner) network() {
	u := &c.event.User
	both := u.IP != "" && u.UserAgent != ""
	leaveOut := c.leaveOut
	if both {
		leaveOut = c.leaveOutIdentity
	}
	if u.IP != "" {
		ip, ok := visitor.IP(u.IP)
		if !ok {
			leaveOut("user.ip", "must be an IPv4 or IPv6 address")
		} else if ip != u.IP {
			c.change("user.ip", "lists, ports and zones are not sent")
		}
		u.IP = ip
	}
	if u.UserAgent != "" {
		agent := visitor.UserAgent(u.UserAgent)
		if agent == "" {
			leaveOut("user.user_agent", problemControl)
		} else if agent != u.UserAgent {
			c.change("user.user_agent", fmt.Sprintf("it may have %d characters, in UTF-8 and without control characters", visitor.MaxUserAgent))
		}
		u.UserAgent = agent
	}
	if u.IP == "" || u.UserAgent == "" {
		// The platform only uses them together.
		u.IP, u.UserAgent = "", ""
	}
}

func (c *cleaner) privacy() {
	u := &c.event.User
	if text.HasControl(u.GPP) {
		c.leaveOut("user.gpp", problemControl)
		u.GPP = ""
	} else if problem := personaldata.ProblemOfID(u.GPP); problem != "" {
		c.leaveOut("user.gpp", problem)
		u.GPP = ""
	}
	given := u.GPPSections
	u.GPPSections = nil
	for i, section := range given {
		if section < 0 {
			c.leaveOut(fmt.Sprintf("user.gpp_sections[%d]", i), "must not be negative")
			continue
		}
		u.GPPSections = append(u.GPPSections, section)
	}
}

const (
	problemControl = "must be UTF-8 without control characters"
	problemHash    = "must be a SHA-256 in 64 hexadecimal characters (HashEmail, HashPhone, HashCustomerID, HashName)"
)

// identifierProblem returns the problem of the ID of an event, an order or an
// item. It does not look for national phone numbers, since many order numbers
// have that form.
func identifierProblem(id string, limit int) string {
	switch {
	case text.HasControl(id), strings.Contains(id, "\uFFFD"):
		return problemControl
	case text.Longer(id, limit):
		return fmt.Sprintf("must not be longer than %d characters", limit)
	}
	return personaldata.ProblemOfEmail(id)
}

// identifier returns the identifier, or "" if it cannot be sent.
func (c *cleaner) identifier(field, id string, limit int) string {
	if problem := identifierProblem(id, limit); problem != "" {
		c.leaveOut(field, problem)
		return ""
	}
	return id
}

// text returns s on one line, truncated to limit, or "" if it contains personal
// data.
func (c *cleaner) text(field, s string, limit int) string {
	if s == "" {
		return ""
	}
	problemOf := personaldata.Problem
	if c.event.KeepNumbers {
		problemOf = personaldata.ProblemOfEmail
	}
	if problem := problemOf(s); problem != "" {
		c.leaveOut(field, problem)
		return ""
	}
	line := text.OneLine(s)
	if text.Longer(line, limit) {
		line = strings.TrimSpace(text.Truncate(line, limit))
	}
	if line == s {
		return s
	}
	// The conversion to one line may reveal personal data.
	if problem := problemOf(line); problem != "" {
		c.leaveOut(field, problem)
		return ""
	}
	c.change(field, fmt.Sprintf("it may have %d characters, in UTF-8 and without control characters", limit))
	return line
}
