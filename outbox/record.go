package outbox

import (
	"context"
	"time"
)

// Record is an event as it is queued: neutral of dialect and engine.
type Record struct {
	// Identity is the SHA-256 of destination, type and ID in hexadecimal: 64
	// characters that engines use as the unique key.
	Identity string `json:"identity"`
	// Payload is the versioned event in JSON.
	Payload []byte `json:"payload"`
	// Keys are the hashes of the application's keys in hexadecimal, under
	// which the event can be erased.
	Keys []string `json:"keys,omitempty"`
	// QueuedAt is when the application sent it, in UTC.
	QueuedAt time.Time `json:"queued_at"`
}

// Queue is an engine as the relay feeds it.
type Queue interface {
	// Enqueue stores the records durably, all or an error. A record whose
	// identity the engine knows is not stored again and is no error.
	Enqueue(ctx context.Context, records []Record) error
}
