// Package extension is for authors of stores, linkers and framework adapters.
// Applications do not need it.
//
// A [clickid.Store] calls [CheckSave] before it saves, and its tokens are those of
// [NewToken] or begin like them. A [clickid.Linker] calls [CheckLink] before it
// links, stores the link under [KeyHash], and keeps the token as [Seal] returns
// it:
//
//	func (s *Store) Link(ctx context.Context, k clickid.Key, token string, expires time.Time) error {
//		if err := extension.CheckLink(k, token, expires, time.Now()); err != nil {
//			return err
//		}
//		sealed, err := extension.Seal(k, token)
//		if err != nil {
//			return err
//		}
//		return s.put(ctx, extension.KeyHash(k), sealed, expires)
//	}
//
// Package storetest checks stores and linkers. An adapter calls
// [clickid.Tracker.Capture] and [clickid.Tracker.Strip] before the handler, and
// [clickid.Tracker.Finish] after it. All functions are safe for concurrent use.
package extension

import (
	"net/http"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/extending"
	"github.com/clickid/clickid/internal/reference"
)

// ContextKey is the key of the visitor's click in a context. It is for adapters of
// frameworks that pass their own context around as a [context.Context] and find
// only string keys in it. Such an adapter copies r.Context().Value(ContextKey)
// there, so that [clickid.Lookup] and [clickid.Convert] find the click in that
// context too.
const ContextKey = extending.ContextKey

// Concerns reports whether [clickid.Tracker.Capture] of t may change r, so that
// an adapter whose framework has requests of its own converts only those. It
// reports false for a nil tracker. It reads the method,
// the host, the query, and the headers Cookie, Referer, Accept, Sec-GPC,
// Sec-Fetch-Site, Sec-Fetch-Mode, Sec-Fetch-Dest, Sec-Purpose, Purpose and
// X-Moz.
func Concerns(t *clickid.Tracker, r *http.Request) bool { return extending.Concerns(t, r) }

// CheckSave returns an error if c is not valid ([clickid.Click.Validate]) or has
// expired at now. Every store calls it before it saves c. The error matches
// [clickid.ErrInvalid].
func CheckSave(c clickid.Click, now time.Time) error { return extending.CheckSave(c, now) }

// CheckLink returns an error if k is zero, token is malformed, or the link has
// expired at now. Every linker calls it before it links. The error matches
// [clickid.ErrInvalid].
func CheckLink(k clickid.Key, token string, expires, now time.Time) error {
	return extending.CheckLink(k, token, expires, now)
}

// NewToken returns a token for a store that keeps the click on a server: now in
// whole seconds and 128 random bits, in 36 characters of [A-Za-z0-9_-]. The error
// is that of the random source.
func NewToken(now time.Time) (string, error) { return reference.New(now) }

// TokenTime returns the issue time of a token of any store. ok is false if the
// token does not begin with one. The time is not authenticated.
func TokenTime(token string) (issued time.Time, ok bool) { return reference.Issued(token) }

// KeyHash returns the SHA-256 under which a linker stores the link of k.
func KeyHash(k clickid.Key) [32]byte { return extending.KeyHash(k) }

// Seal encrypts a token so that only the value of k opens it again
// (AES-256-GCM, 28 bytes longer than the token). A linker stores the sealed
// token, so that a dump of its records contains no valid token. The error matches
// [clickid.ErrInvalid] for the zero key, and for a key that was read from its
// text form and has lost its value.
func Seal(k clickid.Key, token string) ([]byte, error) { return extending.Seal(k, token) }

// Open decrypts the result of [Seal] with the same key. The error matches
// [clickid.ErrInvalid].
func Open(k clickid.Key, sealed []byte) (token string, err error) {
	return extending.Open(k, sealed)
}
