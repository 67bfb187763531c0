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
	"unicode/utf8"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
)

// Record is a queued event. It does not depend on dialect and queue.
type Record struct {
	// Identity is the SHA-256 of destination, type and ID in hexadecimal: 64
	// characters that queues use as a unique key. The identity of a refused
	// event differs, so that the corrected event can be stored beside it.
	Identity string `json:"identity"`
	// Payload is the versioned event in JSON.
	Payload []byte `json:"payload"`
	// Keys are the hashes of the keys for erasure, in hexadecimal.
	Keys []string `json:"keys,omitempty"`
	// QueuedAt is the time of Send in UTC, in milliseconds. A replay renews it.
	QueuedAt time.Time `json:"queued_at"`
	// Refused is the reason why validation refuses the event, or "". The first
	// delivery of a refused event makes it a dead letter without a request.
	Refused string `json:"refused,omitempty"`
	// Skipped is the reason why the event is not sent: it is organic, or
	// without consent. The first delivery records the skip without a request. The
	// identity of such a record differs as well.
	Skipped string `json:"skipped,omitempty"`
	// Fingerprint contains keyed hashes of value, currency and click, for
	// comparison with a later event of the same identity. Queues keep it for
	// the deduplication window.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Metadata is the result of [Config].Metadata.
	Metadata map[string]string `json:"metadata,omitempty"`
	// Progress is the result of earlier deliveries.
	Progress Progress `json:"progress,omitzero"`
}

// Enqueuer stores records for delivery.
type Enqueuer interface {
	// Enqueue stores all records durably or returns an error. A record of a
	// known identity is not stored again: known has the stored fingerprint of
	// each such identity. known is nil if the queue does not look for known
	// identities.
	Enqueue(ctx context.Context, records []Record) (known map[string]string, err error)
}

// ErrNewerVersion means that a newer version of this package queued the event,
// as may happen during a deployment. The event stays queued for an instance
// that can read it.
var ErrNewerVersion = errors.New("outbox: the event was queued by a newer version of the library")

// payloadVersion changes when an older version would misread the payload, not
// when it would only miss a new field.
const payloadVersion = 1

type payload struct {
	Version int             `json:"v"`
	Event   json.RawMessage `json:"event"`
}

// newRecord returns the record of a valid event.
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

// encode returns the payload of an event. Its error contains no value of the
// event.
func encode(e clickid.Event) ([]byte, error) {
	if _, offset := e.Time.Zone(); max(offset, -offset) >= 24*60*60 {
		e.Time = e.Time.UTC() // RFC 3339 cannot express the zone
	}
	return marshal(struct {
		Version int           `json:"v"`
		Event   clickid.Event `json:"event"`
	}{payloadVersion, e})
}

// errNotJSON replaces the error of the encoder, which may contain a value.
var errNotJSON = errors.New("the event cannot be stored as JSON")

// marshal is json.Marshal that recovers from a panic of MarshalJSON.
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

// Replayed returns the record of a replayed dead letter. It has a new age and a
// new idempotency key. The destination checks a refused event again.
func (r Record) Replayed(now time.Time) Record {
	at := now.UTC().Truncate(time.Millisecond)
	if at.Equal(r.QueuedAt) {
		at = at.Add(time.Millisecond) // the times tell the two records apart
	}
	r.QueuedAt = at
	r.Refused, r.Skipped = "", ""
	r.Progress.Responses++
	r.Progress.Hold = nil
	return r
}

// identity returns the identity of an event. Its parts contain no NUL, so no
// two events have the same input.
func identity(destination string, e clickid.Event) string {
	sum := sha256.Sum256([]byte("clickid event\x00" + destination + "\x00" + string(e.Type) + "\x00" + e.ID))
	return hex.EncodeToString(sum[:])
}

// eraseKeys returns the hashes of all keys of the event. Most shops use the
// order number as the event's ID.
func eraseKeys(e clickid.Event) []string {
	keys := make([]clickid.Key, 0, 4+len(e.Keys))
	if !utf8.ValidString(e.ID) {
		keys = append(keys, clickid.OrderKey(storedID(e.ID))) // [Delivery.Search] looks for the first key
	}
	keys = append(keys, clickid.OrderKey(e.ID), clickid.OrderKey(e.OrderID), clickid.CustomerKey(e.User.ExternalID))
	keys = append(keys, e.Keys...)
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

// storedID returns an event's ID as it is after JSON, which replaces each byte that
// is not UTF-8.
func storedID(id string) string {
	if utf8.ValidString(id) {
		return id
	}
	return string([]rune(id))
}

// keyHash returns the form of a key in [Record].Keys.
func keyHash(k clickid.Key) string {
	hash := extension.KeyHash(k)
	return hex.EncodeToString(hash[:])
}

// KeyHash returns the form of k in [Record].Keys, for Erase of a queue. The
// error matches [clickid.ErrInvalid] for the zero Key, which would erase the
// events of all users without a key.
func KeyHash(k clickid.Key) (string, error) {
	if k.IsZero() {
		return "", fmt.Errorf("%w: the key to erase by is empty", clickid.ErrInvalid)
	}
	return keyHash(k), nil
}

// Event returns the queued event. The error matches [ErrNewerVersion] if only a
// newer version of this package can read it. Any other error means that the
// record is damaged.
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
