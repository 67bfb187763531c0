package clickid

import (
	"container/list"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/clickid/clickid/internal/reference"
)

// memoryCapacity bounds the clicks and the links of a memory store.
const memoryCapacity = 100_000

// MemoryStore is a [Store] and [Linker] in memory, for tests and single
// processes that may forget. It holds 100,000 clicks and as many links; past
// that the oldest give way.
type MemoryStore struct {
	now func() time.Time

	mu     sync.Mutex
	clicks boundedMap[[sha256.Size]byte, Click]
	links  boundedMap[[sha256.Size]byte, memoryLink]
	// linksOf finds the links of a token's hash.
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
	s.clicks = newBoundedMap[[sha256.Size]byte, Click](memoryCapacity, nil)
	s.links = newBoundedMap(memoryCapacity, s.forgetLink)
	return s
}

// Save implements [Store].
func (s *MemoryStore) Save(ctx context.Context, c Click) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("clickid: saving the click in memory: %w", err)
	}
	if err := CheckSave(c, s.now()); err != nil {
		return "", err
	}
	c.At, c.Expires = wholeSeconds(c.At), wholeSeconds(c.Expires)
	token, err := reference.New()
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clicks.put(reference.Hash(token), c)
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
	c, ok := s.clicks.get(hash)
	if !ok {
		return Click{}, ErrNotFound
	}
	if !c.Expires.After(s.now()) {
		s.clicks.remove(hash)
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
	s.clicks.remove(hash)
	s.removeLinksOf(hash)
	return nil
}

// Format keeps clicks and links out of every verb's output.
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
	if err := CheckLink(k, token, expires, s.now()); err != nil {
		return err
	}
	sealed, err := k.Seal(token)
	if err != nil {
		return err
	}
	hash := reference.Hash(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links.put(k.Hash(), memoryLink{sealed: sealed, token: hash, expires: expires})
	if s.linksOf[hash] == nil {
		s.linksOf[hash] = map[[sha256.Size]byte]struct{}{}
	}
	s.linksOf[hash][k.Hash()] = struct{}{}
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
	link, ok := s.links.get(k.Hash())
	if !ok || !link.expires.After(s.now()) {
		s.links.remove(k.Hash())
		return "", ErrNotFound
	}
	return k.Open(link.sealed)
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
	s.links.remove(k.Hash())
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
		s.links.remove(key)
	}
}

// forgetLink keeps linksOf in step when a link leaves.
func (s *MemoryStore) forgetLink(key [sha256.Size]byte, link memoryLink) {
	delete(s.linksOf[link.token], key)
	if len(s.linksOf[link.token]) == 0 {
		delete(s.linksOf, link.token)
	}
}

// wholeSeconds is the precision in which clicks are kept, rounded down as a
// Unix time is.
func wholeSeconds(t time.Time) time.Time { return time.Unix(t.Unix(), 0).UTC() }

// boundedMap is a map that drops its oldest entry when it is full.
type boundedMap[K comparable, V any] struct {
	capacity int
	dropped  func(K, V) // called for every entry that leaves or is replaced; may be nil
	entries  map[K]*list.Element
	order    *list.List // of boundedEntry, oldest first
}

type boundedEntry[K comparable, V any] struct {
	key   K
	value V
}

func newBoundedMap[K comparable, V any](capacity int, dropped func(K, V)) boundedMap[K, V] {
	return boundedMap[K, V]{capacity: capacity, dropped: dropped, entries: map[K]*list.Element{}, order: list.New()}
}

func (m *boundedMap[K, V]) get(key K) (V, bool) {
	if e, ok := m.entries[key]; ok {
		return e.Value.(boundedEntry[K, V]).value, true
	}
	var none V
	return none, false
}

func (m *boundedMap[K, V]) put(key K, value V) {
	m.remove(key)
	if m.order.Len() >= m.capacity {
		m.remove(m.order.Front().Value.(boundedEntry[K, V]).key)
	}
	m.entries[key] = m.order.PushBack(boundedEntry[K, V]{key, value})
}

func (m *boundedMap[K, V]) remove(key K) {
	e, ok := m.entries[key]
	if !ok {
		return
	}
	m.order.Remove(e)
	delete(m.entries, key)
	if m.dropped != nil {
		m.dropped(key, e.Value.(boundedEntry[K, V]).value)
	}
}
