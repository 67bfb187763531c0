package capture_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/bench/internal/ratio"
)

// land returns the Cookie header of a visitor who has landed.
func land(tb testing.TB, p peer) string {
	tb.Helper()
	w := httptest.NewRecorder()
	p.landing.ServeHTTP(w, parsed(tb, request("/?clkid="+clickID)))
	cookies := w.Result().Cookies()
	if len(cookies) != 1 {
		tb.Fatalf("%s has set the cookies %v", p.name, cookies)
	}
	return "Cookie: session=0123456789abcdef; " + cookies[0].Name + "=" + cookies[0].Value
}

// TestPeers_equal compares the peers: each has the cookie and the click of the
// tracker.
func TestPeers_equal(t *testing.T) {
	for _, p := range []peer{tracked(t, "cookie", cookieStore(t)), tracked(t, "memory", clickid.NewMemoryStore()), gorilla(), scsMemory()} {
		t.Run(p.name, func(t *testing.T) {
			began := time.Now().Truncate(time.Second)
			w := httptest.NewRecorder()
			p.landing.ServeHTTP(w, parsed(t, request("/?clkid="+clickID)))
			response := w.Result()
			if got := response.Header.Get("Cdn-Cache-Control"); got != "no-store" {
				t.Errorf("CDN-Cache-Control is %q", got)
			}
			c := response.Cookies()[0]
			lasting := int(ttl / time.Second)
			if c.Name != cookieName || c.Path != "/" || c.Domain != "" || !c.Secure || !c.HttpOnly ||
				c.SameSite != http.SameSiteLaxMode || c.MaxAge < lasting || c.MaxAge > lasting+1 {
				t.Errorf("the cookie is %v", c)
			}

			var got clickid.Click
			h := p.reading(func(c clickid.Click) { got = c })
			h.ServeHTTP(httptest.NewRecorder(), parsed(t, request("/checkout", "Cookie: "+c.Name+"="+c.Value)))
			if got.ID != clickID || got.Param != "clkid" || got.At.Before(began) || got.Expires != got.At.Add(ttl) {
				t.Errorf("the page reads %+v", got)
			}
		})
	}
}

// variants measures the handlers of peers, called with or without a network.
func variants(b *testing.B, call func(testing.TB, string, http.Handler, string) ratio.Variant, request string, peers ...peer) (all []ratio.Variant) {
	for _, p := range peers {
		all = append(all, call(b, p.name, p.page, request))
	}
	return all
}

// BenchmarkPage is what nearly all requests of a site are: a page without a
// click.
func BenchmarkPage(b *testing.B) {
	for _, way := range []struct {
		name string
		call func(testing.TB, string, http.Handler, string) ratio.Variant
	}{{"HTTP", overHTTP}, {"direct", direct}} {
		for _, tt := range []struct{ name, request string }{
			{"no query", request("/shop")},
			{"UTM and five cookies", request("/shop"+utmQuery, fiveCookies)},
		} {
			peers := []peer{{name: "bare", page: page}, tracked(b, "clickid", cookieStore(b)), gorilla(), scsMemory(), {name: "otelhttp", page: traced}}
			b.Run(way.name+", "+tt.name, func(b *testing.B) { ratio.Compare(b, variants(b, way.call, tt.request, peers...)...) })
		}
	}
}

// BenchmarkPageWithClick is a page of a visitor with a click, which does not
// need it. A page with gorilla/sessions, which has no middleware, costs as much
// as the bare one.
func BenchmarkPageWithClick(b *testing.B) {
	all := []ratio.Variant{direct(b, "bare", page, request("/shop"))}
	for _, p := range []peer{tracked(b, "clickid, cookie", cookieStore(b)), tracked(b, "clickid, memory", clickid.NewMemoryStore()), scsMemory()} {
		all = append(all, direct(b, p.name, p.page, request("/shop", land(b, p))))
	}
	ratio.Compare(b, all...)
}

// BenchmarkLanding is the page on which a click arrives, once for each visitor.
func BenchmarkLanding(b *testing.B) {
	landing := request("/?clkid="+clickID+"&utm_source=scope3", fiveCookies)
	b.Run("HTTP", func(b *testing.B) {
		ratio.Compare(b,
			overHTTP(b, "gorilla/sessions", gorilla().landing, landing),
			overHTTP(b, "clickid, cookie", tracked(b, "", cookieStore(b)).landing, landing),
			overHTTP(b, "bare", page, landing),
		)
	})
	b.Run("direct", func(b *testing.B) {
		ratio.Compare(b,
			direct(b, "gorilla/sessions", gorilla().landing, landing),
			direct(b, "clickid, cookie", tracked(b, "", cookieStore(b)).landing, landing),
			restarted(b, "scs, memory", func() http.Handler { return scsMemory().landing }, landing),
			restarted(b, "clickid, memory", func() http.Handler { return tracked(b, "", clickid.NewMemoryStore()).landing }, landing),
		)
	})
}

// BenchmarkClick is a page that reads the visitor's click, or only its token.
func BenchmarkClick(b *testing.B) {
	cookie := tracked(b, "clickid, cookie", cookieStore(b))
	onlyToken := cookie
	onlyToken.name = "clickid, cookie, token"
	onlyToken.reading = func(found func(clickid.Click)) http.Handler {
		return newTracker(b, cookieStore(b)).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if _, ok := clickid.Token(r.Context()); ok {
				found(clickid.Click{})
			}
		}))
	}
	var all []ratio.Variant
	for _, p := range []peer{gorilla(), cookie, onlyToken, scsMemory(), tracked(b, "clickid, memory", clickid.NewMemoryStore())} {
		reads := 0
		reading := direct(b, p.name, p.reading(func(clickid.Click) { reads++ }), request("/checkout", land(b, p)))
		all = append(all, ratio.Variant{Name: p.name, Run: func(n int) {
			reads = 0
			if reading.Run(n); reads != n {
				b.Fatalf("%s: %d of %d pages had the click", p.name, reads, n)
			}
		}})
	}
	ratio.Compare(b, all...)
}

// BenchmarkGrowth is a page without a click whose request grows.
func BenchmarkGrowth(b *testing.B) {
	for _, p := range []peer{tracked(b, "clickid", cookieStore(b)), gorilla()} {
		var all []ratio.Variant
		for _, count := range []int{1, 10, 50} {
			cookies := make([]string, count)
			for i := range cookies {
				cookies[i] = fmt.Sprintf("preference%d=0123456789abcdef", i)
			}
			all = append(all, direct(b, fmt.Sprintf("cookies: %d", count), p.page, request("/shop", "Cookie: "+strings.Join(cookies, "; "))))
		}
		all = append(all,
			direct(b, "query of 8 KB", p.page, request("/shop?"+strings.Repeat("filter=shoes&", 8<<10/13))),
			direct(b, "cookie of 8 KB", p.page, request("/shop", "Cookie: cart="+strings.Repeat("x", 8<<10))),
			direct(b, "Referer of 8 KB", p.page, request("/shop", "Referer: https://shop.example/list?"+strings.Repeat("filter=shoes&", 8<<10/13))),
		)
		b.Run(p.name, func(b *testing.B) { ratio.Compare(b, all...) })
	}
}

// BenchmarkFlood serves requests of one MiB that consist of separators, and prints
// the ratios of CPU time. The bare handler reads neither cookies nor the query.
func BenchmarkFlood(b *testing.B) {
	const size = 1 << 20
	table := ratio.NewTable("Flood", 1, "one MiB of", "clickid ÷ bare", "gorilla/sessions ÷ bare")
	for _, tt := range []struct{ name, request string }{
		{"cookie of semicolons", request("/", "Cookie: "+strings.Repeat(";", size))},
		{"cookie of names", request("/", "Cookie: "+strings.Repeat("__Host-clkid=;", size/14))},
		{"query of ampersands", request("/?" + strings.Repeat("&", size))},
		{"query of semicolons", request("/?" + strings.Repeat(";", size))},
		{"query of names", request("/?" + strings.Repeat("clkid=&", size/7))},
		{"Referer of ampersands", request("/", "Referer: https://shop.example/?"+strings.Repeat("&", size))},
	} {
		b.Run(tt.name, func(b *testing.B) {
			r := ratio.Measure(b, variants(b, overHTTP, tt.request, peer{name: "bare", page: page}, tracked(b, "clickid", cookieStore(b)), gorilla())...)
			table.Row(tt.name, r[1].CPUOver(r[0]), r[2].CPUOver(r[0]))
		})
	}
}
