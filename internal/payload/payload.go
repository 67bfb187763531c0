// Package payload encodes clicks in the form in which stores and cookies keep
// them.
package payload

import (
	"encoding/binary"
	"slices"
	"time"
)

// Click has the fields of a clickid.Click.
type Click struct {
	ID, Param                   string
	At, Expires                 time.Time
	LandingIP, LandingUserAgent string
}

// The first byte of a payload is its layout.
const (
	plain   = 1
	landing = 2 // with address and user agent of the landing
)

// Append appends a click to b: version, time of capture in seconds, lifetime in
// seconds, parameter, in the second layout address and user agent of the
// landing, and ID. Lengths precede all but the ID.
func Append(b []byte, c Click) []byte {
	b = slices.Grow(b, 20+len(c.Param)+len(c.LandingIP)+len(c.LandingUserAgent)+len(c.ID))
	parts := [...]string{c.Param, c.LandingIP, c.LandingUserAgent}
	version, n := byte(plain), 1
	if c.LandingIP != "" || c.LandingUserAgent != "" {
		version, n = landing, len(parts)
	}
	b = append(b, version)
	b = binary.AppendVarint(b, c.At.Unix())
	b = binary.AppendVarint(b, c.Expires.Unix()-c.At.Unix())
	for _, part := range parts[:n] {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return append(b, c.ID...)
}

// Decode decodes the result of Append.
func Decode(b []byte) (c Click, ok bool) {
	if len(b) == 0 || b[0] != plain && b[0] != landing {
		return Click{}, false
	}
	parts := [...]*string{&c.Param, &c.LandingIP, &c.LandingUserAgent}
	count := 1
	if b[0] == landing {
		count = len(parts)
	}
	at, n := binary.Varint(b[1:])
	lifetime, m := binary.Varint(b[1+max(n, 0):])
	if n <= 0 || m <= 0 {
		return Click{}, false
	}
	c.At, c.Expires = time.Unix(at, 0).UTC(), time.Unix(at+lifetime, 0).UTC()
	b = b[1+n+m:]
	text := string(b) // one allocation for all
	for _, part := range parts[:count] {
		length, n := binary.Uvarint(b)
		if n <= 0 || length > uint64(len(b)-n) {
			return Click{}, false
		}
		end := n + int(length)
		*part = text[n:end]
		b, text = b[end:], text[end:]
	}
	c.ID = text
	return c, true
}
