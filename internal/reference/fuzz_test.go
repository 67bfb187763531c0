package reference

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

// FuzzToken reads any text of a visitor as a token.
func FuzzToken(f *testing.F) {
	token, err := New(time.Unix(1_800_000_000, 0))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"", token, token + "=", token[:35], token[:35] + "\n", strings.ToLower(token), strings.Repeat("A", size), "MTgwMDAwMDAwMHw", "LTgwMDAwMDAwMHw"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		issued, ok := Issued(token)
		if ok && (issued.Unix() < 0 || issued.Unix() >= 1e10) || !ok && !issued.IsZero() {
			t.Fatalf("%q was issued at %v", token, issued)
		}
		if !Valid(token) {
			return
		}
		decoded, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || base64.RawURLEncoding.EncodeToString(decoded) != token || len(decoded) != size || !ok {
			t.Fatalf("%q is valid: %q, %v", token, decoded, err)
		}
	})
}
