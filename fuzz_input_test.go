package clickid

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/clickid/clickid/internal/e164"
)

// These tests fuzz what operators configure and users type.

// FuzzConfig makes trackers of any configuration, of which each accepted one must
// set a cookie that net/http reads.
func FuzzConfig(f *testing.F) {
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", MinCookieKeyLength)))
	for _, s := range [][5]string{
		{"", "", "", "clkid", key}, {"click", "example.com", "www.example.com", "gclid", key + "\n"}, {"__Host-x", ".example.com", "example.com:443", "a=b", ""},
		{"a;b", "co.uk", "[::1]", "a b", "AAAA"}, {"c", "xn--bcher-kva.example", "XN--BCHER-KVA.example", "~", "****"},
		{"a\r\nb", "a..example", "http://example.com", strings.Repeat("p", 65), strings.Repeat("A", 44)}, {"ü", "127.0.0.1", "é", "ｃ", key[1:]},
	} {
		f.Add(s[0], s[1], s[2], s[3], s[4])
	}
	store := fuzzStore(f, "1")
	f.Fuzz(func(t *testing.T, name, domain, host, param, key string) {
		if k, err := ParseCookieKey(key); err == nil && (len(k) < MinCookieKeyLength || strings.Trim(string(k), "\x00") == "") {
			t.Fatalf("%q is a key of %d bytes", key, len(k))
		} else if err != nil && len(key) > 4 && strings.Contains(err.Error(), key) {
			t.Fatalf("the error repeats the key: %v", err)
		}
		cfg := Config{Store: store, Params: []string{param}, Cookie: Cookie{Name: name, Domain: domain}}
		visited := "shop.example"
		if domain != "" {
			visited = "www." + domain
		}
		if host != "" {
			cfg.Hosts, visited = []string{host}, host
		}
		tracker, err := New(cfg)
		if err != nil {
			if tracker != nil {
				t.Fatal("an error and a tracker")
			}
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "clickid: ") {
					t.Fatalf("%q names no package", line)
				}
			}
			return
		}
		tracker.now = store.now
		r := httptest.NewRequest(http.MethodGet, "/?"+param+"=abc", nil)
		r.Host = visited
		w := httptest.NewRecorder()
		tracker.Capture(w, r)
		lines := w.Header()["Set-Cookie"]
		if len(lines) != 1 {
			t.Fatalf("the cookie %q of %q for %q has the lines %q", name, domain, visited, lines)
		}
		cookie, err := http.ParseSetCookie(lines[0])
		if err != nil {
			t.Fatal(err)
		}
		prefix := "__Host-"
		if domain != "" {
			prefix = "__Secure-"
		}
		if cookie.Name != tracker.jar.name || !strings.HasPrefix(cookie.Name, prefix) || cookie.Domain != domain || !cookie.Secure || !cookie.HttpOnly || cookie.Path != "/" {
			t.Fatalf("the cookie %q of %q became %v", name, domain, cookie)
		}
		next := httptest.NewRequest(http.MethodGet, "/", nil)
		next.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
		if c, ok := FromContext(tracker.Capture(httptest.NewRecorder(), next).Context()); !ok || c.ID != "abc" || c.Param != param {
			t.Fatalf("%q does not give the click back", lines[0])
		}
	})
}

var (
	hashForm  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	phoneForm = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
)

// FuzzHash hashes what people type. Each text has one hash in all its spellings.
func FuzzHash(f *testing.F) {
	for _, raw := range []string{
		"", " Jane@Example.com ", "<jane@example.com>", "mailto:jane@example.com", "jane\u200b@example.com", "a@b@c", "+49 (0) 30 1234567", "+390612345678",
		"+1 (212) 555-0000 ext. 5", "+٤٩", "０１２", "O'Brien-Smith", "10001-1234", "\xff", "\ufffd", hashOfNothing, "Straße", "İ", "\u202e1",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		for name, hashed := range map[string]func(string) (string, error){
			"HashEmail": HashEmail, "HashPhone": HashPhone, "HashCustomerID": HashCustomerID, "HashName": HashName,
		} {
			sum, err := hashed(raw)
			if err != nil {
				if sum != "" || !strings.HasPrefix(err.Error(), "clickid: hashing ") {
					t.Fatalf("%s of %q: %q, %v", name, raw, sum, err)
				}
				continue
			}
			if !hashForm.MatchString(sum) || sum == hashOfNothing {
				t.Fatalf("%s of %q is %s", name, raw, sum)
			}
			if again, err := hashed("\t" + raw + "\u200b "); err != nil || again != sum {
				t.Fatalf("%s of %q in white space: %q, %v", name, raw, again, err)
			}
			if again, err := hashed(strings.ToLower(raw)); err != nil || again != sum {
				t.Fatalf("%s of %q in lower case: %q, %v", name, raw, again, err)
			}
			if _, err := hashed(sum); err == nil {
				t.Fatalf("%s hashes a hash", name)
			}
		}
		number, problem := e164.Number(raw)
		if (problem == "") != phoneForm.MatchString(number) {
			t.Fatalf("the number of %q is %q: %s", raw, number, problem)
		}
		if problem == "" {
			if again, problem := e164.Number(number); again != number {
				t.Fatalf("%q became %q: %s", number, again, problem)
			}
		}
	})
}
