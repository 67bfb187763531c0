package sources_test

import (
	"bytes"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/clickid/clickid/cmd/clickid/internal/sources"
	"github.com/clickid/clickid/interchange"
)

// FuzzRead reads files of event sources. A file that can be read is the same
// after it is written, and sources that the platform has registered as in the
// file have no differences.
func FuzzRead(f *testing.F) {
	for _, file := range []string{
		"", "null", "[]", "event_sources:", "event_sources: []", "event_sources:\n  - id: web\n    name: Web shop\n    event_types: [purchase, lead]\n    mapping:\n      order_id: number\n",
		`{"event_sources":[{"id":"web"}]}`, "event_sources: [{id: web}, {id: web}]", "event_sources: [{id: 1e3}]", "event_sources: [{id: ~}]", "event_sources: [{id: a, nme: b}]",
		"a: &a [*a]", "event_sources: &a\n  - id: b\n    event_types: *a\n", "event_sources: [{id: !!binary YQ==}]", "event_sources: [{id: \"\\x1b[2J\"}]", "event_sources: [{id: a, mapping: {}}]",
		"event_sources: [{id: a, mapping: {user_match: [\"\", b]}, value_currencies: [EUR]}]", "%YAML 9\n---\n", "---\nevent_sources: [{id: a}]\n---\nx", "event_sources: [{<<: {id: a}}]", "\xff\xfe",
	} {
		f.Add([]byte(file))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		wanted, err := sources.Read(bytes.NewReader(file))
		if err != nil {
			return
		}
		var registered []interchange.RegisteredSource
		for _, w := range wanted {
			if w.ID == "" {
				t.Fatalf("%q has a source without an ID", file)
			}
			if !utf8.ValidString(w.ID) {
				return
			}
			registered = append(registered, interchange.RegisteredSource{EventSource: w})
		}
		if differences := sources.Compare(wanted, registered); sources.Changed(differences) || len(differences) != len(wanted) {
			t.Fatalf("%q differs from itself: %v", file, differences)
		}
		var written bytes.Buffer
		if err := sources.Write(&written, registered); err != nil {
			t.Fatalf("%q cannot be written: %v", file, err)
		}
		if bytes.ContainsRune(written.Bytes(), '\x1b') {
			t.Fatalf("%q writes a control character: %q", file, &written)
		}
		again, err := sources.Read(&written)
		if err != nil {
			t.Fatalf("%q cannot be read after it was written: %v", file, err)
		}
		if len(again) != len(wanted) || sources.Changed(sources.Compare(again, registered)) {
			t.Fatalf("%q became %q", file, &written)
		}
		for i := range again {
			if again[i].ID != wanted[i].ID || !reflect.DeepEqual(again[i].Mapping, wanted[i].Mapping) && again[i].Mapping != nil && wanted[i].Mapping != nil && len(wanted[i].Mapping.UserMatchFields) > 0 {
				t.Fatalf("%q: %v became %v", file, wanted[i], again[i])
			}
		}
	})
}
