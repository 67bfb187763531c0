package clickidtest

import (
	"crypto/sha256"
	"time"
)

// ledger holds the counted events and the responses to requests with an
// idempotency key. The receiver's lock guards it.
type ledger struct {
	keep, keepBytes int

	count     int
	events    []*Event
	bytes     int // of the events
	known     map[identity]*Event
	exchanges map[idempotency]completed
	keys      []idempotency // in the order of their arrival
	keyBytes  int           // of the exchanges
}

// identity identifies the events that are counted as one. ECAPI deduplicates
// without the type and leaves kind empty.
type identity struct {
	dialect                         Dialect
	destination, testCode, kind, id string
}

// idempotency identifies an idempotency key. Accounts do not share keys.
type idempotency struct {
	apiKey, key string
}

// completed is a request with an idempotency key and its response.
type completed struct {
	at       time.Time
	body     [sha256.Size]byte
	response response
	events   []*Event
}

// size returns how many bytes the exchange keeps.
func (c *completed) size() int {
	n := len(c.response.body)
	for _, e := range c.events {
		n += len(e.Raw)
	}
	return n
}

func newLedger(cfg *Config) ledger {
	return ledger{
		keep: cfg.Keep, keepBytes: cfg.KeepBytes,
		known:     make(map[identity]*Event),
		exchanges: make(map[idempotency]completed),
	}
}

func (e *Event) identity() identity {
	id := identity{dialect: e.Dialect, destination: e.Destination, testCode: e.TestCode, id: e.ID}
	if e.Dialect == DialectLogEvent {
		id.kind = e.Type
	}
	return id
}

// book counts a valid event and sets its outcome. An event without an ID is
// always new.
func (l *ledger) book(e *Event, at time.Time) {
	e.Received, e.FirstAt, e.LastAt, e.Outcome = 1, at, at, OutcomeAccepted
	if e.ID != "" {
		id := e.identity()
		if first := l.known[id]; first != nil {
			first.again(e, at)
			e.Outcome, e.Request, e.Received, e.FirstAt, e.Merged = OutcomeDuplicate, first.Request, first.Received, first.FirstAt, first.Merged
			return
		}
		kept := *e
		l.known[id] = &kept
		e = &kept
	}
	l.count++
	l.events = append(l.events, e)
	l.bytes += len(e.Raw)
	for l.exceeds(len(l.events), l.bytes) {
		oldest := l.events[0]
		if oldest.ID != "" {
			delete(l.known, oldest.identity())
		}
		l.bytes -= len(oldest.Raw)
		l.events[0] = nil
		l.events = l.events[1:]
	}
}

// again merges a later event of the same identity into e. It sets the fields
// that are empty in e and leaves the others.
func (e *Event) again(later *Event, at time.Time) {
	e.Received++
	e.LastAt = at
	if later.Type != e.Type {
		// Copies of e share the old slice.
		e.Merged = append(e.Merged[:len(e.Merged):len(e.Merged)], later.Type)
	}
	for _, member := range []struct{ mine, theirs *string }{
		{&e.Value, &later.Value}, {&e.Currency, &later.Currency}, {&e.Source, &later.Source},
		{&e.ClickID, &later.ClickID}, {&e.ClickIDType, &later.ClickIDType}, {&e.ExternalID, &later.ExternalID},
	} {
		if *member.mine == "" {
			*member.mine = *member.theirs
		}
	}
	if len(e.UIDs) == 0 {
		e.UIDs = later.UIDs
	}
}

// remember keeps a response for requests that repeat its key.
func (l *ledger) remember(key idempotency, c completed) {
	l.exchanges[key] = c
	l.keys = append(l.keys, key)
	l.keyBytes += c.size()
	for l.exceeds(len(l.keys), l.keyBytes) {
		oldest := l.exchanges[l.keys[0]]
		l.keyBytes -= oldest.size()
		delete(l.exchanges, l.keys[0])
		l.keys = l.keys[1:]
	}
}

// exceeds reports whether more is kept than the configuration allows. The latest
// is always kept.
func (l *ledger) exceeds(count, bytes int) bool {
	return count > l.keep || count > 1 && l.keepBytes > 0 && bytes > l.keepBytes
}
