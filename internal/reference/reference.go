// Package reference makes the tokens of stores that keep the click on a
// server: random, and stored only as their hash.
package reference

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// size is the randomness of a token: 128 bits cannot be guessed.
const size = 16

// New returns a new token of 22 characters of [A-Za-z0-9_-].
func New() (string, error) {
	var id [size]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", fmt.Errorf("clickid: making a token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(id[:]), nil
}

// Valid reports whether token can be one that New returned.
func Valid(token string) bool {
	// The decoder skips line breaks, even a strict one.
	if len(token) != base64.RawURLEncoding.EncodedLen(size) {
		return false
	}
	id, err := base64.RawURLEncoding.Strict().DecodeString(token)
	return err == nil && len(id) == size
}

// Hash returns what a store keeps of a token, of whatever kind, so that a dump
// of its records holds no live token. Random tokens need no salt.
func Hash(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }
