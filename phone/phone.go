// Package clickidphone hashes phone numbers as people type them. The root
// package takes numbers in E.164 only, since a number without a country code
// says nothing without the country that it is dialled in:
//
//	hashed, err := clickidphone.Hash(order.Phone, order.Country) // "0171 1234567", "DE"
//	if err == nil {
//		event.User.HashedPhone = hashed
//	}
//
// It uses github.com/nyaruka/phonenumbers, a port of Google's libphonenumber in
// pure Go under the MIT licence. Importing the package loads the numbering plans
// of all countries; see BenchmarkHash for the costs.
package clickidphone

import (
	"errors"
	"strings"
	"unicode"

	"github.com/clickid/clickid"
	"github.com/nyaruka/phonenumbers"
)

// maxBytes is more than any phone number has, with all separators.
const maxBytes = 250

// Hash returns the SHA-256 of a phone number in E.164, in lowercase hexadecimal:
// the HashedPhone of a clickid.User. It is [clickid.HashPhone] of [E164].
func Hash(raw, region string) (string, error) {
	number, err := E164(raw, region)
	if err != nil {
		return "", err
	}
	return clickid.HashPhone(number)
}

// E164 returns a phone number in E.164, such as "+491711234567". The region is
// the country in which a number without a country code is dialled, as its ISO
// 3166 code in either case ("DE", "gb"): the country of the shop or of the
// delivery address. A number that begins with "+" does not need it.
//
// Separators, invisible characters, a trunk zero after the country code, the
// region's prefix of international calls ("00", "011") and digits of other
// scripts are taken. A number with letters or an extension, and one that the
// numbering plan of its country does not have, is an error. Errors do not
// contain the number.
func E164(raw, region string) (string, error) {
	text := strings.TrimSpace(strings.Map(visible, raw))
	switch {
	case text == "":
		return "", errors.New("clickidphone: the phone number is empty")
	case len(text) > maxBytes:
		return "", errors.New("clickidphone: the phone number is too long")
	case strings.ContainsFunc(text, unicode.IsLetter):
		return "", errors.New("clickidphone: the phone number must not have letters or an extension")
	}
	region = strings.ToUpper(strings.TrimSpace(region))
	if !international(text) && !phonenumbers.GetSupportedRegions()[region] {
		if region == "" {
			return "", errors.New(`clickidphone: the phone number has no country code; pass a region such as "DE"`)
		}
		return "", errors.New(`clickidphone: the region must be an ISO 3166 code such as "DE" or "GB"`)
	}
	number, err := phonenumbers.Parse(text, region)
	switch {
	case err != nil:
		return "", errors.New("clickidphone: this is not a phone number")
	case number.GetExtension() != "":
		return "", errors.New("clickidphone: the phone number must not have letters or an extension")
	case !phonenumbers.IsValidNumber(number):
		return "", errors.New("clickidphone: the numbering plan of its country does not have this phone number; check the region")
	}
	return phonenumbers.Format(number, phonenumbers.E164), nil
}

// visible drops the characters that pasting from other applications brings in.
func visible(r rune) rune {
	if unicode.Is(unicode.Cf, r) {
		return -1
	}
	return r
}

// international reports whether a number begins with "+" in any width.
func international(s string) bool {
	s = strings.TrimLeft(s, "( ")
	return strings.HasPrefix(s, "+") || strings.HasPrefix(s, "\uFF0B")
}
