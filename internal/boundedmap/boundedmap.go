// Package boundedmap implements a map with a maximum size.
package boundedmap

import (
	"container/list"
	"iter"
)

// Map is a map that drops its oldest entry when it is full. It is not safe for
// concurrent use. Use New.
type Map[K comparable, V any] struct {
	capacity int
	dropped  func(K, V) // called for every removed or replaced entry; may be nil
	entries  map[K]*list.Element
	order    *list.List // of entry, oldest first
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

// New returns an empty map for capacity entries. It calls dropped, unless nil,
// for every removed or replaced entry.
func New[K comparable, V any](capacity int, dropped func(K, V)) Map[K, V] {
	return Map[K, V]{capacity: capacity, dropped: dropped, entries: map[K]*list.Element{}, order: list.New()}
}

// Get returns the value of key.
func (m *Map[K, V]) Get(key K) (V, bool) {
	if e, ok := m.entries[key]; ok {
		return e.Value.(entry[K, V]).value, true
	}
	var none V
	return none, false
}

// Put sets the value of key and makes it the newest entry.
func (m *Map[K, V]) Put(key K, value V) {
	m.Remove(key)
	if m.order.Len() >= m.capacity {
		m.Remove(m.order.Front().Value.(entry[K, V]).key)
	}
	m.entries[key] = m.order.PushBack(entry[K, V]{key, value})
}

// Remove removes key.
func (m *Map[K, V]) Remove(key K) {
	e, ok := m.entries[key]
	if !ok {
		return
	}
	m.order.Remove(e)
	delete(m.entries, key)
	if m.dropped != nil {
		m.dropped(key, e.Value.(entry[K, V]).value)
	}
}

// Len returns the number of entries.
func (m *Map[K, V]) Len() int { return len(m.entries) }

// All yields the entries from the oldest to the newest.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for e := m.order.Front(); e != nil; e = e.Next() {
			if en := e.Value.(entry[K, V]); !yield(en.key, en.value) {
				return
			}
		}
	}
}
