package asynqoutbox

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid/outbox"
	"github.com/hibiken/asynq"
)

// FuzzMarker reads markers and records that the outbox did not write, and the
// marker that it writes for a delivered event: the fingerprint and the warnings
// are those of the event.
func FuzzMarker(f *testing.F) {
	for _, reply := range []string{
		"", "w", "w{", `w{"fingerprint":"ab"}`, "w[]", "d", "dab", `dab|["a"]`, "dab|", "d|", "x", "xid.1|ab", "x|", "-", "-lost", "|", "\x00", "dab|[7]", "dab|null",
	} {
		f.Add(reply, "0123456789abcdef", "a warning")
	}
	f.Add("", "", "a|b\x00\xff")
	f.Fuzz(func(t *testing.T, reply, fingerprint, warning string) {
		stored := readStored(reply)
		if stored.fresh != (reply == "") || stored.fresh && (stored.waits || stored.fingerprint != "") {
			t.Fatalf("%q is read as %+v", reply, stored)
		}
		_ = warningsOf(reply)

		if strings.Contains(fingerprint, "|") {
			return // a fingerprint is hexadecimal
		}
		var warnings []string
		if warning != "" {
			warnings = []string{strings.ToValidUTF8(warning, "\ufffd")}
		}
		mark := deliveredMark(outbox.Record{Fingerprint: fingerprint}, outbox.Outcome{Warnings: warnings})
		if got := readStored(mark); got != (storedAs{fingerprint: fingerprint}) {
			t.Fatalf("%q is read as %+v", mark, got)
		}
		if got := warningsOf(mark); !slices.Equal(got, warnings) {
			t.Fatalf("%q has the warnings %q", mark, got)
		}
	})
}

// FuzzLetter reads dead letters that the outbox did not write. One that can be
// read is the same after it is stored again.
func FuzzLetter(f *testing.F) {
	for _, payload := range []string{
		"", "null", "[]", "{}", `{"record":{"identity":"a","payload":"eyJ2IjoxLCJldmVudCI6eyJ0eXBlIjoicHVyY2hhc2UiLCJpZCI6IjEifX0="},"reason":"a","attempts":3}`,
		`{"record":{"payload":"!"}}`, `{"attempts":-1,"status":1e3}`, `{"failed_at":"9999-12-31T23:59:59Z","record":{"progress":{"attempts":[{}]}}}`, `{"record":7}`,
	} {
		f.Add([]byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		read := readLetter(&asynq.TaskInfo{ID: "a.1", Payload: payload})
		if read.ID != "a.1" {
			t.Fatalf("%q has the ID %q", payload, read.ID)
		}
		var l letter
		if err := json.Unmarshal(payload, &l); err != nil {
			if read.Reason == "" {
				t.Fatalf("%q is damaged for no reason", payload)
			}
			return
		}
		again, err := json.Marshal(l)
		if err != nil {
			if storable(l.FailedAt) && storable(l.Record.QueuedAt) && !slices.ContainsFunc(l.Record.Progress.Attempts, func(a outbox.Attempt) bool { return !storable(a.At) }) {
				t.Fatalf("%q cannot be stored again: %v", payload, err)
			}
			return
		}
		same := readLetter(&asynq.TaskInfo{ID: "a.1", Payload: again})
		if len(read.History) == 0 {
			same.History, read.History = nil, nil // an empty list is not stored
		}
		if !reflect.DeepEqual(same, read) {
			t.Fatalf("%q became %q: %#v and %#v", payload, again, read, same)
		}
	})
}

// storable reports whether a time can be JSON.
func storable(at time.Time) bool {
	_, err := at.MarshalJSON()
	return err == nil
}
