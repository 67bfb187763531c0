package outbox_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/clickid/clickid/outbox"
)

// FuzzRecord reads records as a queue stores them. A record that can be read is
// the same after it is stored again, so that a queue never changes an event.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"identity":"a","queued_at":"2026-03-01T12:00:00Z"}`), []byte(`{"v":1,"event":{"type":"purchase","id":"1","time":"2026-03-01T12:00:00Z"}}`))
	f.Add([]byte(`{"progress":{"attempts":[{}]},"metadata":{"a":""},"keys":[null]}`), []byte(`{"v":1,"event":{"properties":{"n":12345678901234567890,"a":[{"b":1e400}]}}}`))
	f.Add([]byte(`{"progress":null}`), []byte(`{"v":2,"event":"of a newer version"}`))
	f.Add([]byte(`{"payload":"!"}`), []byte(`{"v":1,"event":{"type":"purchase","value":{"number":"1","currency":"EUR"},"value":null,"consent":9}}`))
	f.Add([]byte(`[]`), []byte("{\"v\":1,\"event\":{\"id\":\"\xff\"}}"))
	f.Fuzz(func(t *testing.T, stored, payload []byte) {
		var record outbox.Record
		if json.Unmarshal(stored, &record) != nil {
			return
		}
		record.Payload = payload
		data, err := json.Marshal(record)
		if err != nil {
			if record.QueuedAt.Year() > 9999 || record.QueuedAt.Year() < 0 {
				return
			}
			t.Fatalf("a record that was read cannot be stored: %v", err)
		}
		var again outbox.Record
		if err := json.Unmarshal(data, &again); err != nil {
			t.Fatalf("a record that was stored cannot be read: %v", err)
		}
		e, err := record.Event()
		other, otherErr := again.Event()
		if (err == nil) != (otherErr == nil) || !reflect.DeepEqual(e, other) {
			t.Fatalf("%q became %q: %v, %v", payload, again.Payload, err, otherErr)
		}
	})
}
