package outbox

import "time"

// Kill abandons m as a crash would: what comes of its deliveries is lost, and
// it takes no further ones.
func (m *Memory) Kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.storage
	s.mu.Lock()
	for _, entry := range s.entries {
		if entry.owner == m {
			s.wait(entry, time.Now()) // as a queue does when the lease expires
		}
	}
	s.mu.Unlock()
	if m.run != nil {
		m.run.stopOnce.Do(func() { close(m.run.stop) })
		m.run.interrupt()
	}
}

// Reopen returns another outbox on what m stores, as after a restart.
func (m *Memory) Reopen(cfg Config) (*Memory, error) { return openMemory(m.storage, cfg) }

// SetWorkers changes how many events are delivered at once.
func (m *Memory) SetWorkers(n int) { m.workers = n }

// ForgetDelivered forgets what was delivered, as after the deduplication window.
func (m *Memory) ForgetDelivered() {
	m.storage.mu.Lock()
	defer m.storage.mu.Unlock()
	for _, entry := range m.storage.done {
		delete(m.storage.entries, entry.record.Identity)
	}
	m.storage.done = nil
}
