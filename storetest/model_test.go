package storetest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
	"github.com/clickid/clickid/internal/reference"
)

// fault describes how a model violates the contract.
type fault string

const (
	correct fault = ""

	loadsOnce          fault = "forgets a click after Load"
	mixesUpParam       fault = "loads every click with the same parameter"
	cutsIDs            fault = "keeps click IDs up to a colon"
	keepsFractions     fault = "keeps fractions of seconds"
	roundsUp           fault = "rounds times to the nearest second"
	keepsZone          fault = "keeps the time zone"
	longTokens         fault = "makes tokens that are too long"
	escapedTokens      fault = "makes tokens that a URL escapes"
	countedTokens      fault = "counts its tokens"
	sameTokens         fault = "gives equal clicks the same token"
	trimsTokens        fault = "accepts a token with a suffix"
	savesAnything      fault = "saves unacceptable clicks"
	savesExpired       fault = "saves expired clicks"
	looksUpMalformed   fault = "looks malformed tokens up"
	sharesClicks       fault = "shares its clicks with other stores"
	keepsDeleted       fault = "keeps deleted clicks"
	deletesAll         fault = "deletes all clicks"
	deleteInsists      fault = "returns an error when it deletes an unknown click"
	clicksStay         fault = "keeps expired clicks"
	clicksLeaveEarly   fault = "expires clicks early"
	ignoresContext     fault = "ignores the context"
	hidesOutage        fault = "returns ErrNotFound when it is unavailable"
	hidesHang          fault = "returns ErrNotFound when the context ends a call in its middle"
	hidesContext       fault = "returns ErrNotFound when the context has ended"
	tellsTokens        fault = "writes tokens into errors"
	checksNothing      fault = "accepts every token in CheckToken"
	undatedTokens      fault = "makes tokens without their issue time"
	plainTokens        fault = "stores tokens in plain text"
	plainLinks         fault = "stores the tokens of links in plain text"
	deleteKeepsLinks   fault = "keeps the links of a deleted click"
	unlinksLater       fault = "removes links that have moved on to another token"
	refusesForeign     fault = "links only its own tokens"
	unlinkInsists      fault = "returns an error when it unlinks an unknown key"
	linksNothing       fault = "links empty keys and tokens"
	firstLinkWins      fault = "keeps the first link of a key"
	oneKeyPerToken     fault = "keeps one key per token"
	movesWithGaps      fault = "removes a link before it stores the next"
	keysMeet           fault = "confuses keys"
	keepsLinks         fault = "keeps unlinked links"
	unlinkOpens        fault = "opens a link to remove it"
	unlinksOne         fault = "removes only one link of a token"
	linksStay          fault = "keeps expired links"
	linksOfTokenExpire fault = "expires all links of a token with the first"
	linksExpired       fault = "accepts expired links"
	losesWrites        fault = "loses concurrent writes"
)

// model is a store and linker that follows the contracts except for its fault.
type model struct {
	fault  fault
	outage atomic.Int32

	mu     sync.Mutex
	offset time.Duration // of its clock
	saved  int
	clicks map[string]clickid.Click // by kept token
	links  map[[sha256.Size]byte]modelLink
	linked map[string]map[[sha256.Size]byte]bool // every key that was linked to a token
	first  map[string]time.Time                  // when the first link of a token expires
}

type modelLink struct {
	token   string // as kept
	sealed  []byte
	expires time.Time
}

var errFault = errors.New("a fault")

// sharedClicks are the clicks of all models with the fault sharesClicks.
var sharedClicks = map[string]clickid.Click{}

func newModel(f fault) *model {
	s := &model{
		fault: f, clicks: map[string]clickid.Click{}, links: map[[sha256.Size]byte]modelLink{},
		linked: map[string]map[[sha256.Size]byte]bool{}, first: map[string]time.Time{},
	}
	if f == sharesClicks {
		s.clicks = sharedClicks
	}
	return s
}

func (s *model) is(f fault) bool { return s.fault == f }

func (s *model) advance(d time.Duration) { s.offset += d }

func (s *model) now() time.Time { return time.Now().Add(s.offset) }

// outage is a state in which the model cannot tell what it holds.
type outage int32

const (
	none outage = iota
	broken
	hanging
)

// suffer begins an outage and returns a function that ends it.
func (s *model) suffer(o outage) func() {
	s.outage.Store(int32(o))
	return func() { s.outage.Store(int32(none)) }
}

// ended returns the error of an outage or of a context that has ended.
func (s *model) ended(ctx context.Context) error {
	switch outage(s.outage.Load()) {
	case broken:
		if s.is(hidesOutage) {
			return clickid.ErrNotFound
		}
		return errors.New("model: unavailable")
	case hanging:
		<-ctx.Done()
		if s.is(hidesHang) {
			return clickid.ErrNotFound
		}
		return fmt.Errorf("model: %w", ctx.Err())
	}
	switch {
	case s.is(ignoresContext) || ctx.Err() == nil:
		return nil
	case s.is(hidesContext):
		return clickid.ErrNotFound
	}
	return fmt.Errorf("model: %w", ctx.Err())
}

// kept returns the form in which the model stores a token.
func (s *model) kept(token string) string {
	if s.is(plainTokens) {
		return token
	}
	hash := reference.Hash(token)
	return string(hash[:])
}

var someTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func (s *model) newToken(c clickid.Click) (string, error) {
	s.saved++
	switch s.fault {
	case longTokens:
		return strings.Repeat("t", clickid.MaxTokenLength) + fmt.Sprint(s.saved), nil
	case escapedTokens:
		return fmt.Sprintf("token/%d==", s.saved), nil
	case countedTokens:
		id := fmt.Sprintf("%d|%016d", someTime.Unix(), s.saved)
		return base64.RawURLEncoding.EncodeToString([]byte(id)), nil
	case sameTokens:
		hash := reference.Hash(c.ID)
		return base64.RawURLEncoding.EncodeToString(append(fmt.Appendf(nil, "%d|", someTime.Unix()), hash[:16]...)), nil
	case undatedTokens:
		return extension.NewToken(someTime)
	}
	return extension.NewToken(s.now())
}

func (s *model) Save(ctx context.Context, c clickid.Click) (string, error) {
	if err := s.ended(ctx); err != nil {
		return "", err
	}
	err := extension.CheckSave(c, s.now())
	if s.is(savesAnything) || s.is(savesExpired) && c.Validate() == nil {
		err = nil
	}
	if err != nil {
		return "", err
	}
	if s.is(cutsIDs) {
		c.ID, _, _ = strings.Cut(c.ID, ":")
	}
	for _, at := range []*time.Time{&c.At, &c.Expires} {
		switch s.fault {
		case keepsFractions:
			*at = at.UTC()
		case roundsUp:
			*at = at.Round(time.Second).UTC()
		case keepsZone:
			*at = at.Truncate(time.Second)
		default:
			*at = time.Unix(at.Unix(), 0).UTC()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	token, err := s.newToken(c)
	if err != nil {
		return "", err
	}
	clicks := s.clicks
	if s.is(losesWrites) {
		clicks = maps.Clone(s.clicks)
		s.yield()
	}
	clicks[s.kept(token)] = c
	s.clicks = clicks
	return token, nil
}

// yield releases the lock for a moment, so that others can write.
func (s *model) yield() {
	s.mu.Unlock()
	time.Sleep(time.Millisecond)
	s.mu.Lock()
}

func (s *model) Load(ctx context.Context, token string) (clickid.Click, error) {
	if err := s.ended(ctx); err != nil {
		return clickid.Click{}, err
	}
	if s.is(trimsTokens) {
		token = token[:min(len(token), 36)]
	}
	if !reference.Valid(token) && !s.is(looksUpMalformed) {
		err := clickid.ErrInvalid
		if s.is(tellsTokens) {
			err = fmt.Errorf("%w: %q", err, token)
		}
		return clickid.Click{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.clicks[s.kept(token)]
	expires := c.Expires
	if s.is(clicksLeaveEarly) {
		expires = expires.Add(-time.Hour / 2)
	}
	if !ok || !expires.After(s.now()) && !s.is(clicksStay) {
		return clickid.Click{}, clickid.ErrNotFound
	}
	if s.is(loadsOnce) {
		delete(s.clicks, s.kept(token))
	}
	if s.is(mixesUpParam) {
		c.Param = "clkid"
	}
	return c, nil
}

func (s *model) Delete(ctx context.Context, token string) error {
	if err := s.ended(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.clicks[s.kept(token)]; !ok && s.is(deleteInsists) {
		return errFault
	}
	if s.is(deletesAll) {
		clear(s.clicks)
	}
	if !s.is(keepsDeleted) {
		delete(s.clicks, s.kept(token))
	}
	if !s.is(deleteKeepsLinks) {
		s.unlinkToken(token)
	}
	return nil
}

func (s *model) CheckToken(token string) error {
	if !reference.Valid(token) && !s.is(checksNothing) {
		return clickid.ErrInvalid
	}
	return nil
}

func (s *model) hash(k clickid.Key) [sha256.Size]byte {
	hash := extension.KeyHash(k)
	if s.is(keysMeet) {
		return [sha256.Size]byte{hash[0] % 2}
	}
	return hash
}

func (s *model) Link(ctx context.Context, k clickid.Key, token string, expires time.Time) error {
	if err := s.ended(ctx); err != nil {
		return err
	}
	err := extension.CheckLink(k, token, expires, s.now())
	if s.is(linksNothing) && (k.IsZero() || token == "") || s.is(linksExpired) && !k.IsZero() && token != "" {
		return nil
	}
	if s.is(refusesForeign) && !reference.Valid(token) {
		return clickid.ErrInvalid
	}
	if err != nil {
		return err
	}
	sealed, err := extension.Seal(k, token)
	if err != nil {
		return err
	}
	if s.is(plainLinks) {
		sealed = append(sealed, token...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept, hash := s.kept(token), s.hash(k)
	if _, ok := s.links[hash]; ok && s.is(firstLinkWins) {
		return nil
	}
	if s.is(oneKeyPerToken) {
		maps.DeleteFunc(s.links, func(_ [sha256.Size]byte, l modelLink) bool { return l.token == kept })
	}
	links := s.links
	if s.is(losesWrites) {
		links = maps.Clone(s.links)
		s.yield()
	}
	if s.is(movesWithGaps) {
		delete(links, hash)
		s.yield()
	}
	links[hash] = modelLink{token: kept, sealed: sealed, expires: expires}
	s.links = links
	if s.linked[kept] == nil {
		s.linked[kept] = map[[sha256.Size]byte]bool{}
		s.first[kept] = expires
	}
	s.linked[kept][hash] = true
	return nil
}

func (s *model) Linked(ctx context.Context, k clickid.Key) (string, error) {
	if err := s.ended(ctx); err != nil {
		return "", err
	}
	if err := k.Validate(); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.links[s.hash(k)]
	expires := l.expires
	if s.is(linksOfTokenExpire) {
		expires = s.first[l.token]
	}
	if !ok || !expires.After(s.now()) && !s.is(linksStay) {
		return "", clickid.ErrNotFound
	}
	if s.is(plainLinks) {
		l.sealed = l.sealed[:28+(len(l.sealed)-28)/2]
	}
	return extension.Open(k, l.sealed)
}

func (s *model) Unlink(ctx context.Context, k clickid.Key) error {
	if err := s.ended(ctx); err != nil {
		return err
	}
	if err := k.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.links[s.hash(k)]
	if !ok && s.is(unlinkInsists) {
		return errFault
	}
	if s.is(unlinkOpens) && ok {
		if _, err := extension.Open(k, l.sealed); err != nil {
			return err
		}
	}
	if !s.is(keepsLinks) {
		delete(s.links, s.hash(k))
	}
	return nil
}

func (s *model) UnlinkToken(ctx context.Context, token string) error {
	if err := s.ended(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unlinkToken(token)
	return nil
}

func (s *model) unlinkToken(token string) {
	kept := s.kept(token)
	for hash := range s.linked[kept] {
		if s.links[hash].token == kept || s.is(unlinksLater) {
			delete(s.links, hash)
			if s.is(unlinksOne) {
				return
			}
		}
	}
	delete(s.linked, kept)
}

// dump returns all data of the model.
func (s *model) dump() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bytes.Buffer
	for token, c := range s.clicks {
		fmt.Fprintln(&b, token, c.ID)
	}
	for hash, l := range s.links {
		fmt.Fprintf(&b, "%x %s %x\n", hash, l.token, l.sealed)
	}
	return b.Bytes()
}
