package doctor

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func parseURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	require.NoError(t, err)
	return u
}

func TestJar_store(t *testing.T) {
	t.Parallel()
	for line, row := range map[string]struct{ url, refusal string }{
		"a=1":                        {"http://shop.example/", ""},
		"a=1; Domain=shop.example":   {"https://www.shop.example/", ""},
		"a=1; domain=.SHOP.example":  {"https://www.shop.example/", ""},
		"a=1; Domain=other.example":  {"https://shop.example/", "Domain=other.example does not cover the host shop.example"},
		"a=1; Domain=op.example":     {"https://shop.example/", "Domain=op.example does not cover the host shop.example"},
		"a=1; Domain=co.uk":          {"https://shop.co.uk/", "Domain=co.uk is a public suffix"},
		"a=1; Domain=github.io":      {"https://github.io/", ""},
		"a=1; Domain=0.0.1":          {"http://127.0.0.1/", "Domain=0.0.1 does not cover the host 127.0.0.1"},
		"a=1; Domain=127.0.0.1":      {"http://127.0.0.1/", ""},
		"a=1; Secure":                {"http://shop.example/", "it is secure, and the page uses plain HTTP"},
		"b=1; Secure":                {"http://127.0.0.1:8080/", ""},
		"c=1; Secure":                {"http://shop.localhost/", ""},
		"__Host-a=1; Secure; Path=/": {"https://shop.example/", ""},
		"__host-a=1; Secure":         {"https://shop.example/", "the prefix __Host- requires Secure, Path=/ and no Domain"},
		"__Host-a=1; Path=/":         {"https://shop.example/", "the prefix __Host- requires Secure, Path=/ and no Domain"},
		"__Host-a=1; Secure; Path=/; Domain=shop.example": {"https://shop.example/", "the prefix __Host- requires Secure, Path=/ and no Domain"},
		"__Secure-a=1":       {"https://shop.example/", "the prefix __Secure- requires Secure"},
		"a=1; SameSite=None": {"https://shop.example/", "SameSite=None requires Secure"},
		"a=1\x00":            {"https://shop.example/", "it contains control characters"},
		"a=" + strings.Repeat("x", maxCookieSize):                {"https://shop.example/", "it is longer than 4096 bytes"},
		"a=1; Domain=" + strings.Repeat("x", maxAttributeSize+1): {"https://shop.example/", ""},
	} {
		var j jar
		require.Equal(t, row.refusal, j.store(parseURL(t, row.url), parseCookie(line, time.Now()), time.Now()), line)
		require.Equal(t, row.refusal == "", len(j.cookies) == 1, line)
	}
}

func TestJar_sent(t *testing.T) {
	t.Parallel()
	const (
		fromSite = 1 << iota
		navigates
	)
	for name, row := range map[string]struct {
		from, line, to string
		request        int
		sent           bool
	}{
		"same host":            {"https://shop.example/a/b", "a=1; Path=/", "https://shop.example/", navigates, true},
		"other port":           {"https://shop.example/", "a=1", "https://shop.example:8443/", navigates, true},
		"subdomain":            {"https://shop.example/", "a=1", "https://www.shop.example/", navigates, false},
		"domain":               {"https://shop.example/", "a=1; Domain=shop.example", "https://www.shop.example/", navigates, true},
		"similar host":         {"https://shop.example/", "a=1; Domain=shop.example", "https://myshop.example/", navigates, false},
		"default path":         {"https://shop.example/a/b", "a=1", "https://shop.example/a/c", navigates, true},
		"above default path":   {"https://shop.example/a/b", "a=1", "https://shop.example/", navigates, false},
		"similar path":         {"https://shop.example/", "a=1; Path=/shop", "https://shop.example/shopping", navigates, false},
		"secure to plain HTTP": {"https://shop.example/", "a=1; Secure", "http://shop.example/", navigates, false},
		"plain to HTTPS":       {"http://shop.example/", "a=1", "https://shop.example/", navigates, true},
		"lax, cross-site POST": {"https://shop.example/", "a=1; SameSite=Lax", "https://shop.example/", 0, false},
		"lax, same-site POST":  {"https://shop.example/", "a=1; SameSite=Lax", "https://shop.example/", fromSite, true},
		"strict, cross-site":   {"https://shop.example/", "a=1; SameSite=Strict", "https://shop.example/", navigates, false},
		"strict, same site":    {"https://shop.example/", "a=1; SameSite=Strict", "https://shop.example/", navigates | fromSite, true},
		"none, cross-site":     {"https://shop.example/", "a=1; SameSite=None; Secure", "https://shop.example/", 0, true},
		"Max-Age and Expires":  {"https://shop.example/", "a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "https://shop.example/", navigates, true},
		"expired":              {"https://shop.example/", "a=1; Expires=Thu, 01-Jan-1970 00:00:00 GMT", "https://shop.example/", navigates, false},
	} {
		var j jar
		now := time.Now()
		require.Empty(t, j.store(parseURL(t, row.from), parseCookie(row.line, now), now), name)
		got := j.sent(parseURL(t, row.to), now, row.request&fromSite != 0, row.request&navigates != 0)
		require.Equal(t, row.sent, len(got) == 1, name)
	}
}

func TestJar_replace(t *testing.T) {
	t.Parallel()
	var j jar
	now := time.Now()
	store := func(u, line string) string { return j.store(parseURL(t, u), parseCookie(line, now), now) }
	require.Empty(t, store("https://shop.example/", "a=1; Secure"))
	require.Empty(t, store("https://shop.example/", "a=2; Secure"))
	require.Equal(t, "plain HTTP must not replace a secure cookie", store("http://shop.example/", "a=3"))
	require.Len(t, j.cookies, 1)
	require.Equal(t, "2", j.cookies[0].value)
	require.Empty(t, store("https://shop.example/", "a=4; Path=/longer"))
	sent := j.sent(parseURL(t, "https://shop.example/longer"), now, true, true)
	require.Equal(t, []string{"4", "2"}, []string{sent[0].value, sent[1].value})
	require.Empty(t, store("https://shop.example/", "a=; Max-Age=-1"))
	require.Len(t, j.cookies, 1)
}

func TestParsePage(t *testing.T) {
	t.Parallel()
	p := parsePage(`<noscript><meta http-equiv=refresh content="0;url=/no"></noscript>
		<META name=Referrer content=origin><form><input type=hidden name=x></form>
		<form method=POST action=/pay?a=1&amp;b=2><input type=hidden name=csrf value="1&quot;"><input name=y></form><input type=hidden name=z>`)
	require.Equal(t, page{referrer: "origin", forms: []form{{"/pay?a=1&b=2", [][2]string{{"csrf", `1"`}}}}}, p)
	for content, want := range map[string]string{
		"0; url=/en": "/en", "0;URL='/en'": "/en", "0.0; url=/en": "/en", "5; url=/en": "", "0": "", "0; /en": "", "": "",
	} {
		require.Equal(t, want, refreshTarget(content), content)
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"ü \"quoted\" \\ path":   "ü \"quoted\" \\ path",
		"\x1b[31m\r\n\u202e\x9b": `\x1b[31m\r\n\u202e\x9b`,
	} {
		require.Equal(t, want, printable(s))
	}
	require.LessOrEqual(t, len(printable(strings.Repeat("ü", 1000))), maxSeen+len("…"))
}
