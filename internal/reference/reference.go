// Package reference makes the tokens of stores that keep the click on a server.
// The tokens are random, and only their hash is stored.
package reference

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// size is the number of random bytes in a token. 128 bits cannot be guessed.
const size = 16

// New returns a new token of 22 characters of [A-Za-z0-9_-].
func New() (string, error) {
	var id [size]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", fmt.Errorf("clickid: make token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(id[:]), nil
}

// Valid reports whether token has the form of a token that New returns.
func Valid(token string) bool {
	// Even a strict decoder skips line breaks.
	if len(token) != base64.RawURLEncoding.EncodedLen(size) {
		return false
	}
	id, err := base64.RawURLEncoding.Strict().DecodeString(token)
	return err == nil && len(id) == size
}

// Hash returns the form in which stores keep a token of any kind, so that a dump
// of their records contains no valid token. Random tokens need no salt.
func Hash(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }
