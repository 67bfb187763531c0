// Package mailaddr checks e-mail addresses as people type them.
package mailaddr

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clickid/clickid/internal/text"
)

// Valid reports whether email is one address, in the form name@domain and with
// nothing around it.
func Valid(email string) bool {
	local, domain, ok := strings.Cut(email, "@")
	return ok && local != "" && utf8.ValidString(email) && !strings.ContainsFunc(email, notInEmail) && isMailDomain(domain)
}

// notInEmail reports whether r is in no address that people type.
func notInEmail(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("<>()[]{},;:\"\\|", r) || '\uFF01' <= r && r <= '\uFF5E'
}

func isMailDomain(domain string) bool {
	labels := strings.Split(domain, ".")
	for _, label := range labels {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' || len(label) > 63 || strings.ContainsFunc(label, notInLabel) {
			return false
		}
	}
	return len(labels) > 1 && !text.Digits(labels[len(labels)-1])
}

func notInLabel(r rune) bool {
	return r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
}
