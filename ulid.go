package clickid

import "time"

const ulidLength = 26

// IsULID reports whether id is a ULID: 26 characters of Crockford's base32
// (digits and letters without I, L, O, U, in either case) that fit 128 bits.
// Use it as [Config].Accept to refuse every other click ID.
func IsULID(id string) bool {
	_, ok := ulidTime(id)
	return ok
}

// ulidTime returns the time in the first ten characters of a ULID, which
// count milliseconds since the Unix epoch.
func ulidTime(id string) (time.Time, bool) {
	// The first character holds three bits: a larger one overflows.
	if len(id) != ulidLength || id[0] > '7' {
		return time.Time{}, false
	}
	var ms int64
	for i := 0; i < ulidLength; i++ {
		digit := crockford(id[i])
		if digit < 0 {
			return time.Time{}, false
		}
		if i < 10 {
			ms = ms<<5 | int64(digit)
		}
	}
	return time.UnixMilli(ms).UTC(), true
}

// crockford returns the value of one character of Crockford's base32, or -1.
func crockford(c byte) int {
	if 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
	}
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'H':
		return int(c-'A') + 10
	case c == 'J' || c == 'K':
		return int(c-'J') + 18
	case c == 'M' || c == 'N':
		return int(c-'M') + 20
	case 'P' <= c && c <= 'T':
		return int(c-'P') + 22
	case 'V' <= c && c <= 'Z':
		return int(c-'V') + 27
	}
	return -1
}
