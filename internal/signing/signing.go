// Package signing makes and verifies signed tokens. gorilla/securecookie makes
// them, without encryption: the base64 of TIME|PAYLOAD|MAC. The payload is base64,
// and the MAC is the HMAC-SHA256 of PURPOSE|TIME|PAYLOAD.
//
// Each landing makes one token, and each page that reads a click verifies one.
// Verify therefore does not use securecookie, which allocates twenty times. It
// keeps its hashes and buffers, and allocates nothing.
package signing

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash"
	"strings"
	"sync"

	"github.com/gorilla/securecookie"
)

// Errors of [Signer.Verify].
var (
	ErrMalformed = errors.New("the token is malformed")
	ErrSignature = errors.New("the signature matches no key")
)

// Signer signs with its first key and verifies with all of them. It is safe for
// concurrent use.
type Signer struct {
	codec  *securecookie.SecureCookie
	states sync.Pool // of *state
}

// state has the hash of each key and the buffers of a token.
type state struct {
	macs   []hash.Hash
	signed []byte // PURPOSE|TIME|PAYLOAD, and the MAC
	sum    [sha256.Size]byte
}

// New returns a signer. It copies the keys, of which it needs at least one.
func New(keys [][]byte) *Signer {
	copies := make([][]byte, len(keys))
	for i, key := range keys {
		copies[i] = bytes.Clone(key)
	}
	// Each payload has its own expiry, so the age limit of securecookie is disabled.
	// The caller limits the length.
	s := &Signer{codec: securecookie.New(copies[0], nil).MaxAge(0).MaxLength(0).SetSerializer(securecookie.NopEncoder{})}
	s.states.New = func() any {
		st := new(state)
		for _, key := range copies {
			st.macs = append(st.macs, hmac.New(sha256.New, key))
		}
		return st
	}
	return s
}

// Sign returns a token of characters of [A-Za-z0-9_-].
func (s *Signer) Sign(purpose string, payload []byte) (string, error) {
	token, err := s.codec.Encode(purpose, payload)
	// A cookie value may contain "=", but a URL or a form would escape it.
	return strings.TrimRight(token, "="), err
}

// Verify returns the payload of a token, appended to buffer.
func (s *Signer) Verify(purpose, token string, buffer []byte) ([]byte, error) {
	st := s.states.Get().(*state)
	defer s.states.Put(st)
	b := append(append(st.signed[:0], purpose...), '|')
	prefix := len(b)
	b, err := strict.AppendDecode(b, []byte(token))
	st.signed = b
	// Only the canonical form is valid, so that a payload has one token. A
	// decoder skips line breaks.
	end := len(b) - sha256.Size - 1
	if err != nil || end < prefix || strict.EncodedLen(len(b)-prefix) != len(token) {
		return nil, ErrMalformed
	}
	if b[end] != '|' || !st.matches(b[:end], b[end+1:]) {
		return nil, ErrSignature
	}
	_, payload, _ := bytes.Cut(b[prefix:end], []byte{'|'})
	if buffer, err = base64.URLEncoding.AppendDecode(buffer, payload); err != nil {
		return nil, ErrMalformed
	}
	return buffer, nil
}

var strict = base64.RawURLEncoding.Strict()

// matches reports whether mac is that of signed with one of the keys.
func (st *state) matches(signed, mac []byte) bool {
	for i := range st.macs {
		if hmac.Equal(st.mac(i, signed), mac) {
			return true
		}
	}
	return false
}

// mac returns the MAC of signed with the key i, until the next call.
func (st *state) mac(i int, signed []byte) []byte {
	st.macs[i].Reset()
	st.macs[i].Write(signed)
	return st.macs[i].Sum(st.sum[:0])
}
