package clickid

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/clickid/clickid/internal/extending"
)

// Key is an application's name for the owner of a click: a session, a customer or
// an order. Keys of different kinds are distinct: customer 42 is not order 42.
//
// A Key only contains digests of its value, so that a dump of a store has no
// valid session. It is comparable. All functions refuse the zero value.
type Key struct {
	hash [sha256.Size]byte // identifies the link
	seal [sha256.Size]byte // encrypts the token
}

// SessionKey returns the key of a login or shop session. It returns the zero
// Key for an empty id.
func SessionKey(id string) Key { return newKey("session", id) }

// CustomerKey returns the key of a customer account. It returns the zero Key
// for an empty id.
func CustomerKey(id string) Key { return newKey("customer", id) }

// OrderKey returns the key of an order, a cart or a payment. It returns the
// zero Key for an empty id.
func OrderKey(id string) Key { return newKey("order", id) }

func newKey(kind, value string) Key {
	if value == "" {
		return Key{}
	}
	// The kinds contain no NUL, so no two keys have the same input.
	return Key{
		hash: sha256.Sum256([]byte("clickid link\x00" + kind + "\x00" + value)),
		seal: sha256.Sum256([]byte("clickid seal\x00" + kind + "\x00" + value)),
	}
}

// within returns the key with which an ad network other than the platform finds
// the link of k.
func (k Key) within(network string) Key {
	k.hash = sha256.Sum256([]byte("clickid link of " + network + "\x00" + string(k.hash[:])))
	if k.seal != ([sha256.Size]byte{}) {
		k.seal = sha256.Sum256([]byte("clickid seal of " + network + "\x00" + string(k.seal[:])))
	}
	return k
}

// IsZero reports whether k is the zero Key.
func (k Key) IsZero() bool { return k == Key{} }

// Validate returns an error for the zero Key, as every function with a Key
// does: an empty session or order number would join all visitors without one.
// The error matches [ErrInvalid].
func (k Key) Validate() error {
	if k.IsZero() {
		return fmt.Errorf("%w: the session, customer or order key is empty", ErrInvalid)
	}
	return nil
}

// String returns the first characters of the hash, for logs.
func (k Key) String() string {
	if k.IsZero() {
		return "none"
	}
	return hex.EncodeToString(k.hash[:6])
}

// MarshalText returns the hash in hexadecimal, so that an event can be queued
// with its keys. It returns "" for the zero Key.
func (k Key) MarshalText() ([]byte, error) {
	if k.IsZero() {
		return []byte{}, nil
	}
	return []byte(hex.EncodeToString(k.hash[:])), nil
}

// UnmarshalText parses the result of MarshalText. The Key finds the same links as
// the original but cannot seal or open tokens, since it does not have the value.
func (k *Key) UnmarshalText(text []byte) error {
	*k = Key{}
	if len(text) == 0 {
		return nil
	}
	if n, err := hex.Decode(k.hash[:], text[:min(len(text), 2*len(k.hash))]); err != nil || n != len(k.hash) || len(text) != 2*n {
		*k = Key{}
		return fmt.Errorf("%w: key is not a SHA-256 in hexadecimal", ErrInvalid)
	}
	return nil
}

// sealToken encrypts a token so that only the value of the key can decrypt it.
func (k Key) sealToken(token string) ([]byte, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(token)+aead.Overhead())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("clickid: sealing a token: %w", err)
	}
	return aead.Seal(nonce, nonce, []byte(token), nil), nil
}

// openToken decrypts the result of sealToken.
func (k Key) openToken(sealed []byte) (token string, err error) {
	aead, err := k.aead()
	if err != nil {
		return "", err
	}
	if len(sealed) < aead.NonceSize() {
		return "", fmt.Errorf("%w: sealed token is cut short", ErrInvalid)
	}
	plain, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], nil)
	if err != nil {
		return "", fmt.Errorf("%w: sealed token does not open with this key", ErrInvalid)
	}
	return string(plain), nil
}

func init() {
	extending.KeyHash = func(k any) [32]byte { return k.(Key).hash }
	extending.Seal = func(k any, token string) ([]byte, error) { return k.(Key).sealToken(token) }
	extending.Open = func(k any, sealed []byte) (string, error) { return k.(Key).openToken(sealed) }
}

func (k Key) aead() (cipher.AEAD, error) {
	if err := k.Validate(); err != nil {
		return nil, err
	}
	if k.seal == ([sha256.Size]byte{}) {
		return nil, fmt.Errorf("%w: the key was read back from its hash and cannot seal or open tokens", ErrInvalid)
	}
	block, err := aes.NewCipher(k.seal[:])
	if err != nil {
		return nil, fmt.Errorf("clickid: sealing a token: %w", err)
	}
	return cipher.NewGCM(block)
}
