package clickid

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"unicode"
)

// HashEmail trims and lower-cases an e-mail address and returns its SHA-256 in
// lowercase hexadecimal, the form of both dialects. It returns an error if raw
// is not an e-mail address or already hashed.
func HashEmail(raw string) (string, error) {
	email := strings.ToLower(strings.TrimSpace(raw))
	if err := hashable("an e-mail address", email); err != nil {
		return "", err
	}
	local, domain, ok := strings.Cut(email, "@")
	if !ok || local == "" || !strings.Contains(strings.Trim(domain, "."), ".") ||
		strings.Contains(domain, "@") || strings.ContainsFunc(email, unicode.IsSpace) {
		return "", errors.New("clickid: hashing an e-mail address: it must have the form name@domain")
	}
	return hash(email), nil
}

// HashPhone reduces a phone number to E.164 ("+", country code and number,
// without other symbols) and returns its SHA-256 in lowercase hexadecimal, the
// form of both dialects. It returns an error for a number without "+" and
// country code, for one with letters, and if raw is empty or already hashed.
func HashPhone(raw string) (string, error) {
	phone := strings.TrimSpace(raw)
	if err := hashable("a phone number", phone); err != nil {
		return "", err
	}
	// The trunk digit in +49 (0) 30 is never dialled.
	number, ok := strings.CutPrefix(strings.Replace(phone, "(0)", "", 1), "+")
	if !ok {
		return "", errors.New(`clickid: hashing a phone number: it must begin with "+" and the country code`)
	}
	if strings.ContainsFunc(number, func(r rune) bool { return unicode.IsLetter(r) || r == '+' }) {
		return "", errors.New(`clickid: hashing a phone number: it must consist of digits after the "+"`)
	}
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, number)
	if len(digits) < 7 || len(digits) > 15 || digits[0] == '0' {
		return "", errors.New("clickid: hashing a phone number: it must have 7 to 15 digits that begin with the country code (E.164)")
	}
	return hash("+" + digits), nil
}

// HashCustomerID trims and lower-cases an advertiser's customer identifier and
// returns its SHA-256 in lowercase hexadecimal, the form of the IAB standard.
// It returns an error if raw is empty or already hashed.
func HashCustomerID(raw string) (string, error) {
	id := strings.ToLower(strings.TrimSpace(raw))
	if err := hashable("a customer identifier", id); err != nil {
		return "", err
	}
	return hash(id), nil
}

// hashable returns an error for an empty value, since its hash would be that of
// all users without the value, and for a hash, since its hash would match no
// user.
func hashable(what, value string) error {
	if value == "" {
		return errors.New("clickid: hashing " + what + ": it is empty")
	}
	if isSHA256(strings.ToLower(value)) {
		return errors.New("clickid: hashing " + what + ": it is already hashed")
	}
	return nil
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
