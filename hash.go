package clickid

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"unicode"
)

// HashEmail trims and lower-cases an e-mail address and returns its SHA-256 in
// lowercase hexadecimal, as both dialects take it. What is no e-mail address,
// empty or hashed already is an error.
func HashEmail(raw string) (string, error) {
	email := strings.ToLower(strings.TrimSpace(raw))
	if err := hashable("an e-mail address", email); err != nil {
		return "", err
	}
	local, domain, ok := strings.Cut(email, "@")
	if !ok || local == "" || !strings.Contains(strings.Trim(domain, "."), ".") ||
		strings.Contains(domain, "@") || strings.ContainsFunc(email, unicode.IsSpace) {
		return "", errors.New("clickid: hashing an e-mail address: it has not the form name@domain")
	}
	return hash(email), nil
}

// HashPhone reduces a phone number to E.164, which is "+", the country code
// and the number without any other symbol, and returns its SHA-256 in
// lowercase hexadecimal, as both dialects take it. A number without "+" and
// country code, one with letters, an empty one or one hashed already is an
// error.
func HashPhone(raw string) (string, error) {
	phone := strings.TrimSpace(raw)
	if err := hashable("a phone number", phone); err != nil {
		return "", err
	}
	// The trunk digit that people write as +49 (0) 30 is never dialled.
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
// returns its SHA-256 in lowercase hexadecimal, as the IAB standard defines
// it. An empty one or one hashed already is an error.
func HashCustomerID(raw string) (string, error) {
	id := strings.ToLower(strings.TrimSpace(raw))
	if err := hashable("a customer identifier", id); err != nil {
		return "", err
	}
	return hash(id), nil
}

// hashable refuses to hash nothing, which would make one person of all who
// lack the value, and to hash a hash, which matches nobody.
func hashable(what, value string) error {
	if value == "" {
		return errors.New("clickid: hashing " + what + ": it is empty")
	}
	if isSHA256(strings.ToLower(value)) {
		return errors.New("clickid: hashing " + what + ": it is hashed already")
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

// hashOfNothing is the SHA-256 of the empty string, which homemade hashing
// gives everybody who left the field empty.
const hashOfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
