package doctor

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// FuzzParseCookie compares with net/http: a Set-Cookie that both read has one
// name and one value.
func FuzzParseCookie(f *testing.F) {
	for _, line := range []string{
		"", "a=b", "__Host-clkid=abc; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Lax", "a=b; Domain=.example.com; Expires=Wed, 21 Oct 2026 07:28:00 GMT",
		"a=b; Max-Age=-1", "a=b; Max-Age=99999999999999999999", "a=b; max-age=x; path", "=b", "a", "a=b\x00; Path=/", "a=b;;;=;", `a="b"`, "a=b; SameSite=none; Partitioned",
	} {
		f.Add(line)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	site := &url.URL{Scheme: "https", Host: "shop.example", Path: "/"}
	f.Fuzz(func(t *testing.T, line string) {
		c := parseCookie(line, now)
		_, _ = c.refusal(site), c.describe()
		standard, err := http.ParseSetCookie(line)
		if err != nil || c.malformed != "" || standard.Quoted {
			return
		}
		if c.name != standard.Name || c.value != strings.Trim(standard.Value, " \t") { // browsers trim, RFC 6265bis
			t.Fatalf("%q gives %q=%q, net/http reads %q=%q", line, c.name, c.value, standard.Name, standard.Value)
		}
	})
}

// FuzzParsePage reads pages as doctor does: whatever a site serves, the forms and
// their hidden fields are limited.
func FuzzParsePage(f *testing.F) {
	for _, body := range []string{"", "<a href=/x>", `<meta http-equiv=refresh content="0;url=/y">`, "<script>location.href='/z'</script>", "<base href=//evil.example><a href=x>", "<!--", "<svg><style><a href=", "\x00<a href=\"\x00\">", "<form method=post action=?>"} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		p := parsePage(body)
		if len(p.forms) > maxForms {
			t.Fatalf("%d forms", len(p.forms))
		}
		for _, f := range p.forms {
			if len(f.hidden) > maxForms {
				t.Fatalf("%d hidden fields", len(f.hidden))
			}
		}
	})
}
