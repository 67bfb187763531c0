package riveroutbox

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/clickid/clickid/outbox"
	"github.com/riverqueue/river/rivertype"
)

// FuzzJob reads jobs that the outbox did not write. A record that is read is the
// same after it is stored again, a dead letter has no more attempts than its job,
// and a search finds only its event.
func FuzzJob(f *testing.F) {
	const id = "order-1"
	delivery, err := outbox.NewDelivery(outbox.Config{Destination: outbox.Administration("shop")})
	if err != nil {
		f.Fatal(err)
	}
	search := delivery.Search(id)
	record := outbox.Record{Identity: "a", Payload: []byte(`{"v":1,"event":{"type":"purchase","id":"order-1"}}`), Fingerprint: "b", QueuedAt: time.Unix(1_800_000_000, 0)}
	metadata, err := json.Marshal(metadataOf(record))
	if err != nil {
		f.Fatal(err)
	}
	args := []byte(`{"identity":"a"}`)
	states := rivertype.JobStates()
	for i := range states {
		f.Add(metadata, args, 3, i)
	}
	for _, damaged := range []string{
		``, `null`, `[]`, `{}`, `{"clickid":null,"clickid_state":null}`, `{"clickid":7}`, `{"clickid":{"payload":"!"}}`, `{"clickid":{},"clickid_state":{"attempts_before":9}}`, `{"clickid":{},"clickid_state":{"attempts_before":-9}}`,
		`{"clickid_skip":{"id":"order-1","type":"purchase","at":"2026-03-01T12:00:00Z"},"clickid_warnings":["a"]}`, `{"clickid_skip":null,"clickid_fingerprint":7}`,
		`{"output":{"Reason":"a"}}`, `{"output":7}`, `{"clickid":{"queued_at":"9999-12-31T23:59:59Z"},"clickid_state":{"replayed_at":"2026-03-01T12:00:00Z","died":true}}`,
	} {
		f.Add([]byte(damaged), []byte(`{"identity":7}`), 1, 1)
		f.Add([]byte(damaged), []byte(`null`), 0, 2)
	}
	o := &Outbox[struct{}]{}
	f.Fuzz(func(t *testing.T, metadata, args []byte, attempt, state int) {
		now := time.Unix(1_800_000_000, 0)
		job := &rivertype.JobRow{
			ID: 42, Metadata: metadata, EncodedArgs: args, Attempt: max(attempt, 0), CreatedAt: now, FinalizedAt: &now,
			State: states[uint(state)%uint(len(states))],
		}
		_ = fingerprintOf(metadata)
		if letter := deadLetter(job); letter.Attempts < 0 || letter.Attempts > job.Attempt || letter.ID != "42" {
			t.Fatalf("%q is the dead letter %v with %d attempts", metadata, letter, letter.Attempts)
		}
		for _, key := range [][]byte{nil, uniqueKey(identityOf(job))} {
			job.UniqueKey = key
			if entry, ok := o.entry(search, job); ok && (entry.EventID != id || entry.State.String() == "") {
				t.Fatalf("%q is found as %v", metadata, entry)
			}
		}
		s, err := readJob(job)
		if err != nil || !s.ok {
			return
		}
		again, err := json.Marshal(metadataOf(s.record))
		if err != nil {
			if year := s.record.QueuedAt.Year(); year >= 0 && year <= 9999 {
				t.Fatalf("the record of %q cannot be stored: %v", metadata, err)
			}
			return
		}
		job.Metadata = again
		same, err := readJob(job)
		if err != nil || !same.ok {
			t.Fatalf("%q became %q: %v", metadata, again, err)
		}
		e, first := s.record.Event()
		other, second := same.record.Event()
		if (first == nil) != (second == nil) || !reflect.DeepEqual(e, other) || s.record.Fingerprint != same.record.Fingerprint {
			t.Fatalf("%q became %q", metadata, again)
		}
	})
}
