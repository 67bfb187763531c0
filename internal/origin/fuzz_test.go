package origin

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// FuzzTransport reads headers that a visitor can invent, and compares the host with
// that of net/url.
func FuzzTransport(f *testing.F) {
	for _, s := range [][3]string{
		{"", "", "shop.example"}, {"https", "", "shop.example:443"}, {" HTTPS , http", "proto=http", "SHOP.example."}, {"", `for=1.1.1.1;Proto="https", proto=http`, "[::1]:80"},
		{"http", "", "localhost"}, {"", "proto", "127.0.0.1"}, {"", ";;=;proto==", "[::1"}, {"\x00", "\xff", "a:b:c"}, {"", `proto=";"`, "b\u00fccher.example"}, {",", ",", "a]:1"},
	} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, protocol, forwarded, host string) {
		of := func(protocol, forwarded string) Transport {
			return TransportOf(&http.Request{Host: host, Header: http.Header{"X-Forwarded-Proto": {protocol}, "Forwarded": {forwarded}}})
		}
		got := of(protocol, forwarded)
		if protocol != "" && got != of(protocol, "") {
			t.Fatalf("%q: Forwarded decides although there is X-Forwarded-Proto", protocol)
		}
		if got != of(strings.ToUpper(protocol), strings.ToUpper(forwarded)) {
			t.Fatalf("%q, %q: case decides", protocol, forwarded)
		}
		if protocol != "" && got != of(protocol+", http", forwarded) || protocol == "" && got != of("", forwarded+", proto=http") {
			t.Fatalf("%q, %q: a proxy behind the first decides", protocol, forwarded)
		}
		if names := strings.ToLower(protocol + forwarded); got == Plain && !strings.Contains(names, "http") {
			t.Fatalf("%q, %q: plain without evidence", protocol, forwarded)
		} else if got == Secure && !strings.Contains(names, "https") && !Loopback(Hostname(host)) {
			t.Fatalf("%q, %q, %q: secure without evidence", protocol, forwarded, host)
		}
		name := Hostname(host)
		if u, err := url.Parse("https://" + host + "/"); err == nil && u.Host == host && u.User == nil && !strings.Contains(host, "%") && (strings.HasPrefix(host, "[") || !strings.ContainsAny(host, "[]")) {
			if want := strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")); name != want {
				t.Fatalf("the host of %q is %q and not %q", host, name, want)
			}
		}
		if DomainProblem(name) == "" {
			if cookie := (&http.Cookie{Name: "a", Value: "b", Domain: name}); cookie.Valid() != nil || !Covers(name, "www."+name) || Covers(name, "evil"+name) {
				t.Fatalf("a cookie cannot have the domain %q", name)
			}
		}
	})
}
