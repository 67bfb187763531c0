package outbox

import (
	"context"
	"strings"
	"time"

	"github.com/clickid/clickid"
)

// Kill ends m like a crash: it drops the outcomes of its deliveries and starts
// no others.
func (m *Memory) Kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.storage
	s.mu.Lock()
	for _, entry := range s.entries {
		if entry.owner == m {
			s.wait(entry, time.Now()) // like a queue after the end of the lease
		}
	}
	s.mu.Unlock()
	if m.run != nil {
		m.run.stopOnce.Do(func() { close(m.run.stop) })
		m.run.interrupt()
	}
}

// Reopen returns another outbox with the storage of m, as after a restart.
func (m *Memory) Reopen(cfg Config) (*Memory, error) { return openMemory(m.storage, cfg) }

// SetWorkers sets the number of events that are delivered at once.
func (m *Memory) SetWorkers(n int) { m.workers = n }

// ForgetDelivered removes the identities of delivered events, as after the
// deduplication window.
func (m *Memory) ForgetDelivered() {
	m.storage.mu.Lock()
	defer m.storage.mu.Unlock()
	for _, entry := range m.storage.done {
		delete(m.storage.entries, entry.record.Identity)
	}
	m.storage.done = nil
}

// SetTokenAge sets the age from which a missing click is an absence.
func (m *Memory) SetTokenAge(age time.Duration) { m.delivery.tokenAge = age }

// ForgetProgress makes m forget what the deliveries of an event leave behind.
func (m *Memory) ForgetProgress() { m.storage.forgetful = true }

// Lose replaces a queued event by a record without an event, as a queue does that
// has lost it, and reports that unless silent is set. With done it counts as
// delivered.
func (m *Memory) Lose(identity string, silent, done bool) {
	s := m.storage
	s.mu.Lock()
	entry := s.entries[identity]
	delete(s.entries, identity)
	entry.record = Record{Identity: "lost " + identity, QueuedAt: entry.record.QueuedAt}
	s.entries[entry.record.Identity] = entry
	if done {
		entry.state, entry.ended = memoryDone, time.Now()
	}
	s.mu.Unlock()
	if !silent {
		m.delivery.Observe(context.Background(), Observation{Kind: KindRecordLost})
	}
}

// EraseWaiting is Erase without the events that are being sent.
func (m *Memory) EraseWaiting(ctx context.Context, k clickid.Key) (int, error) {
	s := m.storage
	running := make(map[*memoryEntry][]string)
	s.mu.Lock()
	for _, entry := range s.entries {
		if entry.state == memoryRunning {
			running[entry] = entry.record.Keys
			entry.record.Keys = nil
		}
	}
	s.mu.Unlock()
	n, err := m.Erase(ctx, k)
	s.mu.Lock()
	defer s.mu.Unlock()
	for entry, keys := range running {
		entry.record.Keys = keys
	}
	return n, err
}

// Identity returns the identity of an event of a destination.
func Identity(destination string, e clickid.Event) string { return identity(destination, e) }

// Stored returns the keys of all stored events.
func (m *Memory) Stored() string {
	m.storage.mu.Lock()
	defer m.storage.mu.Unlock()
	var all []string
	for _, entry := range m.storage.entries {
		all = append(all, entry.record.Keys...)
	}
	return strings.Join(all, "\n")
}
