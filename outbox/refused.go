package outbox

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/text"
)

// refusedRecord returns the record of an event that validation refuses, and the
// event's ID. It has another identity than the corrected event. The same
// refused event is stored once. An event without an ID gets one.
func refusedRecord(destination string, e clickid.Event, reason string, now time.Time) (r Record, id string) {
	e, dropped := storable(e)
	content, err := encode(e)
	if err != nil {
		// Type and ID are strings and can always be stored.
		e = clickid.Event{Type: e.Type, ID: e.ID}
		dropped = []string{"everything but type and ID"}
		content, _ = encode(e)
	}
	// The time is left out: a webhook that is delivered again may set it anew.
	timeless := e
	timeless.Time = time.Time{}
	same, _ := encode(timeless)
	sum := sha256.Sum256([]byte("clickid refused event\x00" + destination + "\x00" + reason + "\x00" + string(same)))
	identity := hex.EncodeToString(sum[:])
	if e.ID == "" {
		e.ID = "refused-" + identity[:12]
		content, _ = encode(e)
	}
	if len(dropped) > 0 {
		reason += "; not stored: " + strings.Join(dropped, ", ")
	}
	return Record{
		Identity: identity,
		Payload:  content,
		Keys:     eraseKeys(e),
		QueuedAt: now.UTC().Truncate(time.Millisecond),
		Refused:  reason,
	}, e.ID
}

// skippedRecord returns the record of an event that is not sent. It contains
// nothing about the user.
func skippedRecord(destination string, e clickid.Event, reason string, now time.Time) (Record, error) {
	content, err := encode(clickid.Event{Type: e.Type, ID: e.ID, Time: e.Time})
	if err != nil {
		return Record{}, err
	}
	return Record{
		Identity: skippedIdentity(destination, e),
		Payload:  content,
		Keys:     eraseKeys(e),
		QueuedAt: now.UTC().Truncate(time.Millisecond),
		Skipped:  reason,
	}, nil
}

// skippedIdentity returns the identity of the record of a skipped event.
func skippedIdentity(destination string, e clickid.Event) string {
	return identity("skipped\x00"+destination, e)
}

// storable returns e without the members that cannot be stored as JSON, and
// their names.
func storable(e clickid.Event) (clickid.Event, []string) {
	if _, err := marshal(e); err == nil {
		return e, nil
	}
	var dropped []string
	drop := func(field string, v any, remove func()) {
		if _, err := marshal(v); err != nil {
			remove()
			dropped = append(dropped, field)
		}
	}
	drop("time", e.Time, func() { e.Time = time.Time{} })
	drop("value", e.Value, func() { e.Value = clickid.Amount{} })
	drop("click", e.Click, func() { e.Click = clickid.Click{ID: e.Click.ID, Param: e.Click.Param} })
	drop("consent", e.Consent, func() { e.Consent = clickid.ConsentUnknown })
	drop("extra", e.Extra, func() { e.Extra = nil })
	drop("user.extra", e.User, func() { e.User = withoutExtra(e.User) })
	e.Items = slices.Clone(e.Items)
	for i := range e.Items {
		drop(fmt.Sprintf("items[%d].extra", i), e.Items[i].Extra, func() { e.Items[i].Extra = nil })
		drop(fmt.Sprintf("items[%d].discount", i), e.Items[i].Discount, func() { e.Items[i].Discount = clickid.Amount{} })
		drop(fmt.Sprintf("items[%d].price", i), e.Items[i].Price, func() { e.Items[i].Price = clickid.Amount{} })
	}
	e.Properties = maps.Clone(e.Properties)
	for _, name := range slices.Sorted(maps.Keys(e.Properties)) {
		field := "properties"
		if text.Name(name) {
			field += "." + name
		}
		drop(field, e.Properties[name], func() { delete(e.Properties, name) })
	}
	return e, dropped
}

// withoutExtra returns u without its extra members, the only ones that may be invalid.
func withoutExtra(u clickid.User) clickid.User {
	u.Extra = nil
	u.IDs, u.Addresses = slices.Clone(u.IDs), slices.Clone(u.Addresses)
	for i := range u.IDs {
		u.IDs[i].Extra = nil
	}
	for i := range u.Addresses {
		u.Addresses[i].Extra = nil
	}
	return u
}
