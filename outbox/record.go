package outbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
)

// Record is an event as it is queued: neutral of dialect and queue.
type Record struct {
	// Identity is the SHA-256 of destination, type and ID in hexadecimal: 64
	// characters that queues use as the unique key. That of a refused event is
	// another one, so that the corrected event is stored beside it.
	Identity string `json:"identity"`
	// Payload is the versioned event in JSON.
	Payload []byte `json:"payload"`
	// Keys are the hashes of the application's keys in hexadecimal, under
	// which the event can be erased.
	Keys []string `json:"keys,omitempty"`
	// QueuedAt is when the application sent it, in UTC, with a precision of
	// milliseconds. A replay sets it anew.
	QueuedAt time.Time `json:"queued_at"`
	// Refused is why validation refuses the event, or "". The first delivery of
	// a refused event makes it a dead letter without a request.
	Refused string `json:"refused,omitempty"`
	// Fingerprint holds keyed hashes of value, currency and click, by which an
	// event of the same identity is compared. Queues keep it for the
	// deduplication window.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Metadata is what [Config].Metadata returned, such as a trace context.
	Metadata map[string]string `json:"metadata,omitempty"`
	// Progress is what the deliveries so far have left behind.
	Progress Progress `json:"progress,omitzero"`
}

// Enqueuer stores records for delivery.
type Enqueuer interface {
	// Enqueue stores the records durably, all or an error. A record whose
	// identity is known is not stored again and is not an error: known holds
	// the stored fingerprint under the identity of each such record. It is nil
	// when the queue cannot tell.
	Enqueue(ctx context.Context, records []Record) (known map[string]string, err error)
}

// ErrNewerVersion says that an event was queued by a newer version of this
// package, which happens while a deploy replaces one instance after the other.
// It stays queued for one that can read it.
var ErrNewerVersion = errors.New("outbox: the event was queued by a newer version of the library")

// payloadVersion is raised when an older version would misread what this one
// writes, not when it would merely miss a new field.
const payloadVersion = 1

type payload struct {
	Version int             `json:"v"`
	Event   json.RawMessage `json:"event"`
}

// newRecord returns the record of an event that the destination would send.
func newRecord(destination string, e clickid.Event, now time.Time) (Record, error) {
	data, err := encode(e)
	if err != nil {
		return Record{}, err
	}
	return Record{
		Identity:    identity(destination, e),
		Payload:     data,
		Keys:        eraseKeys(e),
		QueuedAt:    now.UTC().Truncate(time.Millisecond),
		Fingerprint: fingerprint(destination, e),
	}, nil
}

// encode returns the payload of an event. Its error holds no value of the event.
func encode(e clickid.Event) ([]byte, error) {
	event, err := marshal(e)
	if err != nil {
		return nil, err
	}
	return marshal(payload{Version: payloadVersion, Event: event})
}

// errNotJSON stands for the encoder's own error, which may quote a value.
var errNotJSON = errors.New("it cannot be stored as JSON")

// marshal is json.Marshal for values whose own MarshalJSON may panic.
func marshal(v any) (data []byte, err error) {
	defer func() {
		if recover() != nil {
			data, err = nil, errNotJSON
		}
	}()
	if data, err = json.Marshal(v); err != nil {
		return nil, errNotJSON
	}
	return data, nil
}

// Replayed returns the record of a dead letter that is queued again: it is as
// old as a new one, and the platform takes it for a new request. The destination
// checks a refused one again.
func (r Record) Replayed(now time.Time) Record {
	r.QueuedAt = now.UTC().Truncate(time.Millisecond)
	r.Refused = ""
	r.Progress.Responses++
	r.Progress.Hold = nil
	return r
}

// identity returns what an event is known by. None of its parts holds a NUL,
// so two different events never read the same.
func identity(destination string, e clickid.Event) string {
	sum := sha256.Sum256([]byte("clickid event\x00" + destination + "\x00" + string(e.Type) + "\x00" + e.ID))
	return hex.EncodeToString(sum[:])
}

// eraseKeys returns the hashes of everything the event can be erased by. Most
// shops use the order's number as the event's ID.
func eraseKeys(e clickid.Event) []string {
	keys := append([]clickid.Key{
		clickid.OrderKey(e.ID), clickid.OrderKey(e.OrderID), clickid.CustomerKey(e.User.ExternalID),
	}, e.Keys...)
	var hashes []string
	seen := make(map[string]bool)
	for _, k := range keys {
		if hash := keyHash(k); !k.IsZero() && !seen[hash] {
			seen[hash] = true
			hashes = append(hashes, hash)
		}
	}
	return hashes
}

// keyHash returns a key as it stands in [Record].Keys.
func keyHash(k clickid.Key) string {
	hash := extension.KeyHash(k)
	return hex.EncodeToString(hash[:])
}

// KeyHash returns k as it stands in [Record].Keys, for a queue's Erase. The
// zero Key, which would erase the events of everybody who lacks one, is an
// error that matches [clickid.ErrInvalid].
func KeyHash(k clickid.Key) (string, error) {
	if k.IsZero() {
		return "", fmt.Errorf("%w: the key to erase by is empty", clickid.ErrInvalid)
	}
	return keyHash(k), nil
}

// Event returns the queued event. The error matches [ErrNewerVersion] when
// only a newer version of this package can read it; any other error says that
// the record is damaged.
func (r Record) Event() (clickid.Event, error) {
	var p payload
	if err := json.Unmarshal(r.Payload, &p); err != nil || p.Version < 1 {
		return clickid.Event{}, errors.New("outbox: the queued event is damaged")
	}
	if p.Version > payloadVersion {
		return clickid.Event{}, fmt.Errorf("%w: version %d", ErrNewerVersion, p.Version)
	}
	var e clickid.Event
	if err := json.Unmarshal(p.Event, &e); err != nil || bytes.Equal(p.Event, []byte("null")) {
		return clickid.Event{}, errors.New("outbox: the queued event is damaged")
	}
	return e, nil
}
