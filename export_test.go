package clickid

import (
	"bytes"
	"fmt"
	"time"
)

// AdvanceClock moves the clock of one of this package's stores.
func AdvanceClock(store any, d time.Duration) {
	advance := func(now *func() time.Time) {
		before := *now
		*now = func() time.Time { return before().Add(d) }
	}
	switch s := store.(type) {
	case *cookieStore:
		advance(&s.now)
	case *MemoryStore:
		advance(&s.now)
	default:
		panic(fmt.Sprintf("%T has no clock", store))
	}
}

// Dump returns everything that a memory store keeps.
func (s *MemoryStore) Dump() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bytes.Buffer
	for hash, e := range s.clicks.entries {
		fmt.Fprintf(&b, "%s %+v\n", hash, e.Value)
	}
	for hash, e := range s.links.entries {
		link := e.Value.(boundedEntry[[32]byte, memoryLink]).value
		fmt.Fprintf(&b, "%s %s %s\n", hash, link.sealed, link.token)
	}
	for token, keys := range s.linksOf {
		fmt.Fprintf(&b, "%s %s\n", token, keys)
	}
	return b.Bytes()
}

// Sizes returns how many clicks, links and tokens with links it keeps.
func (s *MemoryStore) Sizes() (clicks, links, tokens int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.clicks.entries), len(s.links.entries), len(s.linksOf)
}
