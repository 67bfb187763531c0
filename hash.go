package clickid

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clickid/clickid/internal/text"
)

// HashEmail returns the SHA-256 of an e-mail address in lowercase hexadecimal,
// the form of both dialects. It drops invisible characters and surrounding
// white space and lower-cases the address. It returns an error if raw is not
// exactly one address, such as "mailto:jane@example.com" or
// "<jane@example.com>", or already hashed.
func HashEmail(raw string) (string, error) {
	email, err := hashable("an e-mail address", raw)
	if err != nil {
		return "", err
	}
	local, domain, ok := strings.Cut(email, "@")
	if !ok || local == "" || strings.ContainsFunc(email, notInEmail) || !isMailDomain(domain) {
		return "", errors.New("clickid: hashing an e-mail address: it must have the form name@domain and nothing around it")
	}
	return hash(email), nil
}

// notInEmail reports whether r is in no address that people type.
func notInEmail(r rune) bool {
	return unicode.IsSpace(r) || strings.ContainsRune("<>()[]{},;:\"\\|", r) || '\uFF01' <= r && r <= '\uFF5E'
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

// HashPhone reduces a phone number to E.164 ("+", country code and number,
// without other symbols) and returns its SHA-256 in lowercase hexadecimal, the
// form of both dialects. It drops invisible characters and the "(0)" in
// +49 (0) 30. It returns an error for a number without "+" and country code,
// with a zero between country code and number (some countries keep theirs, as
// in +39 06), with an extension or with letters, and if raw is empty or already
// hashed. The module phone takes numbers as people type them.
func HashPhone(raw string) (string, error) {
	phone, err := hashable("a phone number", raw)
	if err != nil {
		return "", err
	}
	number, ok := strings.CutPrefix(phone, "+")
	if !ok {
		return "", errors.New(`clickid: hashing a phone number: it must begin with "+" and the country code`)
	}
	if strings.ContainsFunc(number, notInPhone) {
		return "", errors.New(`clickid: hashing a phone number: it must consist of ASCII digits after the "+", without extension`)
	}
	digits := onlyDigits(number)
	country := countryCode(digits)
	if !keepsZero(country) {
		// The trunk digit in +49 (0) 30 is never dialled.
		digits = onlyDigits(strings.Replace(number, "(0)", "", 1))
	}
	switch {
	case len(digits) < 7 || len(digits) > 15 || digits[0] == '0':
		return "", errors.New("clickid: hashing a phone number: it must have 7 to 15 digits that begin with the country code (E.164)")
	case !keepsZero(country) && digits[len(country)] == '0':
		return "", errors.New("clickid: hashing a phone number: it must not have a zero after the country code")
	}
	return hash("+" + digits), nil
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
// Coast, Burkina Faso, Benin, Gabon and Congo.
func keepsZero(country string) bool {
	switch country {
	case "39", "379", "378", "225", "226", "229", "241", "242":
		return true
	}
	return false
}

// HashCustomerID returns the SHA-256 of an advertiser's customer identifier in
// lowercase hexadecimal, the form of the IAB standard. It drops invisible
// characters and surrounding white space and lower-cases the identifier. It
// returns an error if raw is empty or already hashed.
func HashCustomerID(raw string) (string, error) {
	id, err := hashable("a customer identifier", raw)
	if err != nil {
		return "", err
	}
	return hash(id), nil
}

// hashable returns raw as it is hashed. It returns an error for an empty value,
// since its hash would be that of all users without the value, and for a hash,
// since its hash would match no user.
func hashable(what, raw string) (string, error) {
	value := strings.ToLower(strings.TrimSpace(text.Visible(raw)))
	switch {
	case !utf8.ValidString(raw) || strings.ContainsRune(raw, utf8.RuneError):
		return "", errors.New("clickid: hashing " + what + ": it must be UTF-8")
	case value == "":
		return "", errors.New("clickid: hashing " + what + ": it is empty")
	case isSHA256(value):
		return "", errors.New("clickid: hashing " + what + ": it is already hashed")
	}
	return value, nil
}

func hash(normalised string) string {
	sum := sha256.Sum256([]byte(normalised))
	return hex.EncodeToString(sum[:])
}

// isSHA256 reports whether s has the form of a hash: 64 lowercase hexadecimal
// characters.
func isSHA256(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}

// hashOfNothing is the SHA-256 of the empty string. Some applications send it
// for every empty field.
const hashOfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
