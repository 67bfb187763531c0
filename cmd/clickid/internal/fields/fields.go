// Package fields builds events from named texts: the flags of a command and the
// columns of a file.
package fields

import (
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/query"
	clickidphone "github.com/clickid/clickid/phone"
)

// Options are what the texts leave open.
type Options struct {
	// Location is the time zone of times without one. nil refuses them.
	Location *time.Location
	// TimeLayout is a layout of package time that replaces the usual ones.
	TimeLayout string
	// Region is the country of phone numbers without a country code.
	Region string
	// Hash allows plain e-mail addresses and phone numbers, and hashes them.
	Hash bool
	// Type, Currency and Source are those of events without one.
	Type     clickid.EventType
	Currency string
	Source   clickid.Source
}

// Field is a member of an event that is set from text.
type Field struct {
	Name  string
	Usage string
	also  []string // names of columns
	set   func(*draft, string) error
}

// draft is an event in the making.
type draft struct {
	Options
	event           clickid.Event
	value, currency string
}

// All returns the fields in the order of their importance.
func All() []Field {
	return []Field{
		{"type", "`TYPE` of the event, such as purchase or lead", []string{"event_type", "event"}, func(d *draft, s string) error {
			d.event.Type = clickid.EventType(strings.ToLower(s))
			return nil
		}},
		{"id", "`ID` of the event, usually the order number", []string{"event_id", "order_number", "order_no", "transaction_id"}, func(d *draft, s string) error {
			d.event.ID = s
			return nil
		}},
		{"time", "`TIME` of the event, in RFC 3339 or without a zone", []string{"event_time", "timestamp", "date", "datetime", "ordered_at", "created_at", "order_date"}, func(d *draft, s string) (err error) {
			d.event.Time, err = d.parseTime(s)
			return err
		}},
		{"value", "`AMOUNT` such as 149.99", []string{"amount", "total", "revenue", "order_value", "conversion_value"}, func(d *draft, s string) error {
			d.value = s
			return nil
		}},
		{"currency", "`CODE` of the currency, such as EUR", []string{"currency_code", "value_currency", "conversion_currency"}, func(d *draft, s string) error {
			d.currency = s
			return nil
		}},
		{"source", "`PLACE` of the event: website, app, in_store, phone_call, offline, …", []string{"action_source"}, func(d *draft, s string) error {
			d.event.Source = clickid.Source(strings.ToLower(s))
			return nil
		}},
		{"click", "`ID` of the click, the clkid of the landing URL", []string{"click_id", "clkid", "sc3clid"}, func(d *draft, s string) error {
			d.event.Click.ID = s
			return nil
		}},
		{"ramp-id", "`TOKEN` of LiveRamp", []string{"liveramp", "ramp", "rampid"}, func(d *draft, s string) error {
			d.event.User.IDs = append(d.event.User.IDs, clickid.RampID(s))
			return nil
		}},
		{"id5", "`TOKEN` of ID5", []string{"id5_id"}, func(d *draft, s string) error {
			d.event.User.IDs = append(d.event.User.IDs, clickid.ID5(s))
			return nil
		}},
		{"external-id", "opaque `ID` of the customer", []string{"customer_id", "user_id", "customer_number"}, func(d *draft, s string) error {
			d.event.User.ExternalID = s
			return nil
		}},
		{"email", "e-mail `ADDRESS`, hashed here and never sent as it is", []string{"mail", "email_address"}, func(d *draft, s string) (err error) {
			if !d.Hash {
				return errPlain
			}
			d.event.User.HashedEmail, err = clickid.HashEmail(s)
			return err
		}},
		{"phone", "phone `NUMBER`, hashed here and never sent as it is", []string{"phone_number", "telephone", "mobile"}, func(d *draft, s string) (err error) {
			if !d.Hash {
				return errPlain
			}
			d.event.User.HashedPhone, err = clickidphone.Hash(s, d.Region)
			return err
		}},
		{"hashed-email", "SHA-256 of an e-mail address, in hexadecimal `DIGITS`", []string{"email_sha256", "sha256_email"}, func(d *draft, s string) error {
			d.event.User.HashedEmail = s
			return nil
		}},
		{"hashed-phone", "SHA-256 of a phone number in E.164, in hexadecimal `DIGITS`", []string{"phone_sha256", "sha256_phone"}, func(d *draft, s string) error {
			d.event.User.HashedPhone = s
			return nil
		}},
		{"order", "order `NUMBER`, if it differs from the ID", []string{"order_id"}, func(d *draft, s string) error {
			d.event.OrderID = s
			return nil
		}},
		{"page", "`URL` of the event's page", []string{"page_url", "url"}, func(d *draft, s string) error {
			d.event.PageURL = s
			return nil
		}},
		{"name", "`NAME` of an event of type custom", []string{"custom_name"}, func(d *draft, s string) error {
			d.event.CustomName = s
			return nil
		}},
	}
}

var errPlain = errors.New("is plain text; -hash hashes it before it is sent")

// Find returns the field of a column, by the column's own name or one that is
// common for it, in any case and with any separator of words.
func Find(column string) (Field, bool) {
	want := plain(column)
	for _, f := range All() {
		if plain(f.Name) == want {
			return f, true
		}
		for _, name := range f.also {
			if plain(name) == want {
				return f, true
			}
		}
	}
	return Field{}, false
}

// plain reduces a name to its letters and digits.
func plain(name string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if strings.ContainsRune(" _-.", r) {
			return -1
		}
		return r
	}, strings.TrimSpace(name)))
}

// Problem is why a text cannot be used. It does not contain the text.
type Problem struct {
	Field  string // may be empty
	Reason string
}

// Error returns the field and the reason.
func (p *Problem) Error() string { return strings.TrimPrefix(p.Field+" "+p.Reason, " ") }

// identifying are the fields by which an event is attributed.
var identifying = []string{"click", "ramp-id", "id5", "external-id"}

// isMissing reports whether a text stands for no ID. Others are refused or sent as they
// are.
func isMissing(text string) bool {
	notASCII := func(r rune) bool { return r >= utf8.RuneSelf }
	return !strings.ContainsFunc(text, notASCII) && query.IsPlaceholder(text, "clkid")
}

// Event returns the event of the texts, which belong to the fields of the same
// index. An empty text leaves its field unset, and so does NULL or the like as an
// identity, by which no event would be attributed. The error is a [*Problem]; the event
// then has the fields before it.
func (o Options) Event(fields []Field, texts []string) (clickid.Event, error) {
	d := draft{Options: o, event: clickid.Event{Type: o.Type, Source: o.Source}, currency: o.Currency}
	for i, f := range fields {
		text := strings.TrimSpace(texts[i])
		if text == "" || slices.Contains(identifying, f.Name) && isMissing(text) {
			continue
		}
		if err := f.set(&d, text); err != nil {
			return d.event, &Problem{f.Name, reason(err)}
		}
	}
	if d.value != "" {
		if err := d.setValue(); err != nil {
			return d.event, err
		}
	}
	return d.event, nil
}

// reason returns the text of an error without the names of packages, tasks and
// fields before it, as the rest of a sentence that begins with the field.
func reason(err error) string {
	text := strings.Replace(err.Error(), "clickid: amount ", "", 1)
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	for _, subject := range []string{"it ", "the phone number ", "this phone number ", "this "} {
		if rest, ok := strings.CutPrefix(text, subject); ok {
			return rest
		}
	}
	return text
}

func (d *draft) setValue() error {
	if strings.Contains(d.value, ",") {
		return &Problem{"value", "has a comma; write it with a decimal point and without separators of thousands, such as 1499.00"}
	}
	if d.currency == "" {
		return &Problem{"currency", "is missing beside the value; set -currency"}
	}
	d.event.Value = clickid.Decimal(d.value, d.currency)
	if err := d.event.Value.Validate(); err != nil {
		return &Problem{"value", reason(err)}
	}
	return nil
}
