// Package text holds the character classes and length rules that clicks,
// events and configuration share.
package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Unreserved reports whether s is 1 to limit bytes of [A-Za-z0-9._~-], the
// unreserved characters of RFC 3986, section 2.3.
func Unreserved(s string, limit int) bool {
	return s != "" && len(s) <= limit && Classes(s)&^(Lower|Upper|Number|Underscore|Mark) == 0
}

// Graphic reports whether s is 1 to limit visible ASCII characters.
func Graphic(s string, limit int) bool {
	return s != "" && len(s) <= limit && Classes(s)&(Space|Other) == 0
}

// maxName is the longest name of an event type, a source or a user ID type.
const maxName = 64

// ProblemName explains a name that Name refuses.
const ProblemName = "must be 1 to 64 characters of [a-z0-9_]"

// Name reports whether s can be an event type, a source or the type of a user
// ID.
func Name(s string) bool {
	return s != "" && len(s) <= maxName && Classes(s)&^(Lower|Number|Underscore) == 0
}

// Digits reports whether s is one or more ASCII digits.
func Digits(s string) bool {
	return s != "" && Classes(s) == Number
}

// HasControl reports whether s holds a control character or is not UTF-8.
func HasControl(s string) bool {
	return Classes(s)&Other != 0 && (!utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl))
}

// OneLine returns s as UTF-8 with spaces instead of control characters.
func OneLine(s string) string {
	if !HasControl(s) {
		return s
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	return strings.TrimSpace(s)
}

// Plain returns s with its letters, digits and marks only, and one space between
// words.
func Plain(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return -1
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// Truncate returns the first limit characters of s.
func Truncate(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	count := 0
	for i := range s {
		if count == limit {
			return s[:i]
		}
		count++
	}
	return s
}

// Longer reports whether s has more than limit characters.
func Longer(s string, limit int) bool {
	return len(s) > limit && utf8.RuneCountInString(s) > limit
}
