package doctor_test

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/cmd/clickid/internal/doctor"
	"github.com/stretchr/testify/require"
)

// sample is a site with the names of the findings that it must have.
type sample struct {
	want  string
	sites sites
	edits []func(*doctor.Config)
}

func from(t *testing.T, u string) func(*doctor.Config) {
	return func(c *doctor.Config) { c.URL = address(t, u) }
}

func insecure(c *clickid.Config) { c.Cookie.Insecure = true }

func brokenRedirects(t *testing.T) map[string]sample {
	plain, apex, www := "http://shop.example", "https://shop.example", "https://www.shop.example"
	return map[string]sample{
		"unknown host":            {"landing", sites{}, nil},
		"plain HTTP":              {"https cookie-secure cookie-prefix", sites{plain: healthy(t, insecure)}, []func(*doctor.Config){from(t, plain)}},
		"missing page":            {"status", one(tracked(t, http.NotFoundHandler())), nil},
		"loop":                    {"redirect-loop", one(redirect("/", true)), nil},
		"app":                     {"redirect-loop", one(redirect("shop:open", true)), nil},
		"language in front":       {"redirect-query", one(at("/", redirect("/en", false), healthy(t))), nil},
		"refresh to www":          {"redirect-host", sites{apex: page(`<meta http-equiv="refresh" content="0; url=https://www.shop.example/">`), www: healthy(t)}, nil},
		"refresh on the host":     {"prefetch-cache", one(at("/", page(`<meta http-equiv="refresh" content="0; url=/en">`), healthy(t))), nil},
		"refresh without Referer": {"redirect-query", one(at("/", page(`<meta name="referrer" content="origin"><meta http-equiv="refresh" content="0; url=/en">`), healthy(t))), nil},
		"apex to www":             {"redirect-host", sites{apex: tracked(t, redirect(www, false)), www: healthy(t)}, nil},
		"StripParam before www": {"redirect-host", sites{
			apex: tracked(t, redirect(www, true), func(c *clickid.Config) { c.StripParam = true }), www: healthy(t)}, nil},
		"HTTP to HTTPS": {"redirect-https", sites{plain: tracked(t, redirect(apex, false)), apex: healthy(t)}, []func(*doctor.Config){from(t, plain)}},
		"HTTPS to HTTP": {"https redirect-http cookie-refused", sites{apex: redirect(plain, true), plain: healthy(t)}, nil},
	}
}

func brokenCookies(t *testing.T) map[string]sample {
	page0 := page("")
	behindRedirect := func(e edit) sites {
		return one(behind(tracked(t, at("/a/", redirect("/b", false), page0)), nil, e))
	}
	other := func(h http.Header, r *http.Request) {
		adding("clkid="+rand.Text()+"; Path=/; Domain=shop.example; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure")(h, r)
	}
	return map[string]sample{
		"no tracker":          {"cookie", one(page0), nil},
		"no tracker, session": {"cookie", one(session(page0)), nil},
		"landing from cache":  {"cookie-late", one(landingCached(healthy(t))), nil},
		"timeout middleware":  {"cookie-replaced", one(tracked(t, http.TimeoutHandler(session(page0), time.Hour, ""))), nil},
		"slow":                {"status timeout", one(http.TimeoutHandler(tracked(t, hanging(t)), time.Nanosecond, "")), nil},
		"foreign domain":      {"cookie-refused cookie-prefix", shop(t, replacing("__Host-", "", "Path=/", "Path=/; Domain=other.example")), nil},
		"public suffix": {"cookie-refused cookie-prefix", sites{"https://shop.co.uk": shop(t, replacing("__Host-", "", "Path=/", "Path=/; Domain=.co.uk"))["https://shop.example"]},
			[]func(*doctor.Config){from(t, "https://shop.co.uk/")}},
		"prefix with domain":        {"cookie-refused", shop(t, replacing("Path=/", "Path=/; Domain=shop.example")), nil},
		"refused before a redirect": {"cookie-refused", behindRedirect(replacing("Path=/", "Path=/; Domain=other.example")), []func(*doctor.Config){from(t, "https://shop.example/a/")}},
		"Insecure":                  {"cookie-secure cookie-prefix", one(healthy(t, insecure)), nil},
		"scripts":                   {"cookie-httponly", shop(t, replacing("; HttpOnly", "")), nil},
		"strict":                    {"cookie-strict", shop(t, replacing("SameSite=Lax", "SameSite=Strict")), nil},
		"strict and redirect":       {"cookie-strict", behindRedirect(replacing("SameSite=Lax", "SameSite=Strict")), []func(*doctor.Config){from(t, "https://shop.example/a/")}},
		"no SameSite":               {"cookie-samesite", shop(t, replacing("; SameSite=Lax", "")), nil},
		"session":                   {"cookie-session", shop(t, replacing("; Max-Age=2592000", "")), nil},
		"one day":                   {"cookie-lifetime", shop(t, replacing("Max-Age=2592000", "Expires="+time.Now().Add(24*time.Hour).UTC().Format(http.TimeFormat))), nil},
		"two years":                 {"cookie-lifetime", shop(t, replacing("Max-Age=2592000", "Max-Age=63072000")), nil},
		"no prefix":                 {"cookie-prefix cookie-renewed", shop(t, replacing("__Host-", "")), nil},
		"path": {"cookie-path second-page", shop(t, replacing("__Host-", "__Secure-", "Path=/;", "Path=/shop;")),
			[]func(*doctor.Config){from(t, "https://shop.example/shop/"), func(c *doctor.Config) { c.Page = address(t, "https://shop.example/pay") }}},
		"path and redirect": {"cookie-path", behindRedirect(replacing("__Host-", "", "Path=/;", "Path=/a;")), []func(*doctor.Config){from(t, "https://shop.example/a/")}},
		"two cookies":       {"cookie-twice", shop(t, when(captured, other)), nil},
		"click ID": {"cookie-plain cookie-renewed", shop(t, when(captured, func(h http.Header, r *http.Request) {
			h.Set("Set-Cookie", "__Host-clkid="+clickOf(r)+"; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure")
		})), nil},
		"large": {"cookie-size", shop(t, when(clicked(strings.Repeat("a", 512)), replacing("clkid=", "clkid="+strings.Repeat("x", 5000)))), nil},
		"page of another host": {"second-page", sites{"https://shop.example": healthy(t), "https://pay.shop.example": page0},
			[]func(*doctor.Config){func(c *doctor.Config) { c.Page = address(t, "https://pay.shop.example/") }}},
		"checkout of another site": {"checkout", sites{"https://shop.example": healthy(t), "https://pay.example": page0},
			[]func(*doctor.Config){func(c *doctor.Config) { c.Checkout = address(t, "https://pay.example/") }}},
		"next page unreachable": {"status", one(healthy(t)), []func(*doctor.Config){func(c *doctor.Config) {
			c.Page, c.Checkout = address(t, "https://gone.example/"), address(t, "https://shop.example/orders")
		}}},
		"deleted":      {"cookie-removed", shop(t, when(elsewhere, adding("__Host-clkid=; Path=/; Secure; Max-Age=0"))), nil},
		"on each page": {"cookie-renewed cookie-organic", shop(t, when(elsewhere, adding("__Host-clkid=1; Path=/; Secure; Max-Age=2592000"))), nil},
	}
}

func brokenCaches(t *testing.T) map[string]sample {
	return map[string]sample{
		"public":      {"cache-shared prefetch-cache", shop(t, when(landed, setting("Cache-Control", "public, max-age=300", "CDN-Cache-Control", ""))), nil},
		"CDN":         {"cache-shared", shop(t, when(captured, setting("CDN-Cache-Control", "max-age=300"))), nil},
		"Expires":     {"cache-shared", shop(t, when(captured, setting("Cache-Control", "", "CDN-Cache-Control", "", "Expires", "Wed, 21 Oct 2099 07:28:00 GMT"))), nil},
		"overridden":  {"cache-overridden", shop(t, when(captured, setting("Cache-Control", "max-age=300"))), nil},
		"silent":      {"cache-silent", shop(t, when(captured, setting("Cache-Control", "", "CDN-Cache-Control", ""))), nil},
		"Age":         {"cache-hit", shop(t, when(landed, setting("Age", "17"))), nil},
		"hit":         {"cache-hit", shop(t, when(landed, setting("X-Cache", "MISS, HIT"))), nil},
		"whole pages": {"cookie-renewed cache-leak cookie-organic", one(cached(healthy(t))), nil},
	}
}

func brokenRequests(t *testing.T) map[string]sample {
	hiding := func(names ...string) sites {
		return one(behind(healthy(t), func(r *http.Request) {
			for _, name := range names {
				r.Header.Del(name)
			}
		}, nil))
	}
	return map[string]sample{
		"GPC":               {"gpc", one(healthy(t, func(c *clickid.Config) { c.IgnoreGPC = true })), nil},
		"HEAD":              {"head", one(behind(healthy(t), func(r *http.Request) { r.Method = http.MethodGet }, nil)), nil},
		"no fetch metadata": {"prerender cookie-stuffing", hiding("Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-Site"), nil},
		"no purpose":        {"prefetch prefetch-cache cookie-stuffing", hiding("Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-Site", "Sec-Purpose"), nil},
		"parameter":         {"parameter", one(healthy(t, func(c *clickid.Config) { c.Params = []string{"clkid"} })), nil},
		"crash": {"value-error", one(behind(healthy(t), nil, nil)).wrap(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(clickOf(r), "<") {
				w.WriteHeader(http.StatusInternalServerError)
				return true
			}
			return false
		}), nil},
		"reflecting cookie": {"value-reflected", shop(t, when(clicked(";"), func(h http.Header, r *http.Request) { h.Set("Set-Cookie", "last="+clickOf(r)) })), nil},
		"hostile cookie":    {"value-reflected", shop(t, when(clicked("<"), func(h http.Header, r *http.Request) { h.Set("Set-Cookie", "clkid="+clickOf(r)) })), nil},
		"reflecting header": {"value-reflected", shop(t, when(clicked("\r\n"), setting("Clickid-Doctor", "1"))), nil},
		"placeholder":       {"value-placeholder", shop(t, when(clicked("null"), adding("clkid=1"))), nil},
		"no referrer":       {"referrer-hidden", shop(t, setting("Referrer-Policy", "no-referrer, strict-origin, future")), nil},
		"unsafe URL":        {"referrer-leak", one(tracked(t, page(`<meta name="referrer" content="unsafe-url">`))), nil},
	}
}

func healthySites(t *testing.T) map[string]sample {
	plain, apex, www := "http://shop.example", "https://shop.example", "https://www.shop.example"
	shared := func(c *clickid.Config) { c.Cookie.Domain = "shop.example" }
	strip := func(c *clickid.Config) { c.StripParam = true }
	return map[string]sample{
		"tracker":              {"", one(healthy(t)), nil},
		"redirect behind it":   {"", one(tracked(t, at("/", redirect("/en", false), page("")))), nil},
		"StripParam":           {"", one(healthy(t, strip)), nil},
		"shared cookie":        {"", sites{apex: tracked(t, redirect(www, false), shared), www: healthy(t, shared)}, nil},
		"apex keeps the query": {"", sites{apex: redirect(www, true), www: healthy(t)}, nil},
		"Hosts and StripParam": {"", sites{
			apex: tracked(t, redirect(www, true), strip, func(c *clickid.Config) { c.Hosts = []string{"www.shop.example"} }), www: healthy(t, strip)}, nil},
		"HTTPS keeps the query": {"", sites{plain: redirect(apex, true), apex: healthy(t)}, []func(*doctor.Config){from(t, plain)}},
		"timeout outside":       {"", one(http.TimeoutHandler(tracked(t, session(page(""))), time.Hour, "")), nil},
		"other names": {"", one(healthy(t, func(c *clickid.Config) { c.Params, c.Cookie.Name = []string{"ad"}, "ad" })),
			[]func(*doctor.Config){func(c *doctor.Config) { c.Params, c.Cookie = []string{"ad"}, "ad" }}},
		"other parameters of the URL": {"", one(healthy(t)), []func(*doctor.Config){from(t, "https://shop.example/?utm_source=scope3&CLKID=1&b=%zz#top")}},
		"consent": {"", one(healthy(t, func(c *clickid.Config) {
			c.Consent = func(r *http.Request) clickid.Consent {
				if banner, err := r.Cookie("banner"); err == nil && banner.Value == "yes" {
					return clickid.ConsentGranted
				}
				return clickid.ConsentUnknown
			}
		})), []func(*doctor.Config){func(c *doctor.Config) { c.SendCookies = []string{"banner=yes"} }}},
		"ignored finding": {"", one(healthy(t, func(c *clickid.Config) { c.IgnoreGPC = true })), []func(*doctor.Config){func(c *doctor.Config) { c.Ignore = []string{"gpc"} }}},
	}
}

// subjects are all samples by subject.
func subjects(t *testing.T) map[string]map[string]sample {
	all := map[string]map[string]sample{
		"redirects": brokenRedirects(t), "cookies": brokenCookies(t), "caches": brokenCaches(t), "requests": brokenRequests(t),
		"platform": brokenPlatforms(t), "healthy": healthySites(t),
	}
	shop := one(healthy(t))
	for name, s := range all["platform"] {
		s.sites = shop
		all["platform"][name] = s
	}
	return all
}

func TestConfig_samples(t *testing.T) {
	t.Parallel()
	for subject, samples := range subjects(t) {
		for name, s := range samples {
			t.Run(subject+"/"+name, func(t *testing.T) {
				t.Parallel()
				report := examine(t, s.sites, s.edits...)
				found := problems(report)
				require.Equal(t, strings.Fields(s.want), names(found), "%+v", found)
				total := len(report.Findings)
				for _, skipped := range report.NotChecked {
					require.NotEmpty(t, skipped.Reason, "%v", skipped.Names)
					total += len(skipped.Names)
				}
				require.Len(t, doctor.Kinds(), total)
			})
		}
	}
}

// TestKinds_samples checks that each finding has a sample.
func TestKinds_samples(t *testing.T) {
	t.Parallel()
	found := ""
	for _, samples := range subjects(t) {
		for _, s := range samples {
			found += " " + s.want
		}
	}
	for _, k := range doctor.Kinds() {
		require.Contains(t, strings.Fields(found), string(k.Name))
	}
}

// TestConfig_form checks that the checkout form is posted as a browser does.
func TestConfig_form(t *testing.T) {
	t.Parallel()
	var posted *http.Request
	mux := http.NewServeMux()
	mux.Handle("GET /", page(""))
	mux.Handle("GET /pay", page(`<form method="post" action="/other"><input type="hidden" name="token" value="no"></form>
		<form method="post" action="/orders"><input type="hidden" name="token" value="a&amp;b"><input type="hidden" name="payment" value="invoice"></form>`))
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		posted = r
		_ = r.ParseForm()
		http.Redirect(w, r, "https://elsewhere.example/", http.StatusSeeOther)
	})
	report := examine(t, one(tracked(t, mux)), func(c *doctor.Config) {
		c.Page, c.Checkout = address(t, "https://shop.example/pay"), address(t, "https://shop.example/orders")
		c.Form = url.Values{"payment": {"card"}}
		c.Cookie = "__Host-clkid"
	})
	require.Empty(t, problems(report))
	require.NotNil(t, posted)
	require.Equal(t, url.Values{"token": {"a&b"}, "payment": {"card"}}, posted.PostForm)
	require.Equal(t, "https://shop.example/pay", posted.Header.Get("Referer"))
	require.Equal(t, "https://shop.example", posted.Header.Get("Origin"))
	require.Equal(t, "same-origin", posted.Header.Get("Sec-Fetch-Site"))
}
