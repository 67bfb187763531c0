package clickid

import (
	"context"
	"errors"
	"time"
)

// primaryShare is the part of the time for a save that the primary may use up.
const primaryShare = 0.75

// fallbackStore is a store whose tokens are those of its two stores. The
// fallback's check of its own tokens tells which of them issued a token.
type fallbackStore struct {
	primary         Store
	primaryChecker  TokenChecker // or nil
	linker          Linker       // the primary, or nil
	fallback        Store
	fallbackChecker TokenChecker
}

// fallbackLinker is a fallbackStore whose primary is a linker.
type fallbackLinker struct {
	*fallbackStore
	Linker
}

// NewFallbackStore returns a [Store] that saves clicks in a primary store, and
// in a fallback when the primary fails or is slow, so that an outage of Redis
// or of a database loses no click. A [Tracker] reports each such click as
// [KindFellBack]. The fallback needs no server and recognizes its own tokens
// ([TokenChecker]) by more than their form: it is a cookie store.
//
// The primary has three quarters of the time that the context leaves, and of
// [DefaultStoreTimeout] where the context has no deadline; the rest is for the
// fallback. Clicks of the primary cannot be loaded during its outage.
//
// Tokens of the fallback remain valid when the primary is back. A site can
// change from a cookie store to a fallback store with the same keys and back
// without losing its visitors' clicks.
//
// The store is a [Linker] when the primary is one. The primary links the tokens
// of both: during its outage linking fails.
func NewFallbackStore(primary, fallback Store) (Store, error) {
	s := &fallbackStore{primary: primary, fallback: fallback}
	var problems []error
	if primary == nil {
		problems = append(problems, errors.New("clickid: a fallback store needs a primary, such as a Redis or SQL store"))
	}
	var ok bool
	if s.fallbackChecker, ok = fallback.(TokenChecker); !ok {
		problems = append(problems, errors.New("clickid: a fallback store needs a fallback that knows its own tokens; NewCookieStore makes one"))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	s.primaryChecker, _ = primary.(TokenChecker)
	if s.linker, ok = primary.(Linker); ok {
		return fallbackLinker{s, s.linker}, nil
	}
	return s, nil
}

// Save implements [Store].
func (s *fallbackStore) Save(ctx context.Context, c Click) (string, error) {
	token, failure := s.savePrimary(ctx, c)
	if failure == nil || errors.Is(failure, ErrInvalid) {
		return token, failure
	}
	token, err := s.fallback.Save(ctx, c)
	if err != nil {
		return "", errors.Join(failure, err)
	}
	if report, ok := ctx.Value(fallbackReport{}).(*error); ok {
		*report = failure
	}
	return token, nil
}

// fallbackReport is where the context of a save has room for what kept the
// primary from it, since the save itself succeeds. The report passes through
// stores that wrap this one.
type fallbackReport struct{}

func (s *fallbackStore) savePrimary(ctx context.Context, c Click) (string, error) {
	left := DefaultStoreTimeout
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(primaryShare*float64(left)))
	defer cancel()
	token, err := guardedStore{s.primary}.Save(ctx, c)
	if err == nil && s.ofFallback(token) {
		return "", errors.New("clickid: the fallback takes the primary's tokens for its own; use a cookie store as the fallback")
	}
	return token, err
}

// Load implements [Store].
func (s *fallbackStore) Load(ctx context.Context, token string) (Click, error) {
	if s.ofFallback(token) {
		return s.fallback.Load(ctx, token)
	}
	return s.primary.Load(ctx, token)
}

// Delete implements [Store].
func (s *fallbackStore) Delete(ctx context.Context, token string) error {
	if !s.ofFallback(token) {
		return s.primary.Delete(ctx, token)
	}
	err := s.fallback.Delete(ctx, token)
	if s.linker != nil {
		err = errors.Join(err, s.linker.UnlinkToken(ctx, token))
	}
	return err
}

// CheckToken implements [TokenChecker].
func (s *fallbackStore) CheckToken(token string) error {
	if err := s.fallbackChecker.CheckToken(token); !errors.Is(err, ErrInvalid) {
		return err
	}
	return checkToken(s.primaryChecker, token)
}

// loadLocally implements localStore: the fallback's clicks need no server.
func (s *fallbackStore) loadLocally(token string) (Click, bool, error) {
	if fallback, ok := s.fallback.(localStore); ok && s.ofFallback(token) {
		return fallback.loadLocally(token)
	}
	return Click{}, false, nil
}

// ofFallback reports whether a token is the fallback's.
func (s *fallbackStore) ofFallback(token string) bool {
	return !errors.Is(s.fallbackChecker.CheckToken(token), ErrInvalid)
}
