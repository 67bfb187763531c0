package clickid

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/clickid/clickid/internal/boundedmap"
	"github.com/clickid/clickid/internal/reference"
)

// memoryCapacity limits the clicks and the links of a memory store.
const memoryCapacity = 100_000

// MemoryStore is a [Store] and [Linker] in memory, for tests and for single
// processes that may lose clicks. It has room for 100,000 clicks and as many
// links; then it drops the oldest.
type MemoryStore struct {
	now func() time.Time

	mu     sync.Mutex
	clicks boundedmap.Map[[sha256.Size]byte, Click]
	links  boundedmap.Map[[sha256.Size]byte, memoryLink]
	// linksOf has the links of a token's hash.
	linksOf map[[sha256.Size]byte]map[[sha256.Size]byte]struct{}
}

type memoryLink struct {
	sealed  []byte
	token   [sha256.Size]byte
	expires time.Time
}

// NewMemoryStore returns an empty memory store.
func NewMemoryStore() *MemoryStore {
	s := &MemoryStore{now: time.Now, linksOf: map[[sha256.Size]byte]map[[sha256.Size]byte]struct{}{}}
	s.clicks = boundedmap.New[[sha256.Size]byte, Click](memoryCapacity, nil)
	s.links = boundedmap.New(memoryCapacity, s.forgetLink)
	return s
}

// Save implements [Store].
func (s *MemoryStore) Save(ctx context.Context, c Click) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("clickid: saving the click in memory: %w", err)
	}
	if err := checkSave(c, s.now()); err != nil {
		return "", err
	}
	c.At, c.Expires = wholeSeconds(c.At), wholeSeconds(c.Expires)
	token, err := reference.New(s.now())
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clicks.Put(reference.Hash(token), c)
	return token, nil
}

// Load implements [Store].
func (s *MemoryStore) Load(ctx context.Context, token string) (Click, error) {
	if err := ctx.Err(); err != nil {
		return Click{}, fmt.Errorf("clickid: loading the click from memory: %w", err)
	}
	if err := s.CheckToken(token); err != nil {
		return Click{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	hash := reference.Hash(token)
	c, ok := s.clicks.Get(hash)
	if !ok {
		return Click{}, ErrNotFound
	}
	if !c.Expires.After(s.now()) {
		s.clicks.Remove(hash)
		return Click{}, fmt.Errorf("%w: it has expired", ErrNotFound)
	}
	return c, nil
}

// Delete implements [Store].
func (s *MemoryStore) Delete(ctx context.Context, token string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("clickid: deleting the click from memory: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	hash := reference.Hash(token)
	s.clicks.Remove(hash)
	s.removeLinksOf(hash)
	return nil
}

// Format does not print clicks and links for any verb.
func (s *MemoryStore) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "clickid.MemoryStore") }

// CheckToken implements [TokenChecker].
func (s *MemoryStore) CheckToken(token string) error {
	if !reference.Valid(token) {
		return errMalformedToken
	}
	return nil
}

// Link implements [Linker].
func (s *MemoryStore) Link(ctx context.Context, k Key, token string, expires time.Time) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("clickid: linking in memory: %w", err)
	}
	if err := checkLink(k, token, expires, s.now()); err != nil {
		return err
	}
	sealed, err := k.sealToken(token)
	if err != nil {
		return err
	}
	hash := reference.Hash(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links.Put(k.hash, memoryLink{sealed: sealed, token: hash, expires: expires})
	if s.linksOf[hash] == nil {
		s.linksOf[hash] = map[[sha256.Size]byte]struct{}{}
	}
	s.linksOf[hash][k.hash] = struct{}{}
	return nil
}

// Linked implements [Linker].
func (s *MemoryStore) Linked(ctx context.Context, k Key) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("clickid: finding a link in memory: %w", err)
	}
	if err := k.Validate(); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	link, ok := s.links.Get(k.hash)
	if !ok || !link.expires.After(s.now()) {
		s.links.Remove(k.hash)
		return "", ErrNotFound
	}
	return k.openToken(link.sealed)
}

// Unlink implements [Linker].
func (s *MemoryStore) Unlink(ctx context.Context, k Key) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("clickid: removing a link from memory: %w", err)
	}
	if err := k.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links.Remove(k.hash)
	return nil
}

// UnlinkToken implements [Linker].
func (s *MemoryStore) UnlinkToken(ctx context.Context, token string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("clickid: removing links from memory: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removeLinksOf(reference.Hash(token))
	return nil
}

func (s *MemoryStore) removeLinksOf(token [sha256.Size]byte) {
	for key := range s.linksOf[token] {
		s.links.Remove(key)
	}
}

// forgetLink removes a link from linksOf.
func (s *MemoryStore) forgetLink(key [sha256.Size]byte, link memoryLink) {
	delete(s.linksOf[link.token], key)
	if len(s.linksOf[link.token]) == 0 {
		delete(s.linksOf, link.token)
	}
}

// wholeSeconds truncates t to whole seconds, the precision of stored clicks.
func wholeSeconds(t time.Time) time.Time { return time.Unix(t.Unix(), 0).UTC() }
