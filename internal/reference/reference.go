// Package reference makes the tokens of stores that keep the click on a server.
// The tokens are random, and only their hash is stored.
package reference

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"time"
)

// A token is the base64 of its issue time in seconds since 1970 (ten digits), a
// separator and random bytes. Tokens of a cookie store begin in the same way,
// as securecookie encodes them.
const (
	digits    = 10
	separator = '|'
	random    = 16 // 128 bits cannot be guessed
	size      = digits + 1 + random
)

// New returns a new token of 36 characters of [A-Za-z0-9_-].
func New(now time.Time) (string, error) {
	token := fmt.Appendf(make([]byte, 0, size), "%0*d%c", digits, now.Unix(), separator)
	token = token[:size]
	if _, err := rand.Read(token[digits+1:]); err != nil {
		return "", fmt.Errorf("clickid: make token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(token), nil
}

// Valid reports whether token has the form of a token that New returns.
func Valid(token string) bool {
	// Even a strict decoder skips line breaks.
	if len(token) != base64.RawURLEncoding.EncodedLen(size) {
		return false
	}
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(decoded) != size {
		return false
	}
	_, ok := Issued(token)
	return ok
}

// Issued returns the issue time at the beginning of a token of any store.
func Issued(token string) (time.Time, bool) {
	var beginning [digits + 2]byte // a multiple of three bytes is whole characters
	if n := base64.RawURLEncoding.EncodedLen(len(beginning)); len(token) < n {
		return time.Time{}, false
	} else if _, err := base64.RawURLEncoding.Decode(beginning[:], []byte(token[:n])); err != nil {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseUint(string(beginning[:digits]), 10, 63)
	if err != nil || beginning[digits] != separator {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0).UTC(), true
}

// Hash returns the form in which stores keep a token of any kind, so that a dump
// of their records contains no valid token. Random tokens need no salt.
func Hash(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }
