package clickid

import (
	"context"
	"errors"
	"time"
)

// primaryShare is the part of the time for a save that the primary may use up.
const primaryShare = 0.75

// tieredStore is a store whose tokens are those of its tiers. The tier is plain
// from the token: the fallback's check of its own tokens decides.
type tieredStore struct {
	primary         Store
	primaryChecker  TokenChecker // or nil
	linker          Linker       // the primary, or nil
	fallback        Store
	fallbackChecker TokenChecker
}

// tieredLinker is a tieredStore whose primary is a linker.
type tieredLinker struct {
	*tieredStore
	Linker
}

// NewTieredStore returns a [Store] that saves clicks in a primary store, and in
// a fallback when the primary fails or is slow, so that an outage of Redis or
// of a database loses no click. A [Tracker] reports each such click as
// [KindFellBack]. The fallback needs no server and knows its own tokens
// ([TokenChecker]) by more than their form: it is a cookie store.
//
// The primary has three quarters of the time that the context leaves, and of
// [DefaultTimeout] where that has no deadline; the rest is the fallback's. Clicks
// of the primary cannot be loaded during its outage.
//
// Tokens are as their tier made them. Those of the fallback remain valid when
// the primary is back, and a site can change from the fallback alone to a
// tiered store and back again without losing its visitors' clicks. What is
// said of the fallback's tokens holds here, too: those of a cookie store cannot
// be revoked.
//
// The store is a [Linker] when the primary is one. It links tokens of both
// tiers, in the primary: during its outage linking fails.
func NewTieredStore(primary, fallback Store) (Store, error) {
	s := &tieredStore{primary: primary, fallback: fallback}
	var problems []error
	if primary == nil {
		problems = append(problems, errors.New("clickid: a tiered store needs a primary, such as a Redis or SQL store"))
	}
	var ok bool
	if s.fallbackChecker, ok = fallback.(TokenChecker); !ok {
		problems = append(problems, errors.New("clickid: a tiered store needs a fallback that knows its own tokens; NewCookieStore makes one"))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	s.primaryChecker, _ = primary.(TokenChecker)
	if s.linker, ok = primary.(Linker); ok {
		return tieredLinker{s, s.linker}, nil
	}
	return s, nil
}

// Save implements [Store].
func (s *tieredStore) Save(ctx context.Context, c Click) (string, error) {
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

func (s *tieredStore) savePrimary(ctx context.Context, c Click) (string, error) {
	left := DefaultTimeout
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
func (s *tieredStore) Load(ctx context.Context, token string) (Click, error) {
	if s.ofFallback(token) {
		return s.fallback.Load(ctx, token)
	}
	return s.primary.Load(ctx, token)
}

// Delete implements [Store].
func (s *tieredStore) Delete(ctx context.Context, token string) error {
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
func (s *tieredStore) CheckToken(token string) error {
	if err := s.fallbackChecker.CheckToken(token); !errors.Is(err, ErrInvalid) {
		return err
	}
	return checkToken(s.primaryChecker, token)
}

// loadsLocally reports whether the token is the fallback's, which needs no
// server.
func (s *tieredStore) loadsLocally(token string) bool { return s.ofFallback(token) }

// ofFallback reports whether a token is the fallback's.
func (s *tieredStore) ofFallback(token string) bool {
	return !errors.Is(s.fallbackChecker.CheckToken(token), ErrInvalid)
}
