package clickid

import (
	"context"
	"fmt"
	"time"

	"github.com/clickid/clickid/internal/extending"
	"github.com/clickid/clickid/internal/text"
)

// MaxTokenLength is the maximum length of a token of a [Store] in bytes.
const MaxTokenLength = 2000

// metadataLength is the usual size of a metadata field of payment providers.
const metadataLength = 500

// Store stores clicks. It does not depend on HTTP.
//
// Implementations are safe for concurrent use, return when the context ends,
// and start no goroutine. Their errors contain no token and no click ID, since
// errors are logged. Package storetest checks this contract.
type Store interface {
	// Save stores c until c.Expires and returns its token: 1 to [MaxTokenLength]
	// characters of [A-Za-z0-9._~-]. The token either contains the click and is
	// signed, or it refers to the click and cannot be guessed. It begins with its
	// issue time, as a token of extension.NewToken does: an outbox that does not
	// find a new click may have asked a server that does not have it yet. The
	// error matches ErrInvalid for a click that [Click.Validate] refuses or that
	// has expired.
	Save(ctx context.Context, c Click) (token string, err error)
	// Load returns the click of a token. It is equal to the saved one, with
	// times truncated to whole seconds and in UTC. A signed token that would be
	// too long has no LandingIP and LandingUserAgent. The error matches
	// ErrNotFound if the click is unknown, deleted or expired, and ErrInvalid
	// if the token cannot be one of this store (malformed or forged). Any other
	// error means that the store is unavailable.
	Load(ctx context.Context, token string) (Click, error)
	// Delete deletes the click of a token, and every link to it if the store is
	// also the linker. It returns nil for an unknown, expired or malformed
	// token. A stateless store has nothing to delete and returns nil.
	Delete(ctx context.Context, token string) error
}

// Linker finds the token of a click by a key of the application. It need not be
// the store of the clicks: a small shop stores clicks in the visitor's signed
// cookie and links in SQL or Redis.
//
// Implementations are safe for concurrent use and return when the context ends.
// They store a hash of the key and an encrypted token (see package extension),
// so that a dump of their records contains no valid session and no valid token.
// The error matches ErrInvalid for the zero Key. Package storetest checks this
// contract.
type Linker interface {
	// Link links token to k until expires. The latest link of a key takes
	// precedence. Several keys may have the same token. The error matches
	// ErrInvalid for a token that is empty or longer than [MaxTokenLength], and
	// for a link that has expired.
	Link(ctx context.Context, k Key, token string, expires time.Time) error
	// Linked returns the token linked to k. The error matches ErrNotFound if
	// k has no link or if the link has expired.
	Linked(ctx context.Context, k Key) (token string, err error)
	// Unlink deletes the link of k. It returns nil for an unknown key.
	Unlink(ctx context.Context, k Key) error
	// UnlinkToken deletes every link to token, for a withdrawal of consent. It
	// returns nil for an unknown or malformed token.
	UnlinkToken(ctx context.Context, token string) error
}

// TokenChecker is an optional interface of a [Store]. It checks the form of a
// token, and its signature if it has one, without I/O. The error matches
// [ErrInvalid], or ErrNotFound if the token contains its expiry and has
// expired. [Token] calls it; for a store without it, Token checks only
// characters and length.
type TokenChecker interface {
	CheckToken(token string) error // without I/O
}

func init() {
	extending.CheckSave = func(c any, now time.Time) error { return checkSave(c.(Click), now) }
	extending.CheckLink = func(k any, token string, expires, now time.Time) error {
		return checkLink(k.(Key), token, expires, now)
	}
}

// checkSave checks c for a store before it is saved.
func checkSave(c Click, now time.Time) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if !c.Expires.After(now) {
		return fmt.Errorf("%w: Expires has passed", ErrInvalid)
	}
	return nil
}

// checkLink checks a link for a linker before it is stored.
func checkLink(k Key, token string, expires, now time.Time) error {
	if err := k.Validate(); err != nil {
		return err
	}
	if !validToken(token) {
		return errMalformedToken
	}
	if !expires.After(now) {
		return fmt.Errorf("%w: the link has expired", ErrInvalid)
	}
	return nil
}

// localStore is a store that loads some or all of its clicks without I/O. local
// reports whether the token is one of them.
type localStore interface {
	loadLocally(token string) (c Click, local bool, err error)
}

// errMalformedToken is the error of a malformed token.
var errMalformedToken = fmt.Errorf("%w: malformed token", ErrInvalid)

// checkToken checks the form of a token, and the rest if there is a checker.
func checkToken(checker TokenChecker, token string) error {
	if !validToken(token) {
		return errMalformedToken
	}
	if checker == nil {
		return nil
	}
	return checker.CheckToken(token)
}

// validToken reports whether token has the form of a token.
func validToken(token string) bool { return text.Unreserved(token, MaxTokenLength) }
