package clickid

import (
	"context"
	"fmt"
	"time"

	"github.com/clickid/clickid/internal/extending"
	"github.com/clickid/clickid/internal/text"
)

// MaxTokenLength is the largest token a [Store] may return, in bytes.
const MaxTokenLength = 2000

// metadataLength is what a metadata field of payment providers commonly holds.
const metadataLength = 500

// Store keeps clicks. It knows nothing of HTTP.
//
// Implementations are safe for concurrent use, honour the context's end, and
// start no goroutine of their own. Their errors hold no token and no click ID,
// since errors are logged. The suite in the storetest package checks what is
// written here.
type Store interface {
	// Save keeps c until c.Expires and returns the token that finds it again:
	// 1 to [MaxTokenLength] characters of [A-Za-z0-9._~-]. The token contains
	// the click (signed) or refers to it (unguessable). A click that
	// [Click.Validate] refuses, or that has expired already, is an error that
	// matches ErrInvalid.
	Save(ctx context.Context, c Click) (token string, err error)
	// Load returns the click of a token: equal to the saved one, with times
	// rounded down to whole seconds and in UTC. It returns an error that
	// matches ErrNotFound when the click is unknown, deleted or expired, one
	// that matches ErrInvalid when the token cannot be one of this store's
	// (malformed or forged), and any other error when the store cannot tell.
	Load(ctx context.Context, token string) (Click, error)
	// Delete forgets the click of a token, and every link to it where the same
	// store keeps the links. An unknown, expired or malformed token is no
	// error. A stateless store has nothing to delete and returns nil.
	Delete(ctx context.Context, token string) error
}

// Linker finds a click's token by the application's own key. It may be backed
// by a different system than the clicks: clicks in the visitor's signed cookie
// with links in SQL or Redis is the recommended small setup.
//
// Implementations are safe for concurrent use and honour the context's end.
// They file links under a hash of the key and keep the token encrypted (the
// package extension has both), so that a dump of their records holds neither
// live sessions nor live tokens. A zero Key is an error that matches ErrInvalid. The suite in the storetest
// package checks what is written here.
type Linker interface {
	// Link files token under k until expires. The latest link of a key wins;
	// several keys may hold the same token. A token that is empty or longer
	// than [MaxTokenLength], and a link that has expired already, is an error
	// that matches ErrInvalid.
	Link(ctx context.Context, k Key, token string, expires time.Time) error
	// Linked returns the token filed under k, or an error that matches
	// ErrNotFound when there is none or it has expired.
	Linked(ctx context.Context, k Key) (token string, err error)
	// Unlink removes the link of k. An unknown key is no error.
	Unlink(ctx context.Context, k Key) error
	// UnlinkToken removes every link to token, for a visitor who withdraws
	// consent. An unknown or malformed token is no error.
	UnlinkToken(ctx context.Context, token string) error
}

// TokenChecker is an optional part of a [Store]: a check of a token's form,
// and of its signature where it has one, without input or output. It returns
// an error that matches [ErrInvalid], or ErrNotFound for a token that says of
// itself that it has expired. [Token] uses it; a store without it has its
// tokens checked for their characters and length only.
type TokenChecker interface {
	CheckToken(token string) error
}

func init() {
	extending.CheckSave = func(c any, now time.Time) error { return checkSave(c.(Click), now) }
	extending.CheckLink = func(k any, token string, expires, now time.Time) error {
		return checkLink(k.(Key), token, expires, now)
	}
}

// checkSave is what every store checks before it saves c.
func checkSave(c Click, now time.Time) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if !c.Expires.After(now) {
		return fmt.Errorf("%w: Expires has passed", ErrInvalid)
	}
	return nil
}

// checkLink is what every linker checks before it links.
func checkLink(k Key, token string, expires, now time.Time) error {
	if err := k.Validate(); err != nil {
		return err
	}
	if !validToken(token) {
		return errMalformedToken
	}
	if !expires.After(now) {
		return fmt.Errorf("%w: the link has expired already", ErrInvalid)
	}
	return nil
}

// localStore is a store that loads some or all of its clicks without input or
// output. local reports whether the token is one of those.
type localStore interface {
	loadLocally(token string) (c Click, local bool, err error)
}

// errMalformedToken is what a token without that form is answered with.
var errMalformedToken = fmt.Errorf("%w: malformed token", ErrInvalid)

// checkToken checks a token's form, and the rest where its store can; a nil
// checker is a store that cannot.
func checkToken(checker TokenChecker, token string) error {
	if !validToken(token) {
		return errMalformedToken
	}
	if checker == nil {
		return nil
	}
	return checker.CheckToken(token)
}

// validToken reports whether token has the form that every store's tokens have.
func validToken(token string) bool { return text.Unreserved(token, MaxTokenLength) }
