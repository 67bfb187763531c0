package clickid

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/clickid/clickid/internal/e164"
	"github.com/clickid/clickid/internal/mailaddr"
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
	if !mailaddr.Valid(email) {
		return "", errors.New("clickid: hashing an e-mail address: it must have the form name@domain and nothing around it")
	}
	return hash(email), nil
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
	number, problem := e164.Number(phone)
	if problem != "" {
		return "", errors.New("clickid: hashing a phone number: it " + problem)
	}
	return hash(number), nil
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

// HashName returns the SHA-256 of a first name, last name, street or postal code
// in lowercase hexadecimal, for an [Address]. It drops invisible characters,
// punctuation and surrounding white space, and lower-cases the text. Pass the
// five digits of a ZIP code of the United States, and area, district and sector
// of a British postcode. It returns an error if nothing is left to hash or raw
// is already hashed.
func HashName(raw string) (string, error) {
	name, err := hashable("a part of an address", raw)
	if err != nil {
		return "", err
	}
	if name = text.Plain(name); name == "" {
		return "", errors.New("clickid: hashing a part of an address: it has no letter or digit")
	}
	return hash(name), nil
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
