package punycode_test

import (
	"testing"

	"github.com/clickid/clickid/internal/punycode"
	"golang.org/x/net/idna"
)

// TestHost_characters compares every character beyond ASCII, behind others that
// could compose with it, with golang.org/x/net/idna.
func TestHost_characters(t *testing.T) {
	t.Parallel()
	encoded := 0
	for r := rune(0x80); r < 0x20000; r++ {
		for _, label := range []string{"a" + string(r), "न" + string(r), string(r) + string(r)} {
			ascii, ok := punycode.Host(label)
			if !ok {
				continue
			}
			encoded++
			if want, err := idna.Lookup.ToASCII(label); err == nil && want != ascii {
				t.Errorf("%q became %q, want %q", label, ascii, want)
			}
			if '\u3400' <= r && r <= '\ud7a3' {
				break // these do not compose
			}
		}
	}
	if encoded < 30_000 {
		t.Errorf("only %d names were encoded", encoded)
	}
}
