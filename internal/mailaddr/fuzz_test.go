package mailaddr_test

import (
	"net/mail"
	"strings"
	"testing"

	"github.com/clickid/clickid/internal/mailaddr"
)

// FuzzValid compares with net/mail: what is valid is one address with nothing
// around it, so that its hash is that of a mailbox.
func FuzzValid(f *testing.F) {
	for _, s := range []string{"", "anna@example.com", "a.b+c@mail.example.co.uk", "Anna <anna@example.com>", "a@b", "a@@b.example", "a b@c.example", "anna@example.com,ben@example.com", "anna@xn--mller-kva.example", "mailto:anna@example.com", "a\u200b@b.example", `"a b"@c.example`, "a@[1.2.3.4]", ".a@b.example", "a@b.example."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !mailaddr.Valid(s) {
			return
		}
		if strings.Count(s, "@") != 1 || strings.ContainsAny(s, " \t\r\n\x00<>,;:\"()[]\\") {
			t.Fatalf("%q is valid", s)
		}
		name, domain, _ := strings.Cut(s, "@")
		if name == "" || !strings.Contains(domain, ".") {
			t.Fatalf("%q is valid", s)
		}
		parsed, err := mail.ParseAddress(s)
		if dots := strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") || strings.Contains(name, ".."); err != nil && dots {
			return // mailboxes with such names exist
		}
		if err != nil || parsed.Address != s {
			t.Fatalf("%q is valid, and net/mail reads %v: %v", s, parsed, err)
		}
	})
}
