package outboxes

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
)

// FuzzExplain explains entries that no shop has stored. The terminal gets no
// control character, so that no stored value moves its cursor or makes a line of
// its own.
func FuzzExplain(f *testing.F) {
	for _, text := range []string{"", "order-1", "\x1b[2J", "a\nb", "a\r", "\u009b2J", "\u202eabc", "\xff", "anna@example.com", "%d%s", "a\tb"} {
		f.Add("purchase", text, text, text, text, 3)
		f.Add(text, "order-1", text, "503", "SERVICE_UNAVAILABLE", 4)
	}
	at := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, eventType, id, reason, warning, code string, state int) {
		text := Explain(outbox.Entry{
			Type: clickid.EventType(eventType), EventID: id, State: outbox.State(state), Reason: reason, Warnings: []string{warning}, DeadLetterID: id,
			Attribution: "click", Attempts: []outbox.Attempt{{At: at, Status: 500, Code: code}}, QueuedAt: at, EndedAt: at,
		}, at)
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		want := 7
		if reason != "" {
			want++
		}
		if len(lines) != want {
			t.Fatalf("%d lines: %q", len(lines), text)
		}
		if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
			t.Fatalf("a character that cannot be printed: %q", text)
		}
	})
}

// FuzzAddress reads addresses of outboxes. No error repeats one, since it may
// have a password.
func FuzzAddress(f *testing.F) {
	for _, address := range []string{
		"", "outbox.db", "postgres://shop:secretword@db/shop", "mysql://shop:secretword@db", "mysql://shop:secretword@db:x/shop", "shop:secretword@tcp(db)", "shop:secretword@tcp(db)/shop?secretword=%zz",
		"redis://:secretword@db/x", "rediss://:secretword@%zz", "secretword://db", "mysql://secretword:%zz@db/shop", "mysql://[::1/secretword", "unix(/secretword)/a",
	} {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		kind, err := parse(address)
		if err == nil && kind == kindMySQL {
			_, err = mysqlSource(address)
		}
		if err == nil {
			return
		}
		for _, part := range strings.FieldsFunc(address, func(r rune) bool { return strings.ContainsRune(":/@()?=&%", r) }) {
			if len(part) >= 10 && strings.Contains(err.Error(), part) {
				t.Fatalf("the error repeats %q: %v", part, err)
			}
		}
	})
}
