package capi

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"
)

// FuzzBody compares the body, read in parts of any size, with the join of its
// events.
func FuzzBody(f *testing.F) {
	f.Add([]byte(`{"a":1}|{"b":2}|`), uint8(3))
	f.Add([]byte(`{}`), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, part uint8) {
		events := bytes.Split(data, []byte("|"))
		for _, frame := range []*body{LogEvent{EventSourceID: "shop"}.frame(), ECAPI{}.frame()} {
			c := &Client{cfg: Config{Dialect: LogEvent{EventSourceID: "shop"}, APIKey: "key"}}
			if frame.head == nil {
				c.cfg.Dialect = ECAPI{}
			}
			var batch []*outgoing
			for _, event := range events {
				batch = append(batch, &outgoing{wireEvent: wireEvent{data: event}})
			}
			b := c.requestOf(batch)
			want := append(append(bytes.Clone(b.head), bytes.Join(events, comma)...), b.tail...)
			got, err := io.ReadAll(b.reader())
			if err != nil || !bytes.Equal(got, want) || b.size != len(want) {
				t.Errorf("the body of %d bytes is %q, not %q: %v", b.size, got, want, err)
			}
			var parts bytes.Buffer
			if _, err := io.CopyBuffer(struct{ io.Writer }{&parts}, b.reader(), make([]byte, 1+int(part))); err != nil || !bytes.Equal(parts.Bytes(), want) {
				t.Errorf("in parts, the body is %q, not %q: %v", parts.Bytes(), want, err)
			}
			if err := iotest.TestReader(b.reader(), want); err != nil {
				t.Error(err)
			}
		}
	})
}
