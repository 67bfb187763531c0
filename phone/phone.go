// Package clickidphone hashes phone numbers as people type them. The root
// package accepts only E.164, since a number without a country code is
// incomplete without the country in which it is dialled:
//
//	hashed, err := clickidphone.Hash(order.Phone, order.Country) // "0171 1234567", "DE"
//	if err == nil {
//		event.User.HashedPhone = hashed
//	}
//
// It uses github.com/nyaruka/phonenumbers, a port of Google's libphonenumber to
// pure Go under the MIT licence. Importing the package loads the numbering plans
// of all countries; BenchmarkHash measures the cost.
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

// Hash returns the SHA-256 of a phone number in E.164, in lowercase hexadecimal,
// for clickid.User.HashedPhone. It knows the numbering plans, so it also takes the
// numbers that begin with a zero after the country code, which
// [clickid.HashPhone] refuses where the zero is usually a trunk zero.
func Hash(raw, region string) (string, error) {
	number, err := E164(raw, region)
	if err != nil {
		return "", err
	}
	// HashPhone refuses a zero after the country code, which is usually a mistake and
	// is right in some plans. This is the same hash of the number as it is.
	return clickid.HashCustomerID(number)
}

// E164 returns a phone number in E.164, such as "+491711234567". The region is
// the country in which a number without a country code is dialled: usually the
// country of the shop or of the delivery address, as an ISO 3166 code in either
// case ("DE", "gb"). A number that begins with "+" needs no region.
//
// E164 accepts separators, invisible characters, a trunk zero after the country
// code, the region's prefix of international calls ("00", "011") and digits of
// other scripts. It returns an error for letters, for an extension and for a
// number outside of its country's numbering plan. Errors do not contain the
// number.
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
		return "", errors.New("clickidphone: this phone number is not in the numbering plan of its country; check the region")
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
