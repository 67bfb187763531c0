package punycode_test

import (
	"testing"

	"github.com/clickid/clickid/internal/punycode"
	"golang.org/x/net/idna"
)

// FuzzHost compares with golang.org/x/net/idna, whose tables the root module does
// without. A name that Host encodes is one that browsers resolve, and means the
// same host.
func FuzzHost(f *testing.F) {
	for _, name := range []string{"example.com", "müller.example", "例え.テスト", "straße.example", "ÅNGSTRÖM.example", "xn--mller-kva.example", "a..b", "-a.example", "é\u0301.example", "\u202e.example", "１２３.example"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		ascii, ok := punycode.Host(name)
		if !ok {
			return
		}
		for i := range len(ascii) {
			if ascii[i] <= ' ' || ascii[i] >= 0x7f {
				t.Fatalf("%q became %q", name, ascii)
			}
		}
		for i := range len(name) {
			if name[i] >= 0x80 { // else nothing was encoded
				if want, err := idna.Lookup.ToASCII(name); err == nil && want != ascii {
					t.Fatalf("%q became %q, want %q", name, ascii, want)
				}
				break
			}
		}
		if again, ok := punycode.Host(ascii); !ok || again != ascii {
			t.Fatalf("%q became %q: %v", ascii, again, ok)
		}
	})
}
