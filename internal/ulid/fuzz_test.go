package ulid_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/clickid/clickid/internal/ulid"
)

var form = regexp.MustCompile(`^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$`)

// FuzzTime compares with the grammar. A valid ULID has a time, which its case
// does not change, and which orders as its text does.
func FuzzTime(f *testing.F) {
	for _, id := range []string{"", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "01arz3ndektsv4rrffq69g5fav", "7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "01ARZ3NDEKTSV4RRFFQ69G5FAU", "01ARZ3NDEKTSV4RRFFQ69G5FA\u212a"} {
		f.Add(id, "00000000000000000000000000")
	}
	f.Fuzz(func(t *testing.T, id, other string) {
		at, ok := ulid.Time(id)
		if valid := ulid.Valid(id); ok != valid || valid != form.MatchString(id) {
			t.Fatalf("%q: %v, %v", id, valid, ok)
		}
		otherAt, otherOK := ulid.Time(other)
		if !ok || !otherOK {
			return
		}
		if lower, _ := ulid.Time(strings.ToLower(id)); !lower.Equal(at) {
			t.Fatalf("%q is at %v, in lower case at %v", id, at, lower)
		}
		if strings.Compare(strings.ToUpper(id[:10]), strings.ToUpper(other[:10])) != at.Compare(otherAt) {
			t.Fatalf("%q and %q: %v, %v", id, other, at, otherAt)
		}
	})
}
