// Package personaldata finds e-mail addresses and phone numbers in text.
package personaldata

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clickid/clickid/internal/text"
	"golang.org/x/net/publicsuffix"
)

// Problems of raw personal data.
const (
	ProblemEmail = "looks like an e-mail address; the platform takes no personal data in clear (HashEmail)"
	ProblemPhone = "looks like a phone number; the platform takes no personal data in clear (HashPhone)"
)

// The kinds of bytes without which a text has no e-mail address, and no
// international or national phone number. Most texts have none of them.
const (
	inEmail         = text.At | text.Escape | text.Other
	inInternational = text.Plus | text.Other
	inNational      = text.Number | text.Other
)

// Problem returns the problem of a text with an e-mail address or a phone
// number, or "".
func Problem(s string) string {
	if text.Classes(s)&(inEmail|inInternational|inNational) == 0 {
		return ""
	}
	return problem(s, true, true)
}

// ProblemOfID is Problem for an identifier. It only looks for international
// phone numbers, since many identifiers look like national ones.
func ProblemOfID(s string) string {
	if text.Classes(s)&(inEmail|inInternational) == 0 {
		return ""
	}
	return problem(s, true, false)
}

// ProblemOfEmail is Problem for e-mail addresses only.
func ProblemOfEmail(s string) string {
	if text.Classes(s)&inEmail == 0 {
		return ""
	}
	return problem(s, false, false)
}

// problem searches for e-mail addresses, for international phone numbers if phones
// is set, and for national ones if national is set as well.
func problem(s string, phones, national bool) string {
	s = text.Fold(s)
	switch {
	case containsEmail(s):
		return ProblemEmail
	case phones && containsPhone(s, national):
		return ProblemPhone
	}
	return ""
}

// decoded replaces the encoded characters of addresses.
var decoded = strings.NewReplacer(
	"%2540", "@", "%40", "@", "&#64;", "@", "&#x40;", "@", "%252E", ".", "%252e", ".", "%2E", ".", "%2e", ".", "&#46;", ".", "&#x2e;", ".",
)

// containsEmail reports whether s contains an e-mail address, plain or encoded. Its
// domain must end in a registered top-level domain or a listed private suffix;
// image@2x.png and till@store.local do not, and the receiver of package clickidtest
// takes them as well.
func containsEmail(s string) bool {
	if strings.IndexByte(s, '%') >= 0 || strings.IndexByte(s, '&') >= 0 {
		s = decoded.Replace(s)
	}
	for {
		before, after, ok := strings.Cut(s, "@")
		if !ok {
			return false
		}
		if endsInLocalPart(before) && startsWithDomain(after) {
			return true
		}
		s = after
	}
}

func endsInLocalPart(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(s)
	return s != "" && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("!#$%&'*+-./=?^_`{|}~\"", r))
}

// startsWithDomain reports whether s begins with a domain that may have
// mailboxes.
func startsWithDomain(s string) bool {
	end := strings.IndexFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '.'
	})
	if end >= 0 {
		s = s[:end]
	}
	domain := strings.ToLower(strings.Trim(s, ".-"))
	first, rest, ok := strings.Cut(domain, ".")
	if !ok || first == "" {
		return false
	}
	if last := rest[strings.LastIndexByte(rest, '.')+1:]; !isASCII(last) {
		// The list has such domains in Punycode. Letters of another script
		// after the last point are a top-level domain or a sentence, and only
		// the former follows an "@".
		return true
	}
	suffix, icann := publicsuffix.PublicSuffix(domain)
	// Suffixes that ICANN does not manage are on the list if they have a point.
	// Without a point they are the default for unknown names.
	return icann || strings.Contains(suffix, ".")
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// containsPhone reports whether s contains a phone number: international with
// "+", or, with national, also in parentheses or in groups that no date or
// price has. Plain digits are not a phone number.
func containsPhone(s string, national bool) bool {
	for i := 0; i < len(s); {
		if !isPhoneByte(s[i]) {
			i++
			continue
		}
		start := i
		for i < len(s) && isPhoneByte(s[i]) {
			i++
		}
		if containsInternational(s, start, i) || national && isNational(cutWords(s, start, i)) {
			return true
		}
	}
	return false
}

func isPhoneByte(c byte) bool {
	switch c {
	case '+', '(', ')', '-', '.', '/', ' ':
		return true
	}
	return isDigit(c)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isWordRune(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || r == '_')
}

// cutWords returns the run s[start:end] without the groups that are part of a
// word, such as an ID, a URL or a token.
func cutWords(s string, start, end int) string {
	run := s[start:end]
	if before, _ := utf8.DecodeLastRuneInString(s[:start]); isWordRune(before) {
		space := strings.IndexByte(run, ' ')
		if space < 0 {
			return ""
		}
		run = run[space:]
	}
	if after, _ := utf8.DecodeRuneInString(s[end:]); isWordRune(after) {
		run = run[:strings.LastIndexByte(run, ' ')+1]
	}
	return run
}

// containsInternational reports whether the run s[start:end] contains a number
// of E.164 after a "+". Its last group must not be part of a word, as in a
// token.
func containsInternational(s string, start, end int) bool {
	run := s[start:end]
	if after, _ := utf8.DecodeRuneInString(s[end:]); isWordRune(after) {
		run = strings.TrimRight(run, "0123456789")
	}
	for i := 0; i < len(run); i++ {
		if run[i] != '+' {
			continue
		}
		// "M+123" and "1+2" are not phone numbers.
		before, _ := utf8.DecodeLastRuneInString(s[:start+i])
		if isWordRune(before) || i > 0 && isDigit(run[i-1]) {
			continue
		}
		if isInternational(run[i+1:]) {
			return true
		}
	}
	return false
}

// isNational reports whether a run of digits and separators is a national phone
// number.
func isNational(run string) bool {
	groups := strings.FieldsFunc(run, func(r rune) bool { return r < '0' || r > '9' })
	for i := range groups {
		if isNorthAmerican(run, groups[i:]) {
			return true
		}
	}
	spaced := strings.Fields(run)
	return strings.HasPrefix(strings.TrimSpace(run), "(") && isParenthesised(groups) ||
		len(spaced) == len(groups) && isSpacedNational(groups) || isAreaCode(groups)
}

// isInternational reports whether s begins with the digits of an E.164 number:
// at most 15, with a country code that does not begin with 0. Other numbers may
// follow.
func isInternational(s string) bool {
	if s == "" || !isDigit(s[0]) || s[0] == '0' {
		return false
	}
	digits := 0
	for i := 0; i < len(s) && digits <= 15; i++ {
		if isDigit(s[i]) {
			digits++
			if endsGroup := i+1 == len(s) || !isDigit(s[i+1]); endsGroup && 8 <= digits && digits <= 15 {
				return true
			}
		} else if s[i] == '+' {
			return false
		}
	}
	return false
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

// isAreaCode: an area code with its trunk 0 before the rest, in any form that
// no date has: 0151-23456789, 030/1234567, 089/123-456.
func isAreaCode(groups []string) bool {
	total := 0
	for _, g := range groups {
		total += len(g)
	}
	if len(groups) < 2 || len(groups) > 4 || total < 9 || total > 12 {
		return false
	}
	first := groups[0]
	return 3 <= len(first) && len(first) <= 5 && first[0] == '0' && first[1] != '0'
}

// NamesPhone reports whether a property's name is that of a phone number:
// phone, customerPhone, mobile_number, tel.
func NamesPhone(name string) bool {
	switch strings.ToLower(name) {
	case "phone", "phone_number", "telephone", "mobile", "mobile_number":
		return true
	}
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
	case "phone", "phonenumber", "telephone", "tel", "mobile", "cell", "cellphone", "msisdn", "fax", "whatsapp",
		"telefon", "telefono", "telefone", "handy", "celular":
		return true
	}
	return false
}

// nameWords returns the words of a name in lower case, split at separators and
// capitals.
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

// IsBarePhone reports whether s consists of 7 to 15 digits and separators. This
// is a phone number if the property's name is that of one.
func IsBarePhone(s string) bool {
	s = text.Fold(s)
	digits := 0
	for i := 0; i < len(s); i++ {
		if !isPhoneByte(s[i]) {
			return false
		}
		if isDigit(s[i]) {
			digits++
		}
	}
	return 7 <= digits && digits <= 15
}

// NamesPostalAddress reports whether a property's name is that of a postal
// address.
func NamesPostalAddress(name string) bool {
	switch strings.ToLower(name) {
	case "address", "street", "street_address", "postal_address", "shipping_address", "billing_address", "home_address":
		return true
	}
	words := nameWords(name)
	if n := len(words); n > 0 {
		switch words[n-1] {
		case "street", "address":
			return n < 2 || !slices.Contains([]string{"ip", "mac", "email", "mail", "web", "url", "wallet", "contract"}, words[n-2])
		}
	}
	return false
}

// ProblemAddress is the problem of a postal address.
const ProblemAddress = "is a postal address; the platform takes no personal data in clear"
