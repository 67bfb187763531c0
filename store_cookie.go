package clickid

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gorilla/securecookie"
)

// MinCookieKeyLength is the smallest key of a cookie store, in bytes: that of
// the HMAC-SHA256 which signs the tokens (RFC 2104, section 3).
const MinCookieKeyLength = 32

// ParseCookieKey reads a key as `clickid keygen` prints it: base64 of at least
// 32 bytes. White space around it is ignored.
func ParseCookieKey(s string) ([]byte, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return nil, errors.New(`clickid: the cookie key is empty; "clickid keygen" prints one`)
	}
	key, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		// The cause would tell a part of the key.
		return nil, errors.New(`clickid: the cookie key is not base64; "clickid keygen" prints one`)
	}
	if err := checkCookieKey(key); err != nil {
		return nil, fmt.Errorf("clickid: cookie key %w", err)
	}
	return key, nil
}

// checkCookieKey reports what makes a key too weak to sign with.
func checkCookieKey(key []byte) error {
	if len(key) < MinCookieKeyLength {
		return fmt.Errorf("has %d bytes and needs at least %d", len(key), MinCookieKeyLength)
	}
	if len(bytes.Trim(key, "\x00")) == 0 {
		return errors.New(`consists of zero bytes; "clickid keygen" prints a random one`)
	}
	return nil
}

// tokenPurpose is what the signature binds in place of the cookie's name, so
// that a token verifies in a webhook and after the cookie was renamed, and a
// token that the same key signed for something else does not.
const tokenPurpose = "clickid.click"

// cookieStore keeps each click in its token, signed and not encrypted. It
// holds no state.
type cookieStore struct {
	codecs []*securecookie.SecureCookie
	now    func() time.Time
}

// NewCookieStore returns a [Store] whose tokens contain the click itself,
// signed with HMAC-SHA256 (gorilla/securecookie): nothing is kept on the
// server. The first key signs and all keys verify, so a key is rotated by
// putting the new one in front and dropping the old one after a TTL.
//
// Each key must be at least 32 random bytes. `clickid keygen` prints one, and
// [ParseCookieKey] reads it. The keys are a list, unlike
// securecookie's pairs of signing and encryption keys.
//
// A token is about 140 characters long for a ULID and at most 430. It cannot
// be revoked: Delete does nothing, and a copied token is valid until it
// expires. The visitor can read it, and knows the click ID from the URL anyway.
func NewCookieStore(keys ...[]byte) (Store, error) {
	var problems []error
	if len(keys) == 0 {
		problems = append(problems, errors.New("clickid: a cookie store needs a key of at least 32 bytes"))
	}
	s := &cookieStore{now: time.Now}
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
		// The click has its own expiry: securecookie's age limit would refuse
		// a click that was configured to live longer.
		codec := securecookie.New(bytes.Clone(key), nil).MaxAge(0).SetSerializer(securecookie.NopEncoder{})
		s.codecs = append(s.codecs, codec)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return s, nil
}

// Save implements [Store].
func (s *cookieStore) Save(ctx context.Context, c Click) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("clickid: signing the click: %w", err)
	}
	if err := checkSave(c, s.now()); err != nil {
		return "", err
	}
	encoded, err := s.codecs[0].Encode(tokenPurpose, encodePayload(c))
	if err != nil {
		return "", fmt.Errorf("clickid: signing the click: %w", err)
	}
	// A cookie value may hold "=", but a URL or a form would escape it.
	token := strings.TrimRight(encoded, "=")
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

// Delete implements [Store]. There is nothing to delete.
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

// loadsLocally reports true: the token contains the click.
func (s *cookieStore) loadsLocally(string) bool { return true }

// Format keeps the keys out of every verb's output: some print what pointers
// point to.
func (s *cookieStore) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "clickid.cookieStore(%d keys)", len(s.codecs))
}

func (s *cookieStore) decode(token string) (Click, error) {
	if !validToken(token) {
		return Click{}, errMalformedToken
	}
	padded := token + strings.Repeat("=", (4-len(token)%4)%4)
	// Only the canonical spelling counts, so that one click has one token.
	if _, err := base64.URLEncoding.Strict().DecodeString(padded); err != nil {
		return Click{}, errMalformedToken
	}
	for _, codec := range s.codecs {
		var payload []byte
		if codec.Decode(tokenPurpose, padded, &payload) != nil {
			continue // securecookie's errors do not work with errors.Is, and say no more
		}
		return s.check(payload)
	}
	return Click{}, fmt.Errorf("%w: the token's signature matches none of the keys", ErrInvalid)
}

// check decodes a payload whose signature is right. Its content can still be
// wrong: the machine that signed it may have had a wrong clock.
func (s *cookieStore) check(payload []byte) (Click, error) {
	c, ok := decodePayload(payload)
	if !ok || c.Validate() != nil {
		return Click{}, fmt.Errorf("%w: the token's content is of no known version", ErrInvalid)
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
