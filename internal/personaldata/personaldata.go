// Package personaldata recognises e-mail addresses and phone numbers in text.
package personaldata

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clickid/clickid/internal/text"
	"golang.org/x/net/publicsuffix"
)

// Personal data in clear, as the platform refuses it.
const (
	ProblemEmail = "looks like an e-mail address; the platform takes no personal data in clear (HashEmail)"
	ProblemPhone = "looks like a phone number; the platform takes no personal data in clear (HashPhone)"
)

// Problem returns what is wrong with a text that holds an e-mail address
// or a phone number, or "".
func Problem(s string) string {
	switch {
	case containsEmail(s):
		return ProblemEmail
	case containsPhone(s):
		return ProblemPhone
	}
	return ""
}

// containsEmail reports whether s contains an e-mail address, with its "@" as
// it is or percent-encoded. Its domain must end in a registered top-level
// domain or a listed private suffix, so that image@2x.png is none.
func containsEmail(s string) bool {
	for rest := s; ; {
		at, width := indexAt(rest)
		if at < 0 {
			return false
		}
		before, after := rest[:at], rest[at+width:]
		if endsInLocalPart(before) && startsWithDomain(after) {
			return true
		}
		rest = after
	}
}

// indexAt finds the first "@", plain or percent-encoded.
func indexAt(s string) (index, width int) {
	plain, encoded := strings.IndexByte(s, '@'), strings.Index(s, "%40")
	if encoded >= 0 && (plain < 0 || encoded < plain) {
		return encoded, len("%40")
	}
	return plain, len("@")
}

func endsInLocalPart(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(s)
	return s != "" && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("!#$%&'*+-/=?^_`{|}~\"", r))
}

// startsWithDomain reports whether s begins with a domain under which people
// have mailboxes.
func startsWithDomain(s string) bool {
	end := strings.IndexFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '.'
	})
	if end >= 0 {
		s = s[:end]
	}
	domain := strings.ToLower(strings.Trim(s, ".-"))
	first, rest, ok := strings.Cut(domain, ".")
	if !ok || first == "" || isScaleFactor(first) {
		return false
	}
	if last := rest[strings.LastIndexByte(rest, '.')+1:]; !isASCII(last) {
		// The list spells such domains in Punycode; letters of another script
		// after the last point are a top-level domain or a sentence, and only
		// the former follows an "@".
		return true
	}
	suffix, icann := publicsuffix.PublicSuffix(domain)
	// Of the suffixes that ICANN does not manage, those with a point are on
	// the list and those without are the list's default for unknown names.
	return icann || strings.Contains(suffix, ".")
}

// isScaleFactor reports whether s is the 2x of an image name such as
// logo@2x.zip, whose ending may well be a top-level domain.
func isScaleFactor(s string) bool {
	return strings.HasSuffix(s, "x") && text.Digits(strings.TrimSuffix(s, "x"))
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// containsPhone reports whether s contains a phone number as people write it:
// international with "+", or national with parentheses or separators in the
// groups that no date, price or order number has. A bare run of digits is no
// phone number.
func containsPhone(s string) bool {
	for i := 0; i < len(s); {
		if !isPhoneByte(s[i]) {
			i++
			continue
		}
		start := i
		for i < len(s) && isPhoneByte(s[i]) {
			i++
		}
		// A run that touches a letter is part of an ID, a URL or a token.
		if touchesWord(s, start, i) {
			continue
		}
		if isPhoneRun(s[start:i]) {
			return true
		}
	}
	return false
}

func isPhoneByte(c byte) bool {
	return '0' <= c && c <= '9' || strings.IndexByte("+()-./ ", c) >= 0
}

// touchesWord reports whether the run s[start:end] is joined to a word without
// a space between them.
func touchesWord(s string, start, end int) bool {
	before, _ := utf8.DecodeLastRuneInString(s[:start])
	after, _ := utf8.DecodeRuneInString(s[end:])
	return s[start] != ' ' && isWordRune(before) || s[end-1] != ' ' && isWordRune(after)
}

func isWordRune(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || r == '_')
}

// isPhoneRun looks for a phone number in a run of digits and the characters
// that people write between them.
func isPhoneRun(run string) bool {
	for plus := strings.IndexByte(run, '+'); plus >= 0; {
		if (plus == 0 || run[plus-1] == ' ' || run[plus-1] == '(') && isInternational(run[plus+1:]) {
			return true
		}
		next := strings.IndexByte(run[plus+1:], '+')
		if next < 0 {
			return false
		}
		plus += 1 + next
	}
	groups := strings.FieldsFunc(run, func(r rune) bool { return r < '0' || r > '9' })
	for i := range groups {
		if isNorthAmerican(run, groups[i:]) {
			return true
		}
	}
	spaced := strings.Fields(run)
	return strings.HasPrefix(strings.TrimSpace(run), "(") && isParenthesised(groups) ||
		len(spaced) == len(groups) && isSpacedNational(groups)
}

// isInternational: E.164 allows 15 digits; country codes do not begin with 0.
func isInternational(s string) bool {
	digits := 0
	for i := 0; i < len(s); i++ {
		if '0' <= s[i] && s[i] <= '9' {
			if digits == 0 && (s[i] == '0' || i > 0) {
				return false
			}
			digits++
		}
	}
	return 8 <= digits && digits <= 15
}

// isNorthAmerican: groups of 3, 3 and 4 digits with an area code and an
// exchange that do not begin with 0 or 1, optionally after a 1.
func isNorthAmerican(run string, groups []string) bool {
	if len(groups) != 3 || len(groups[0]) != 3 || len(groups[1]) != 3 || len(groups[2]) != 4 {
		return false
	}
	rest := strings.TrimLeft(strings.TrimSpace(run), "(1-. ")
	return groups[0][0] >= '2' && groups[1][0] >= '2' && strings.HasPrefix(rest, groups[0])
}

// isParenthesised: an area code in parentheses before the rest.
func isParenthesised(groups []string) bool {
	total := 0
	for _, g := range groups {
		total += len(g)
	}
	return len(groups) >= 2 && 2 <= len(groups[0]) && len(groups[0]) <= 5 && 8 <= total && total <= 12
}

// isSpacedNational: a number with its trunk 0, in groups that only spaces
// separate: 020 7946 0958, 06 12 34 56 78.
func isSpacedNational(groups []string) bool {
	total := 0
	for _, g := range groups {
		if len(g) < 2 {
			return false
		}
		total += len(g)
	}
	return len(groups) >= 2 && groups[0][0] == '0' && groups[0][1] != '0' && 9 <= total && total <= 12
}

// NamesPhone reports whether a property's name says that its value is a phone
// number: phone, customerPhone, mobile_number, tel.
func NamesPhone(name string) bool {
	words := nameWords(name)
	for len(words) > 1 {
		switch words[len(words)-1] {
		case "number", "no", "nr", "num", "e164":
			words = words[:len(words)-1]
			continue
		}
		break
	}
	if len(words) == 0 {
		return false
	}
	switch words[len(words)-1] {
	case "phone", "phonenumber", "telephone", "tel", "mobile", "cell", "cellphone", "msisdn", "telefon":
		return true
	}
	return false
}

// nameWords splits a name at separators and capitals, in lower case.
func nameWords(name string) []string {
	var words []string
	word := make([]rune, 0, len(name))
	flush := func() {
		if len(word) > 0 {
			words = append(words, strings.ToLower(string(word)))
			word = word[:0]
		}
	}
	lower := false
	for _, r := range name {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			flush()
		case unicode.IsUpper(r) && lower:
			flush()
			fallthrough
		default:
			word = append(word, r)
		}
		lower = unicode.IsLower(r)
	}
	flush()
	return words
}

// IsBarePhone reports whether s is nothing but 7 to 15 digits and what people
// write between them: a phone number where the name already says so.
func IsBarePhone(s string) bool {
	digits := 0
	for i := 0; i < len(s); i++ {
		if !isPhoneByte(s[i]) {
			return false
		}
		if '0' <= s[i] && s[i] <= '9' {
			digits++
		}
	}
	return 7 <= digits && digits <= 15
}
