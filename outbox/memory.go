package outbox

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/clickid/clickid"
)

// MemoryConfig configures a [Memory].
type MemoryConfig struct {
	// Delivery configures the delivery of events. Its Destination is required.
	Delivery Config
	// AcceptLoss confirms that events are lost when the process ends. Required.
	AcceptLoss bool
}

// memoryWorkers is the number of events that a [Memory] delivers at once.
const memoryWorkers = 500

// Memory is a [Queue] in the memory of the process, for examples and tests. Its
// events are lost when the process ends. Otherwise it behaves like the durable
// queues.
type Memory struct {
	delivery *Delivery
	storage  *memoryStorage
	workers  int

	mu  sync.Mutex
	run *memoryRun
}

var (
	_ Queue   = (*Memory)(nil)
	_ Drainer = (*Memory)(nil)
)

// memoryRun is the time from Start to Stop.
type memoryRun struct {
	stop      chan struct{}
	stopOnce  sync.Once
	interrupt context.CancelFunc
	done      chan struct{}
}

// memoryStorage is the storage that a durable queue has in its database.
type memoryStorage struct {
	mu      sync.Mutex
	entries map[string]*memoryEntry
	due     dueHeap
	done    []*memoryEntry // in the order of delivery
	skips   []Skip         // in the order of time
	wake    chan struct{}

	forgetful bool // for a test: progress is not stored
}

type memoryEntry struct {
	record   Record
	state    memoryState
	owner    *Memory // the outbox that delivers it
	attempts int
	due      time.Time
	ended    time.Time // delivered or dead
	failure  Failure
	warnings []string // of a delivered event
}

type memoryState int

const (
	memoryWaiting memoryState = iota
	memoryRunning
	memoryDone
	memoryDead
)

// NewMemory returns an outbox in memory. Its error joins all problems of cfg.
func NewMemory(cfg MemoryConfig) (*Memory, error) {
	var problems []error
	if !cfg.AcceptLoss {
		problems = append(problems, errors.New("outbox: an outbox in memory loses events when the process ends; set AcceptLoss to confirm"))
	}
	storage := &memoryStorage{entries: make(map[string]*memoryEntry), wake: make(chan struct{}, 1)}
	m, err := openMemory(storage, cfg.Delivery)
	if err := errors.Join(append(problems, err)...); err != nil {
		return nil, err
	}
	return m, nil
}

func openMemory(storage *memoryStorage, cfg Config) (*Memory, error) {
	delivery, err := NewDelivery(cfg)
	if err != nil {
		return nil, err
	}
	return &Memory{delivery: delivery, storage: storage, workers: memoryWorkers}, nil
}

// Send implements [clickid.Sender].
func (m *Memory) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	return m.delivery.Sender(m).Send(ctx, events...)
}

// ResolvesTokens reports whether the clicks of tokens are resolved at delivery;
// see [clickid.Sender].
func (m *Memory) ResolvesTokens() bool { return m.delivery.ResolvesTokens() }

// Delivery implements [Queue].
func (m *Memory) Delivery() *Delivery { return m.delivery }

// Enqueue implements [Enqueuer].
func (m *Memory) Enqueue(ctx context.Context, records []Record) (map[string]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("outbox: queueing in memory: %w", err)
	}
	s := m.storage
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prune()
	known := make(map[string]string)
	for _, r := range records {
		if entry := s.entries[r.Identity]; entry != nil {
			known[r.Identity] = entry.record.Fingerprint
			continue
		}
		entry := &memoryEntry{record: r}
		s.entries[r.Identity] = entry
		s.wait(entry, time.Now())
	}
	return known, nil
}

// prune removes delivered events beyond the deduplication window. The caller
// holds the lock, here and below.
func (s *memoryStorage) prune() {
	for len(s.done) > 0 && time.Since(s.done[0].ended) > DefaultDeduplicationWindow {
		delete(s.entries, s.done[0].record.Identity)
		s.done = s.done[1:]
	}
	for len(s.skips) > 0 && time.Since(s.skips[0].At) > DefaultDeduplicationWindow {
		s.skips = s.skips[1:]
	}
}

// wait makes an entry due at a time.
func (s *memoryStorage) wait(entry *memoryEntry, due time.Time) {
	entry.state, entry.owner, entry.due = memoryWaiting, nil, due
	heap.Push(&s.due, dueEntry{entry, due})
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// memoryJob is an entry that is due.
type memoryJob struct {
	entry   *memoryEntry
	record  Record
	attempt int
}

// take returns the next entry that is due at a time and assigns it to owner, or
// the time until one is due.
func (s *memoryStorage) take(owner *Memory, at time.Time) (*memoryJob, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.due) > 0 {
		next := s.due[0]
		if wait := next.due.Sub(at); wait > 0 {
			return nil, wait
		}
		heap.Pop(&s.due)
		// Erased and rescheduled entries are still in the heap.
		if next.entry.state == memoryWaiting && next.entry.due.Equal(next.due) {
			next.entry.state, next.entry.owner = memoryRunning, owner
			return &memoryJob{next.entry, next.entry.record, next.entry.attempts + 1}, 0
		}
	}
	return nil, time.Hour
}

// settle applies the outcome of a delivery.
func (s *memoryStorage) settle(owner *Memory, entry *memoryEntry, outcome Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if entry.owner != owner {
		return // erased, or assigned to another owner
	}
	now := time.Now()
	entry.failure = outcome.Failure
	if outcome.Progress != nil && !s.forgetful {
		entry.record.Progress = *outcome.Progress
	}
	switch outcome.Action {
	case ActionDone:
		entry.state, entry.ended, entry.warnings = memoryDone, now, outcome.Warnings
		entry.record = Record{Identity: entry.record.Identity, Fingerprint: entry.record.Fingerprint}
		s.done = append(s.done, entry)
	case ActionSkip:
		entry.state, entry.owner = memoryDone, nil
		delete(s.entries, entry.record.Identity)
		if outcome.Skip != nil {
			s.skips = append(s.skips, *outcome.Skip)
		}
	case ActionDeadLetter:
		entry.attempts++
		entry.state, entry.ended = memoryDead, now
	case ActionRetry:
		entry.attempts++
		s.wait(entry, now.Add(outcome.Wait))
	default:
		s.wait(entry, now.Add(outcome.Wait))
	}
}

// Start implements [Outbox].
func (m *Memory) Start(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("outbox: starting: %w", err)
	}
	if err := m.delivery.CheckStart(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.run != nil {
		return errors.New("outbox: the outbox has been started already")
	}
	m.remember()
	working, interrupt := context.WithCancel(context.WithoutCancel(ctx))
	run := &memoryRun{stop: make(chan struct{}), interrupt: interrupt, done: make(chan struct{})}
	m.run = run
	unwatch := context.AfterFunc(ctx, func() { m.end(run) })
	go func() {
		defer close(run.done)
		defer interrupt()
		defer unwatch()
		m.work(working, run.stop)
	}()
	return nil
}

// remember tells the delivery about events that were delivered earlier.
func (m *Memory) remember() {
	m.storage.mu.Lock()
	defer m.storage.mu.Unlock()
	if len(m.storage.done) > 0 {
		m.delivery.Remember()
	}
}

// end prevents further deliveries.
func (m *Memory) end(run *memoryRun) {
	run.stopOnce.Do(func() { close(run.stop) })
	m.delivery.Interrupt()
}

// work delivers due events until stop is closed, and waits for the deliveries
// in progress.
func (m *Memory) work(ctx context.Context, stop <-chan struct{}) {
	slots := make(chan struct{}, m.workers)
	var group sync.WaitGroup
	defer group.Wait()
	for {
		select {
		case slots <- struct{}{}:
		case <-stop:
			return
		}
		job, wait := m.storage.take(m, time.Now())
		if job == nil {
			<-slots
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-m.storage.wake:
			case <-stop:
			}
			timer.Stop()
			continue
		}
		group.Add(1)
		go func() {
			defer group.Done()
			defer func() { <-slots }()
			m.storage.settle(m, job.entry, m.delivery.Deliver(ctx, job.record, job.attempt))
		}()
	}
}

// Drain implements [Drainer].
func (m *Memory) Drain(ctx context.Context) (Drained, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.run != nil {
		return Drained{}, ErrStarted
	}
	m.remember()
	working, settled := Draining(ctx)
	slots := make(chan struct{}, m.workers)
	var group sync.WaitGroup
	for begun := time.Now(); ctx.Err() == nil; {
		slots <- struct{}{}
		job, _ := m.storage.take(m, begun)
		if job == nil {
			break
		}
		group.Add(1)
		go func() {
			defer group.Done()
			m.storage.settle(m, job.entry, m.delivery.Deliver(working, job.record, job.attempt))
			<-slots
		}()
	}
	group.Wait()
	m.storage.mu.Lock()
	defer m.storage.mu.Unlock()
	drained := Drained{Settled: settled(), Remaining: m.storage.stats().Queued}
	if err := ctx.Err(); err != nil {
		return drained, fmt.Errorf("outbox: draining: deliveries were interrupted: %w", err)
	}
	return drained, nil
}

// Stop implements [Outbox].
func (m *Memory) Stop(ctx context.Context) (remaining int, err error) {
	m.mu.Lock()
	run := m.run
	m.mu.Unlock()
	if run != nil {
		m.end(run)
		select {
		case <-run.done:
		case <-ctx.Done():
			err = fmt.Errorf("outbox: stopping: deliveries were interrupted: %w", ctx.Err())
			run.interrupt()
			<-run.done
		}
	}
	_ = m.delivery.Close(ctx) // the deliveries have ended, so Close does not wait
	m.storage.mu.Lock()
	defer m.storage.mu.Unlock()
	return m.storage.stats().Queued, err
}

// DeadLetters implements [Outbox]. The ID of a dead letter is its identity.
func (m *Memory) DeadLetters(ctx context.Context, page Page) ([]DeadLetter, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("outbox: listing dead letters: %w", err)
	}
	page = page.WithDefaults()
	m.storage.mu.Lock()
	defer m.storage.mu.Unlock()
	dead := m.storage.dead(nil)
	slices.SortFunc(dead, func(a, b *memoryEntry) int {
		return cmp.Or(b.ended.Compare(a.ended), cmp.Compare(a.record.Identity, b.record.Identity))
	})
	dead = dead[min(page.Offset, len(dead)):]
	dead = dead[:min(page.Limit, len(dead))]
	letters := make([]DeadLetter, len(dead))
	for i, entry := range dead {
		letters[i] = entry.letter()
	}
	return letters, nil
}

// dead returns the dead entries of the given identities, or all dead entries if
// ids is empty.
func (s *memoryStorage) dead(ids []string) []*memoryEntry {
	var dead []*memoryEntry
	if len(ids) > 0 {
		for _, id := range ids {
			if entry := s.entries[id]; entry != nil && entry.state == memoryDead && !slices.Contains(dead, entry) {
				dead = append(dead, entry)
			}
		}
		return dead
	}
	for _, entry := range s.entries {
		if entry.state == memoryDead {
			dead = append(dead, entry)
		}
	}
	return dead
}

// Replay implements [Outbox].
func (m *Memory) Replay(ctx context.Context, ids ...string) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("outbox: replaying dead letters: %w", err)
	}
	m.storage.mu.Lock()
	defer m.storage.mu.Unlock()
	now := time.Now()
	dead := m.storage.dead(ids)
	for _, entry := range dead {
		entry.attempts, entry.failure = 0, Failure{}
		entry.record = entry.record.Replayed(now)
		m.storage.wait(entry, now)
	}
	return len(dead), nil
}

// Discard implements [Outbox].
func (m *Memory) Discard(ctx context.Context, ids ...string) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("outbox: discarding dead letters: %w", err)
	}
	m.storage.mu.Lock()
	defer m.storage.mu.Unlock()
	if len(ids) == 0 {
		return 0, nil // without IDs nothing is removed
	}
	dead := m.storage.dead(ids)
	for _, entry := range dead {
		delete(m.storage.entries, entry.record.Identity)
	}
	return len(dead), nil
}

// Erase implements [Outbox].
func (m *Memory) Erase(ctx context.Context, k clickid.Key) (int, error) {
	hash, err := KeyHash(k)
	if err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("outbox: erasing events: %w", err)
	}
	m.storage.mu.Lock()
	defer m.storage.mu.Unlock()
	erased := 0
	for identity, entry := range m.storage.entries {
		if slices.Contains(entry.record.Keys, hash) {
			delete(m.storage.entries, identity)
			entry.state, entry.owner = memoryDone, nil
			erased++
		}
	}
	return erased, nil
}

// Find implements [Outbox].
func (m *Memory) Find(ctx context.Context, eventID string, types ...clickid.EventType) ([]Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("outbox: finding an event: %w", err)
	}
	search := m.delivery.Search(eventID, types...)
	m.storage.mu.Lock()
	defer m.storage.mu.Unlock()
	m.storage.prune()
	var entries []Entry
	add := func(entry Entry, ok bool) {
		if ok {
			entries = append(entries, entry)
		}
	}
	for identity, entry := range m.storage.entries {
		switch entry.state {
		case memoryDone:
			add(search.Delivered(identity, entry.ended, entry.warnings))
		case memoryDead:
			add(search.Dead(entry.letter()))
		default:
			add(search.Queued(entry.record))
		}
	}
	for _, skip := range m.storage.skips {
		add(search.Skipped(skip))
	}
	return entries, nil
}

// DeliveredByHour implements [HourCounter].
func (m *Memory) DeliveredByHour(ctx context.Context, from, to time.Time) ([]HourCount, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("outbox: counting deliveries: %w", err)
	}
	m.storage.mu.Lock()
	defer m.storage.mu.Unlock()
	m.storage.prune()
	byHour := make(map[int64]int)
	for _, entry := range m.storage.entries {
		if entry.state == memoryDone {
			byHour[entry.ended.Unix()/3600]++
		}
	}
	return HourCounts(byHour, from, to), nil
}

// letter returns the dead letter of an entry.
func (e *memoryEntry) letter() DeadLetter {
	return NewDeadLetter(e.record.Identity, e.record, e.failure, e.attempts, e.ended)
}

// Stats implements [Outbox].
func (m *Memory) Stats(ctx context.Context) (Stats, error) {
	if err := ctx.Err(); err != nil {
		return Stats{}, fmt.Errorf("outbox: measuring the queue: %w", err)
	}
	m.storage.mu.Lock()
	defer m.storage.mu.Unlock()
	stats := m.storage.stats()
	stats.Platform = m.delivery.PlatformStats()
	return stats, nil
}

func (s *memoryStorage) stats() Stats {
	s.prune()
	stats := Stats{Skipped: len(s.skips)}
	for _, entry := range s.entries {
		switch entry.state {
		case memoryDone:
			stats.Delivered++
		case memoryDead:
			stats.DeadLetters++
		default:
			stats.Queued++
			stats.Oldest = max(stats.Oldest, time.Since(entry.record.QueuedAt))
		}
	}
	return stats
}

// dueEntry is an entry with the time at which it was scheduled.
type dueEntry struct {
	entry *memoryEntry
	due   time.Time
}

// dueHeap is a heap with the next due entry at its top.
type dueHeap []dueEntry

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(dueEntry)) }
func (h *dueHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
