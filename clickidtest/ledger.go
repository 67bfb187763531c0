package clickidtest

import (
	"crypto/sha256"
	"time"
)

// ledger is what the platform has counted, and what it has answered to
// requests with an idempotency key. The receiver's lock guards it.
type ledger struct {
	keep    int
	count   int
	events  []*Event
	known   map[identity]*Event
	answers map[idempotency]answered
	keys    []idempotency // in the order of their arrival
}

// identity is under what an event is counted once. ECAPI leaves kind empty.
type identity struct {
	dialect, destination, testCode, kind, id string
}

// idempotency is a key as one account uses it.
type idempotency struct {
	apiKey, key string
}

// answered is what a request was told.
type answered struct {
	body   [sha256.Size]byte
	answer answer
	events []*Event
}

func newLedger(keep int) ledger {
	return ledger{
		keep:    keep,
		known:   make(map[identity]*Event),
		answers: make(map[idempotency]answered),
	}
}

func (e *Event) identity() identity {
	id := identity{dialect: e.Dialect, destination: e.Destination, testCode: e.TestCode, id: e.ID}
	if e.Dialect == DialectLogEvent {
		id.kind = e.Type
	}
	return id
}

// book counts a valid event and fills in what became of it. An event without
// an ID is always new.
func (l *ledger) book(e *Event, at time.Time) {
	e.Received, e.FirstAt, e.LastAt, e.Outcome = 1, at, at, Accepted
	if e.ID != "" {
		id := e.identity()
		if first := l.known[id]; first != nil {
			first.again(e, at)
			e.Outcome, e.Request, e.Received, e.FirstAt, e.Merged = Duplicate, first.Request, first.Received, first.FirstAt, first.Merged
			return
		}
		kept := *e
		l.known[id] = &kept
		e = &kept
	}
	l.count++
	l.events = append(l.events, e)
	for len(l.events) > l.keep {
		if oldest := l.events[0]; oldest.ID != "" {
			delete(l.known, oldest.identity())
		}
		l.events = l.events[1:]
	}
}

// again merges a later event of the same identity into e: it fills in what e
// lacks and changes nothing else.
func (e *Event) again(later *Event, at time.Time) {
	e.Received++
	e.LastAt = at
	if later.Type != e.Type {
		// A new slice, since copies of e share the old one.
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

// remember keeps what a request was told.
func (l *ledger) remember(key idempotency, a answered) {
	l.answers[key] = a
	l.keys = append(l.keys, key)
	for len(l.keys) > l.keep {
		delete(l.answers, l.keys[0])
		l.keys = l.keys[1:]
	}
}
