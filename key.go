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

// Key is the application's own name for what a click belongs to: a session, a
// customer or an order. Keys of different kinds never meet: customer 42 is not
// order 42.
//
// A Key holds no readable value, only digests of it, so that a dump of a store
// holds no live session. It is comparable, and its zero value is no key, which
// every function refuses.
type Key struct {
	hash [sha256.Size]byte // where a linker finds the link
	seal [sha256.Size]byte // what encrypts the token in it
}

// SessionKey names a login or shop session. An empty id gives the zero Key.
func SessionKey(id string) Key { return newKey("session", id) }

// CustomerKey names a customer account. An empty id gives the zero Key.
func CustomerKey(id string) Key { return newKey("customer", id) }

// OrderKey names an order, a cart or a payment. An empty id gives the zero Key.
func OrderKey(id string) Key { return newKey("order", id) }

func newKey(kind, value string) Key {
	if value == "" {
		return Key{}
	}
	// The kinds contain no NUL, so two different pairs never read the same.
	return Key{
		hash: sha256.Sum256([]byte("clickid link\x00" + kind + "\x00" + value)),
		seal: sha256.Sum256([]byte("clickid seal\x00" + kind + "\x00" + value)),
	}
}

// IsZero reports whether k is no key.
func (k Key) IsZero() bool { return k == Key{} }

// Validate refuses the zero Key, as every function that takes a Key does: an
// empty session or order number would otherwise join all visitors who lack
// one. The error matches [ErrInvalid].
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

// MarshalText writes the hash in hexadecimal, so that an event can be queued
// with its keys. The zero Key is written as "".
func (k Key) MarshalText() ([]byte, error) {
	if k.IsZero() {
		return []byte{}, nil
	}
	return []byte(hex.EncodeToString(k.hash[:])), nil
}

// UnmarshalText reads what MarshalText wrote. The Key finds what the original
// finds, but cannot encrypt or decrypt tokens, since the value is gone.
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

// sealToken encrypts a token so that only the key's own value opens it again.
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

// openToken decrypts what sealToken returned.
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
