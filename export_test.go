package clickid

import (
	"bytes"
	"fmt"
	"time"

	"github.com/clickid/clickid/internal/payload"
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
	case fallbackLinker:
		AdvanceClock(s.fallbackStore, d)
	case *fallbackStore:
		AdvanceClock(s.primary, d)
		AdvanceClock(s.fallback, d)
	default:
		panic(fmt.Sprintf("%T has no clock", store))
	}
}

// Dump returns everything that a memory store keeps.
func (s *MemoryStore) Dump() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bytes.Buffer
	for hash, c := range s.clicks.All() {
		fmt.Fprintf(&b, "%s %+v\n", hash, c)
	}
	for hash, link := range s.links.All() {
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
	return s.clicks.Len(), s.links.Len(), len(s.linksOf)
}

// SetNow lets a test choose the tracker's time.
func (t *Tracker) SetNow(now func() time.Time) { t.now = now }

// SetStoreNow lets a test choose the time of a cookie store or memory store.
func SetStoreNow(s Store, now func() time.Time) {
	switch s := s.(type) {
	case *cookieStore:
		s.now = now
	case *MemoryStore:
		s.now = now
	}
}

// SignPayload returns a token with a content that Save would not write.
func SignPayload(s Store, purpose string, payload []byte) string {
	token, err := s.(*cookieStore).signer.Sign(purpose, payload)
	if err != nil {
		panic(err)
	}
	return token
}

// TokenPurpose, EncodePayload and NonceLength are what SignPayload signs.
var (
	TokenPurpose  = tokenPurpose
	EncodePayload = func(c Click) []byte { return payload.Append(make([]byte, nonceLength), payload.Click(c)) }
	NonceLength   = nonceLength
)
