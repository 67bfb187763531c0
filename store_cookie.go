package clickid

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/clickid/clickid/internal/payload"
	"github.com/clickid/clickid/internal/signing"
)

// MinCookieKeyLength is the minimum length of a key of a cookie store in bytes,
// for the HMAC-SHA256 of the tokens (RFC 2104, section 3).
const MinCookieKeyLength = 32

// ParseCookieKey parses a key in the form that "clickid keygen" prints: base64
// of at least 32 bytes. It ignores surrounding white space.
func ParseCookieKey(s string) ([]byte, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return nil, errors.New(`clickid: the cookie key is empty; "clickid keygen" prints one`)
	}
	key, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		// The error of base64 would contain a part of the key.
		return nil, errors.New(`clickid: the cookie key is not base64; "clickid keygen" prints one`)
	}
	if err := checkCookieKey(key); err != nil {
		return nil, fmt.Errorf("clickid: cookie key %w", err)
	}
	return key, nil
}

// checkCookieKey returns an error for a weak key.
func checkCookieKey(key []byte) error {
	if len(key) < MinCookieKeyLength {
		return fmt.Errorf("has %d bytes, needs at least %d", len(key), MinCookieKeyLength)
	}
	if len(bytes.Trim(key, "\x00")) == 0 {
		return errors.New(`consists of zero bytes; "clickid keygen" prints a random one`)
	}
	return nil
}

// tokenPurpose is signed instead of the cookie's name. A token is thus valid in
// a webhook and after a change of the cookie's name, but a token that the key
// signed for another purpose is not.
const tokenPurpose = "clickid.click"

// payloadBuffer is the size of the buffers on the stack. The payload of a click
// with a ULID has about 60 bytes; longer ones are allocated.
const payloadBuffer = 128

// nonceLength is the number of random bytes in a token. Two visitors with the
// same click in the same second have different tokens, so that the withdrawal
// of one does not unlink the order of the other.
const nonceLength = 8

// cookieStore stores each click in its token, signed and not encrypted. It has
// no state.
type cookieStore struct {
	signer *signing.Signer
	keys   int
	now    func() time.Time
}

// NewCookieStore returns a [Store] whose tokens contain the click, signed with
// HMAC-SHA256 (gorilla/securecookie). It stores nothing on the server. The
// first key signs and all keys verify. To rotate, put a new key first, which all
// instances verify already, and remove the old one after a TTL.
//
// Each key has at least 32 random bytes. "clickid keygen" prints one, and
// [ParseCookieKey] parses it. Unlike in securecookie, the keys are not pairs of
// signing and encryption keys. The error joins the problems of all keys.
//
// A token has about 150 characters for a ULID, and fewer than 1,200 for the
// longest click ID. It cannot be revoked: Delete does nothing, and a copied token
// is valid until it expires, unless [Config].Linker keeps a list of revoked
// tokens. The visitor can read the click ID in it, which was in the URL.
func NewCookieStore(keys ...[]byte) (Store, error) {
	var problems []error
	if len(keys) == 0 {
		problems = append(problems, errors.New("clickid: a cookie store needs a key of at least 32 bytes"))
	}
	for i, key := range keys {
		if err := checkCookieKey(key); err != nil {
			problems = append(problems, fmt.Errorf("clickid: cookie key %d %w", i+1, err))
			continue
		}
		for j, other := range keys[:i] {
			if bytes.Equal(key, other) {
				problems = append(problems, fmt.Errorf("clickid: cookie keys %d and %d are the same", j+1, i+1))
			}
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return &cookieStore{signer: signing.New(keys), keys: len(keys), now: time.Now}, nil
}

// Save implements [Store].
func (s *cookieStore) Save(ctx context.Context, c Click) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("clickid: signing the click: %w", err)
	}
	return s.save(c)
}

func (s *cookieStore) save(c Click) (string, error) {
	if err := checkSave(c, s.now()); err != nil {
		return "", err
	}
	var buffer [payloadBuffer]byte
	signed := payload.Append(buffer[:nonceLength], payload.Click(c))
	if _, err := rand.Read(signed[:nonceLength]); err != nil {
		return "", fmt.Errorf("clickid: signing the click: %w", err)
	}
	token, err := s.signer.Sign(tokenPurpose, signed)
	if err != nil {
		return "", fmt.Errorf("clickid: signing the click: %w", err)
	}
	if len(token) > MaxTokenLength && c.LandingUserAgent != "" {
		c.LandingIP, c.LandingUserAgent = "", ""
		return s.save(c)
	}
	if len(token) > MaxTokenLength {
		return "", fmt.Errorf("%w: ID and Param are too long for a token", ErrInvalid)
	}
	return token, nil
}

// Load implements [Store].
func (s *cookieStore) Load(ctx context.Context, token string) (Click, error) {
	if err := ctx.Err(); err != nil {
		return Click{}, fmt.Errorf("clickid: reading the token: %w", err)
	}
	return s.decode(token)
}

// Delete implements [Store]. It does nothing.
func (s *cookieStore) Delete(ctx context.Context, _ string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("clickid: deleting the click: %w", err)
	}
	return nil
}

// CheckToken implements [TokenChecker].
func (s *cookieStore) CheckToken(token string) error {
	_, err := s.decode(token)
	return err
}

// loadLocally implements localStore.
func (s *cookieStore) loadLocally(token string) (Click, bool, error) {
	c, err := s.decode(token)
	return c, true, err
}

// Format does not print the keys for any verb.
func (s *cookieStore) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "clickid.cookieStore(%d keys)", s.keys)
}

var (
	errUnknownKey     = fmt.Errorf("%w: the token's signature does not match any key", ErrInvalid)
	errUnknownVersion = fmt.Errorf("%w: the version of the token is unknown", ErrInvalid)
)

func (s *cookieStore) decode(token string) (Click, error) {
	if !validToken(token) {
		return Click{}, errMalformedToken
	}
	var buffer [payloadBuffer]byte
	signed, err := s.signer.Verify(tokenPurpose, token, buffer[:0])
	switch {
	case err == signing.ErrSignature:
		return Click{}, errUnknownKey
	case err != nil:
		return Click{}, errMalformedToken
	case len(signed) < nonceLength:
		return Click{}, errUnknownVersion
	}
	return s.check(signed[nonceLength:])
}

// check decodes a payload with a valid signature. It may still be invalid if
// the machine that signed it had a wrong clock.
func (s *cookieStore) check(encoded []byte) (Click, error) {
	decoded, ok := payload.Decode(encoded)
	c := Click(decoded)
	if !ok || c.Validate() != nil {
		return Click{}, errUnknownVersion
	}
	now := s.now()
	if c.At.After(now.Add(futureTolerance)) {
		return Click{}, fmt.Errorf("%w: the token is dated in the future; compare the clocks of the servers", ErrInvalid)
	}
	if !c.Expires.After(now) {
		return Click{}, fmt.Errorf("%w: it has expired", ErrNotFound)
	}
	return c, nil
}
