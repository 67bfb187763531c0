package receiver

import (
	"context"
	"sort"
	"sync"

	"github.com/clickid/clickid/clickidtest"
)

// Counts are the numbers of arrivals since the last clear, dropped ones
// included.
type Counts struct {
	Accepted     int `json:"accepted"`
	Duplicate    int `json:"duplicate"`
	Refused      int `json:"refused"`
	NotProcessed int `json:"not_processed"`
	// Requests are those in which no event could be read.
	Requests int `json:"requests"`
	// Dropped are the entries that are not kept any more.
	Dropped int `json:"dropped"`
}

// add counts an entry.
func (c *Counts) add(e *Entry) {
	switch {
	case e.Kind == kindRequest:
		c.Requests++
	case e.Verdict == string(clickidtest.OutcomeAccepted):
		c.Accepted++
	case e.Verdict == string(clickidtest.OutcomeDuplicate):
		c.Duplicate++
	case e.Verdict == string(clickidtest.OutcomeRefused):
		c.Refused++
	default:
		c.NotProcessed++
	}
}

// kept is an entry with the exchange that it is from.
type kept struct {
	Entry
	exchange *clickidtest.Exchange
	index    int // of the event
	bytes    int // that are free without this entry
}

// seen counts the arrivals of an event that are kept or were before those.
type seen struct{ attempts, duplicates, kept int }

// progress is the part of the store that a file keeps besides the entries.
type progress struct {
	Next   int    `json:"next"`   // number of the next entry
	Oldest int    `json:"oldest"` // number of the oldest kept entry
	Counts Counts `json:"counts"`
}

// store keeps the latest entries.
type store struct {
	keep, keepBytes int

	mu sync.Mutex
	progress
	entries    []*kept // oldest first, with increasing numbers
	bytes      int
	seen       map[identity]*seen
	timeline   timeline
	generation int           // counts the clears
	changed    chan struct{} // closed at the next change
	db         *database     // nil without a file
}

func newStore(keep, keepBytes int) *store {
	return &store{
		keep: keep, keepBytes: keepBytes, progress: progress{Next: 1, Oldest: 1},
		seen: make(map[identity]*seen), changed: make(chan struct{}),
	}
}

// add keeps an exchange. After an error it is kept in memory only.
func (s *store) add(x clickidtest.Exchange) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.Next
	for _, e := range s.append(&x) {
		s.Counts.add(&e.Entry)
		s.timeline.add(&e.Entry)
	}
	s.Counts.Dropped += s.drop()
	s.notify()
	if s.db == nil {
		return nil
	}
	return s.db.add(first, s.Next-1, x, s.progress)
}

// append adds the entries of an exchange.
func (s *store) append(x *clickidtest.Exchange) []*kept {
	list := entriesOf(x)
	added := make([]*kept, len(list))
	first := s.Next
	for i, e := range list {
		e.Number, e.Request = s.Next, first
		s.Next++
		k := &kept{Entry: e, exchange: x, index: i, bytes: bytesOfEntry}
		if i < len(x.Events) {
			k.bytes += len(x.Events[i].Raw)
		}
		if i == len(list)-1 {
			k.bytes += len(x.Body) + len(x.Response.Body)
		}
		s.note(k)
		s.bytes += k.bytes
		added[i] = k
	}
	s.entries = append(s.entries, added...)
	return added
}

// bytesOfEntry is a guess of an entry's size without its JSON.
const bytesOfEntry = 1 << 10

// note counts the arrival of an event.
func (s *store) note(k *kept) {
	id, ok := k.identity()
	if !ok {
		if k.Kind == kindEvent {
			k.Attempt = 1
		}
		return
	}
	known := s.seen[id]
	if known == nil {
		known = &seen{}
		s.seen[id] = known
	}
	known.attempts++
	known.kept++
	if k.Verdict == string(clickidtest.OutcomeDuplicate) {
		known.duplicates++
	}
	k.Attempt = known.attempts
}

// drop drops the oldest entries beyond the limits and returns their number.
func (s *store) drop() (dropped int) {
	for len(s.entries) > s.keep || s.bytes > s.keepBytes && len(s.entries) > 1 {
		oldest := s.entries[0]
		s.entries[0] = nil
		s.entries = s.entries[1:]
		s.bytes -= oldest.bytes
		if id, ok := oldest.identity(); ok {
			if known := s.seen[id]; known.kept > 1 {
				known.kept--
			} else {
				delete(s.seen, id)
			}
		}
		dropped++
	}
	s.Oldest = s.Next
	if len(s.entries) > 0 {
		s.Oldest = s.entries[0].Number
	}
	return dropped
}

// clear forgets all entries. Numbers go on.
func (s *store) clear() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries, s.bytes, s.seen, s.timeline = nil, 0, make(map[identity]*seen), nil
	s.progress = progress{Next: s.Next, Oldest: s.Next}
	s.generation++
	s.notify()
	if s.db == nil {
		return nil
	}
	return s.db.clear(s.progress)
}

// load continues with the entries of a file and returns their exchanges.
func (s *store) load(ctx context.Context, db *database) ([]clickidtest.Exchange, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.db = db
	rows, last, err := db.load(ctx)
	if err != nil {
		return nil, err
	}
	exchanges := make([]clickidtest.Exchange, len(rows))
	for i, row := range rows {
		s.Next = row.first
		exchanges[i] = row.exchange
		for _, e := range s.append(&exchanges[i]) {
			s.timeline.add(&e.Entry)
		}
	}
	if last.Next > 0 {
		s.Next, s.Counts = last.Next, last.Counts
		s.drop()
		// The file keeps an exchange until its last entry is dropped, and the
		// limits may have changed.
		s.Counts.Dropped += s.Oldest - last.Oldest
	}
	return exchanges, nil
}

func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return nil
	}
	return s.db.close()
}

// notify wakes those who wait. The caller holds the lock.
func (s *store) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// current returns the entry as it is shown now. The caller holds the lock.
func (s *store) current(k *kept) Entry {
	e := k.Entry
	if id, ok := e.identity(); ok {
		e.Attempts, e.Duplicates = s.seen[id].attempts, s.seen[id].duplicates
	} else {
		e.Attempts = e.Attempt
	}
	return e
}

// after returns the index of the first entry with a greater number. The caller
// holds the lock.
func (s *store) after(number int) int {
	return sort.Search(len(s.entries), func(i int) bool { return s.entries[i].Number > number })
}
