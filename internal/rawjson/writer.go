package rawjson

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/clickid/clickid/internal/text"
)

// Writer writes JSON without reflection, in the form of [Encode]. It omits
// members without a value, like omitempty. The elements of arrays have no name.
// Names are written as they are, without escapes. The zero value is ready.
type Writer struct{ buf []byte }

// firstBuffer is about the size of an event, in bytes.
const firstBuffer = 512

// Bytes returns the written JSON. It is valid until the next call of Reset or Take.
func (w *Writer) Bytes() []byte { return w.buf }

// Reset starts a new value in the same memory.
func (w *Writer) Reset() { w.buf = w.buf[:0] }

// maxBlock is the size, in bytes, of the memory that many values share.
const maxBlock = 64 << 10

// Take returns the written JSON, which stays valid, and starts a new value behind
// it. more is the number of values that follow, if they are known: values of
// about the same size share their memory.
func (w *Writer) Take(more int) []byte {
	size := len(w.buf)
	taken := w.buf[:size:size]
	w.buf = w.buf[size:]
	if room := size + size/4; cap(w.buf) < room && more > 0 {
		w.buf = make([]byte, 0, max(room, min(more*room, maxBlock)))
	}
	return taken
}

// begin writes the comma and the name of a member.
func (w *Writer) begin(name string) {
	w.separate()
	if name != "" {
		w.buf = append(w.buf, '"')
		w.buf = append(w.buf, name...)
		w.buf = append(w.buf, '"', ':')
	}
}

// separate writes a comma, except before the first member or element.
func (w *Writer) separate() {
	if n := len(w.buf); n > 0 && w.buf[n-1] != '{' && w.buf[n-1] != '[' {
		w.buf = append(w.buf, ',')
	}
}

// Object writes an object with the members that members writes, if any.
func (w *Writer) Object(name string, members func()) { w.enclose(name, '{', '}', members) }

// Array writes an array with the elements that elements writes, if any.
func (w *Writer) Array(name string, elements func()) { w.enclose(name, '[', ']', elements) }

func (w *Writer) enclose(name string, left, right byte, content func()) {
	if w.buf == nil {
		w.buf = make([]byte, 0, firstBuffer)
	}
	start := len(w.buf)
	w.begin(name)
	w.buf = append(w.buf, left)
	empty := len(w.buf)
	if content(); len(w.buf) == empty {
		w.buf = w.buf[:start]
		return
	}
	w.buf = append(w.buf, right)
}

// Text writes a string that is not empty.
func (w *Writer) Text(name, value string) {
	if value != "" {
		w.begin(name)
		w.buf = AppendString(w.buf, value)
	}
}

// Number writes a number in the form of [json.Number] that is not empty.
func (w *Writer) Number(name, value string) {
	if value != "" {
		w.begin(name)
		w.buf = append(w.buf, value...)
	}
}

// Int writes an integer, also 0.
func (w *Writer) Int(name string, value int64) {
	w.begin(name)
	w.buf = strconv.AppendInt(w.buf, value, 10)
}

// True writes true.
func (w *Writer) True(name string, value bool) {
	if value {
		w.begin(name)
		w.buf = append(w.buf, "true"...)
	}
}

// Time writes a time in seconds of UTC (RFC 3339).
func (w *Writer) Time(name string, value time.Time) {
	w.begin(name)
	w.buf = append(w.buf, '"')
	w.buf = value.UTC().AppendFormat(w.buf, time.RFC3339)
	w.buf = append(w.buf, '"')
}

// Raw writes a [json.RawMessage].
func (w *Writer) Raw(name string, value any) {
	if encoded, ok := value.(json.RawMessage); ok {
		w.begin(name)
		w.buf = append(w.buf, encoded...)
	}
}

// Sorted writes the members of names and of others in the order of their names.
// own is called with each name. Where it writes nothing, the member of others is
// written, a [json.RawMessage] with any name.
func (w *Writer) Sorted(names []string, own func(name string), others map[string]any) {
	if len(others) > 0 {
		all := make([]string, 0, len(names)+len(others))
		all = append(all, names...)
		for name := range others {
			all = append(all, name)
		}
		slices.Sort(all)
		names = slices.Compact(all)
	}
	for _, name := range names {
		start := len(w.buf)
		if own(name); len(w.buf) > start {
			continue
		}
		if encoded, ok := others[name].(json.RawMessage); ok {
			w.separate()
			w.buf = append(AppendString(w.buf, name), ':')
			w.buf = append(w.buf, encoded...)
		}
	}
}

// AppendString appends s as a JSON string.
func AppendString(dst []byte, s string) []byte {
	if text.Classes(s)&(text.Quote|text.Other) != 0 {
		encoded, _ := Encode(s) // a string always encodes
		return append(dst, encoded...)
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}
