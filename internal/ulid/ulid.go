// Package ulid reads ULIDs.
package ulid

import "time"

// Length is the number of characters of a ULID.
const Length = 26

// Valid reports whether id is a ULID: 26 characters of Crockford's base32
// (digits and letters without I, L, O, U, in either case) that fit 128 bits.
func Valid(id string) bool {
	// The first character holds three bits: a larger one overflows.
	if len(id) != Length || id[0] > '7' {
		return false
	}
	for i := 0; i < Length; i++ {
		if values[id[i]] < 0 {
			return false
		}
	}
	return true
}

// Time returns the time in the first ten characters of a ULID, which count
// milliseconds since the Unix epoch. It reports false when id is not a ULID.
func Time(id string) (time.Time, bool) {
	if !Valid(id) {
		return time.Time{}, false
	}
	var ms int64
	for i := 0; i < 10; i++ {
		ms = ms<<5 | int64(values[id[i]])
	}
	return time.UnixMilli(ms).UTC(), true
}

// values holds the value of each character of Crockford's base32, and -1 for
// the others.
var values = func() (v [256]int8) {
	for i := range v {
		v[i] = -1
	}
	for i, c := range []byte("0123456789ABCDEFGHJKMNPQRSTVWXYZ") {
		v[c] = int8(i)
		if c >= 'A' {
			v[c+'a'-'A'] = int8(i)
		}
	}
	return v
}()
