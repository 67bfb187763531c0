package fields_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/cmd/clickid/internal/fields"
	"github.com/clickid/clickid/internal/query"
)

// FuzzEvent reads a text as each field. An error names the field and not the
// text; a field that was set is sent as it was written, except plain addresses
// and numbers, which are hashed; a time is the same in its usual form.
func FuzzEvent(f *testing.F) {
	for _, text := range []string{
		"", " ", "purchase", "order-1", "2026-11-20T14:03:00Z", "2026-11-20 14:03", "1795183380", "9999999999", "0000-01-01", "149.99", "1,5", "-1", "EUR",
		"anna@example.com", "mailto:anna@example.com", "+49 171 1234567", "0171 1234567", "https://shop.example/", "\xff", "order number",
	} {
		f.Add(text, "EUR", text)
	}
	f.Fuzz(func(t *testing.T, text, currency, column string) {
		if found, ok := fields.Find(column); ok {
			for _, other := range []string{strings.ToUpper(column), " " + column + "_", strings.ReplaceAll(column, "_", "-")} {
				if again, ok := fields.Find(other); !ok || again.Name != found.Name {
					t.Fatalf("%q is %s, and %q is %s", column, found.Name, other, again.Name)
				}
			}
		}
		for _, field := range fields.All() {
			event, err := fields.Options{Location: time.UTC, Region: "DE", Hash: true, Currency: currency}.Event([]fields.Field{field}, []string{text})
			if err != nil {
				var problem *fields.Problem
				if !errors.As(err, &problem) || problem.Reason == "" || problem.Field != field.Name && (field.Name != "value" || problem.Field != "currency") {
					t.Fatalf("%s: %v", field.Name, err)
				}
				if secret := strings.TrimSpace(text); len(secret) > 12 && strings.Contains(err.Error(), secret) {
					t.Fatalf("%q is repeated: %v", text, err)
				}
				continue
			}
			checkField(t, field.Name, strings.TrimSpace(text), event)
		}
	})
}

// checkField checks the event of one field with a text.
func checkField(t *testing.T, name, text string, event clickid.Event) {
	t.Helper()
	got := map[string]string{
		"id": event.ID, "order": event.OrderID, "click": event.Click.ID, "external-id": event.User.ExternalID, "page": event.PageURL,
		"name": event.CustomName, "hashed-email": event.User.HashedEmail, "hashed-phone": event.User.HashedPhone,
	}
	if name == "click" && event.Click.ID == "" || name == "external-id" && event.User.ExternalID == "" || len(event.User.IDs) == 0 && (name == "ramp-id" || name == "id5") {
		if text != "" && !query.IsPlaceholder(text, "clkid") {
			t.Fatalf("%s lost %q", name, text)
		}
		return
	}
	if value, ok := got[name]; ok && value != text {
		t.Fatalf("%s became %q instead of %q", name, value, text)
	}
	if text == "" {
		return
	}
	switch hashes := []string{event.User.HashedEmail, event.User.HashedPhone}; name {
	case "email", "phone":
		if !slices.ContainsFunc(hashes, func(hash string) bool { return len(hash) == 64 }) {
			t.Fatalf("%q has the hashes %q", text, hashes)
		}
	case "time":
		usual := event.Time.UTC().Format(time.RFC3339Nano)
		set, _ := fields.Find("time")
		again, err := fields.Options{}.Event([]fields.Field{set}, []string{usual})
		if err != nil || !again.Time.Equal(event.Time) {
			t.Fatalf("%q is %s, which is %v: %v", text, usual, again.Time, err)
		}
	case "value":
		if event.Value.Validate() != nil {
			t.Fatalf("%q is the amount %v", text, event.Value)
		}
	}
}
