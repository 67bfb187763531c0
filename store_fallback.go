package clickid

import (
	"context"
	"errors"
	"time"
)

// primaryShare is the primary's share of the time for a save.
const primaryShare = 0.75

// fallbackStore is a store with the tokens of two stores. It detects tokens of
// the fallback with the fallback's CheckToken.
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
// in a fallback if the primary fails or is slow, so that an outage of Redis or
// of a database loses no click. A [Tracker] reports such clicks as
// [KindFellBack]. The fallback is a cookie store: it needs no server and recognizes
// its own tokens. The error is non-nil without a primary, or if the fallback is not
// a [TokenChecker].
//
// The primary has three quarters of the time until the context's deadline, or
// of [DefaultStoreTimeout] without a deadline. The rest is for the fallback.
// Clicks of the primary cannot be loaded during its outage.
//
// Tokens of the fallback remain valid after the outage. A site can change between
// a cookie store and a fallback store with the same keys without losing clicks.
//
// The store is a [Linker] if the primary is one. The primary links the tokens
// of both. During its outage Link returns an error.
func NewFallbackStore(primary, fallback Store) (Store, error) {
	s := &fallbackStore{primary: primary, fallback: fallback}
	var problems []error
	if primary == nil {
		problems = append(problems, errors.New("clickid: a fallback store needs a primary, such as a Redis or SQL store"))
	}
	var ok bool
	if s.fallbackChecker, ok = fallback.(TokenChecker); !ok {
		problems = append(problems, errors.New("clickid: a fallback store needs a fallback that recognizes its own tokens, such as NewCookieStore"))
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

// fallbackReport is the context key of the primary's error in a save that
// succeeds in the fallback. The error passes through stores that wrap this one.
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
		return "", errors.New("clickid: the fallback accepts the primary's tokens as its own; use a cookie store as the fallback")
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

// loadLocally implements localStore for the clicks of the fallback.
func (s *fallbackStore) loadLocally(token string) (Click, bool, error) {
	if fallback, ok := s.fallback.(localStore); ok && s.ofFallback(token) {
		return fallback.loadLocally(token)
	}
	return Click{}, false, nil
}

// ofFallback reports whether a token is one of the fallback.
func (s *fallbackStore) ofFallback(token string) bool {
	return !errors.Is(s.fallbackChecker.CheckToken(token), ErrInvalid)
}
