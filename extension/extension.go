// Package extension is for authors of stores, linkers and framework adapters.
// Applications do not need it.
//
// A [clickid.Store] calls [CheckSave] before it saves, and its tokens are those of
// [NewToken] or begin like them. A [clickid.Linker] calls
// [CheckLink] before it links, files the link under [KeyHash], and keeps the
// token as [Seal] returns it:
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
// The suite in the storetest package checks stores and linkers.
package extension

import (
	"net/http"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/extending"
	"github.com/clickid/clickid/internal/reference"
)

// ContextKey is where a context keeps the visitor's click. It is for adapters
// of frameworks that pass their own context around as a [context.Context] and
// find only string keys in it. Such an adapter copies
// r.Context().Value(ContextKey) there, so that [clickid.Lookup] and
// [clickid.Convert] find the click in that context too.
const ContextKey = extending.ContextKey

// Concerns reports whether t has anything to do with r, so that an adapter whose
// framework has requests of its own converts only those. It reads the method,
// the host, the query, and the headers Cookie, Referer, Accept, Sec-GPC,
// Sec-Fetch-Site, Sec-Fetch-Mode, Sec-Fetch-Dest, Sec-Purpose, Purpose and
// X-Moz.
func Concerns(t *clickid.Tracker, r *http.Request) bool { return extending.Concerns(t, r) }

// CheckSave is what every store checks before it saves c: [clickid.Click.Validate],
// and that c has not expired at now. The error matches [clickid.ErrInvalid].
func CheckSave(c clickid.Click, now time.Time) error { return extending.CheckSave(c, now) }

// CheckLink is what every linker checks before it links: key and token, and
// that the link has not expired at now. The error matches [clickid.ErrInvalid].
func CheckLink(k clickid.Key, token string, expires, now time.Time) error {
	return extending.CheckLink(k, token, expires, now)
}

// NewToken returns a token for a store that keeps the click on a server: now in
// whole seconds and 128 random bits, 36 characters of [A-Za-z0-9_-].
func NewToken(now time.Time) (string, error) { return reference.New(now) }

// TokenTime returns the issue time of a token of any store. It reports false for
// a text that does not begin with one. The time is not authenticated.
func TokenTime(token string) (time.Time, bool) { return reference.Issued(token) }

// KeyHash returns the SHA-256 under which a linker files the link of k.
func KeyHash(k clickid.Key) [32]byte { return extending.KeyHash(k) }

// Seal encrypts a token so that only the value of k opens it again
// (AES-256-GCM, 28 bytes longer than the token). A linker stores the sealed
// token, so that a dump of its records holds no live token. The error matches
// [clickid.ErrInvalid] for the zero key, and for a key that was read from its
// text form and has lost its value.
func Seal(k clickid.Key, token string) ([]byte, error) { return extending.Seal(k, token) }

// Open decrypts what Seal returned. The error matches [clickid.ErrInvalid].
func Open(k clickid.Key, sealed []byte) (token string, err error) {
	return extending.Open(k, sealed)
}
