// Package e164 reduces phone numbers to the form of ITU-T E.164.
package e164

import (
	"strings"
	"unicode"
)

// Number returns a phone number as "+", country code and number, without other
// symbols, or its problem.
func Number(phone string) (number, problem string) {
	rest, ok := strings.CutPrefix(phone, "+")
	if !ok {
		return "", `must begin with "+" and the country code`
	}
	if strings.ContainsFunc(rest, notInPhone) {
		return "", `must consist of ASCII digits after the "+", without extension`
	}
	digits := onlyDigits(rest)
	country := countryCode(digits)
	if !keepsZero(country) {
		// The trunk digit in +49 (0) 30 is never dialled.
		digits = onlyDigits(strings.Replace(rest, "(0)", "", 1))
	}
	switch {
	case len(digits) < 7 || len(digits) > 15 || digits[0] == '0':
		return "", "must have 7 to 15 digits that begin with the country code (E.164)"
	case !keepsZero(country) && digits[len(country)] == '0':
		return "", "must not have a zero after the country code"
	}
	return "+" + digits, ""
}

// notInPhone reports whether r is neither a digit nor a separator of digits.
func notInPhone(r rune) bool {
	return (r < '0' || r > '9') && !unicode.IsSpace(r) && !unicode.Is(unicode.Pd, r) && !strings.ContainsRune("()./", r)
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// countryCode returns the country code that digits begin with (ITU-T E.164). It
// has one digit for North America and Russia, two for the countries below, and
// three for all others.
func countryCode(digits string) string {
	const twoDigits = " 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66" +
		" 81 82 84 86 90 91 92 93 94 95 98 "
	switch {
	case len(digits) < 3:
		return digits
	case digits[0] == '1' || digits[0] == '7':
		return digits[:1]
	case strings.Contains(twoDigits, " "+digits[:2]+" "):
		return digits[:2]
	}
	return digits[:3]
}

// keepsZero reports whether the numbers of a country may begin with a zero that
// is dialled from abroad, too: those of Italy, the Vatican, San Marino, Ivory
// Coast, Burkina Faso, Benin, Gabon, Congo and Tajikistan.
func keepsZero(country string) bool {
	switch country {
	case "39", "379", "378", "225", "226", "229", "241", "242", "992":
		return true
	}
	return false
}
