package capi

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzSentURL checks what is sent of a page's URL: an absolute URL in ASCII as
// RFC 3986 has it, without credentials, without query unless it is kept, and the
// same after a second time.
func FuzzSentURL(f *testing.F) {
	for _, raw := range []string{
		"", "https://shop.example/a?b=c#d", "https://müller.example/ä?ö=ü#ß", "https://user:secret@shop.example/", "HTTP://SHOP.example:8080", "//shop.example/",
		"javascript:alert(1)", "https://shop.example/%zz", "https://shop.example/a b", "https://[::1%25eth0]/", "https://shop.example/\r\n", "https://shop.example/?e=anna%40example.com",
		"https://1.2.3.4/", "https://shop.example./", "https://shop.example:/", "https://shop.example:99999/", "https://shop.example/%2e%2e/", "https://sh op.example/", "https://shop.example?%",
	} {
		f.Add(raw, true)
		f.Add(raw, false)
	}
	f.Fuzz(func(t *testing.T, raw string, keep bool) {
		sent, warning := sentURL(raw, keep)
		if sent == "" {
			if raw != "" && warning == "" {
				t.Fatalf("%q was left out without a warning", raw)
			}
			return
		}
		u, err := url.Parse(sent)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || !keep && strings.ContainsAny(sent, "?#") {
			t.Fatalf("%q is sent as %q: %v", raw, sent, err)
		}
		for i := range len(sent) {
			if c := sent[i]; !isQuery(c) && strings.IndexByte("#%[]", c) < 0 {
				t.Fatalf("%q is sent as %q, with %q", raw, sent, c)
			}
		}
		if again, _ := sentURL(sent, keep); again != sent {
			t.Fatalf("%q is sent as %q, and that as %q", raw, sent, again)
		}
	})
}
