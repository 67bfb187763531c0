package firstof_test

import (
	"strings"
	"testing"

	"github.com/clickid/clickid/internal/firstof"
)

// FuzzIndex compares with a map.
func FuzzIndex(f *testing.F) {
	f.Add("a b a c b a")
	f.Add("")
	f.Add(strings.Repeat("x y ", 300))
	f.Fuzz(func(t *testing.T, s string) {
		texts := strings.Split(s, " ")
		index, known := firstof.New(len(texts)), make(map[string]int)
		for i, text := range texts {
			want, ok := known[text]
			if !ok {
				want, known[text] = i, i
			}
			if got := index.Add(i, text, func(position int) string { return texts[position] }); got != want {
				t.Fatalf("the first %q is at %d, not at %d", text, got, want)
			}
		}
	})
}
