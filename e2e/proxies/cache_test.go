package proxies

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/stretchr/testify/require"
)

// cache starts a cache in front of the shop at a URL.
type cache func(t *testing.T, shop string) *testserver.Server

// nginxCache is nginx with the lines in the location of the shop. A page that does
// not mention caching is kept for a minute.
func nginxCache(lines string) cache {
	return func(t *testing.T, shop string) *testserver.Server {
		return testserver.StartNginx(t, func(addr, folder string) string {
			return "proxy_cache_path " + folder + "/cache keys_zone=shop:1m;\n" +
				"server { listen " + addr + "; location / { proxy_pass " + shop + "; proxy_set_header Host $host;\n" +
				"proxy_cache shop;\n" + lines + "proxy_cache_valid 200 1m;\n} }\n"
		})
	}
}

// varnishCache is Varnish with further subroutines. It keeps a page that does not
// mention caching for two minutes.
func varnishCache(vcl string) cache {
	return func(t *testing.T, shop string) *testserver.Server {
		return testserver.StartVarnish(t, func(string, string) string {
			return "vcl 4.1;\nbackend default { .host = \"127.0.0.1\"; .port = \"" + port(shop) + "\"; }\n" + vcl
		})
	}
}

func port(url string) string { return url[strings.LastIndexByte(url, ':')+1:] }

func readGuide(t *testing.T) string {
	t.Helper()
	guide, err := os.ReadFile("../../docs/browsers-and-cdn.md")
	require.NoError(t, err)
	return string(guide)
}

// documented is a configuration of docs/browsers-and-cdn.md in a language, with the
// replacements for this machine and further lines before one of them.
func documented(t *testing.T, language, before, lines string, replacements ...string) string {
	t.Helper()
	_, block, found := strings.Cut(readGuide(t), "\n```"+language+"\n")
	require.True(t, found, "the guide has no configuration in %s", language)
	block, _, _ = strings.Cut(block, "```")
	for i := 0; i < len(replacements); i += 2 {
		require.Equal(t, 1, strings.Count(block, replacements[i]), "%s\n%s", replacements[i], block)
		block = strings.Replace(block, replacements[i], replacements[i+1], 1)
	}
	if before != "" {
		require.Equal(t, 1, strings.Count(block, before), block)
		block = strings.Replace(block, before, lines+"\n"+before, 1)
	}
	return block
}

func documentedNginx(lines string) cache {
	return func(t *testing.T, shop string) *testserver.Server {
		return testserver.StartNginx(t, func(addr, folder string) string {
			return documented(t, "nginx", "proxy_cache shop;", lines,
				"/var/cache/nginx/shop", folder+"/cache", "listen 80;", "listen "+addr+";", "shop.example", host, "http://127.0.0.1:8080", shop)
		})
	}
}

func documentedVarnish(vcl string) cache {
	return func(t *testing.T, shop string) *testserver.Server {
		return testserver.StartVarnish(t, func(string, string) string {
			// The subroutines of one name run in the order of the file.
			return documented(t, "vcl", "", "", "8080", port(shop)) + vcl
		})
	}
}

// Common configurations that ignore the parameter.
const (
	nginxKey     = "proxy_cache_key $scheme$host$uri;\n"
	varnishKey   = "sub vcl_hash { hash_data(regsub(req.url, \"\\?.*\", \"\")); hash_data(req.http.host); return (lookup); }\n"
	varnishStrip = "sub vcl_recv { set req.url = regsub(req.url, \"\\?.*\", \"\"); }\n"
)

// Configurations that store responses in spite of Set-Cookie.
const (
	nginxStores   = "proxy_ignore_headers Set-Cookie Cache-Control;\n"
	varnishStores = "sub vcl_backend_response { set beresp.ttl = 1m; return (deliver); }\n"
)

// public marks every page as cacheable and overrides the tracker's header.
func public(h http.Header) { h.Set("Cache-Control", "public, max-age=60") }

// polite marks a page as cacheable unless it has a mark.
func polite(h http.Header) {
	if h.Get("Cache-Control") == "" {
		public(h)
	}
}

// TestCache_visitors has visitors with and without a click behind caches with their
// defaults for Set-Cookie and Cache-Control, and behind the documented ones with the
// most dangerous settings beside.
func TestCache_visitors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		start cache
		head  string // the method of a HEAD request for a page with a click when it reaches the shop
	}{
		"nginx":                 {nginxCache("proxy_cache_key $scheme$host$request_uri;\n"), http.MethodGet}, // $proxy_host is that of all shops
		"nginx as documented":   {documentedNginx(nginxStores + nginxKey), http.MethodGet},
		"Varnish":               {varnishCache(""), http.MethodGet},
		"Varnish as documented": {documentedVarnish(varnishStrip + varnishKey + varnishStores), http.MethodHead},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var shops []*shop
			for name, mark := range map[string]func(http.Header){"unmarked": nil, "polite": polite, "public": public} {
				for _, strip := range []bool{false, true} {
					s := newShop(t, clickidtest.NewServer(t), clickid.Config{StripParam: strip}, mark)
					s.host = fmt.Sprintf("%s-%v.test", name, strip)
					shops = append(shops, s)
				}
			}
			proxy := tt.start(t, serve(t, shops...))
			for _, s := range shops {
				t.Run(s.host, func(t *testing.T) {
					testVisitors(t, s, proxy)
					newVisitor(t, s, proxy, nil).do(http.MethodHead, "/gloves?clkid="+annasClick)
					require.Equal(t, tt.head, s.last().Method)
				})
			}
		})
	}
}

// testVisitors has visitors land, two of them with the same link, and one without a
// click. No cookie reaches another visitor.
func testVisitors(t *testing.T, s *shop, proxy *testserver.Server) {
	organic, recovered := newVisitor(t, s, proxy, nil), newVisitor(t, s, proxy, nil)
	visitors, cookies := map[*visitor]string{organic: "", recovered: annasClick}, map[string]bool{}
	organic.visit("/hats")
	for _, target := range []string{"/shoes?clkid=", "/hats?clkid="} {
		for _, click := range []string{annasClick, bertsClick, annasClick} {
			v := newVisitor(t, s, proxy, nil)
			v.visit(target + click)
			cookies[v.cookie] = true
			visitors[v] = click
		}
	}
	recovered.page = "http://" + s.host + "/shoes?clkid=" + annasClick // from the cache of the browser
	recovered.visit("/socks")
	cookies[recovered.cookie] = true
	require.False(t, cookies[""], "a visitor has no cookie")
	require.Len(t, cookies, 7, "each visitor has a cookie of its own")

	organic.visit("/shoes")
	organic.visit("/socks")
	require.Equal(t, organic.visit("/bags").Header.Get("X-Page"), organic.visit("/bags").Header.Get("X-Page"), "a page without a click is cached")
	for v, click := range visitors {
		require.Equal(t, click, v.order())
	}
}

// TestCache_ignoredParameter has caches that ignore the parameter. A landing from
// the cache reaches the shop with the next page, unless that is cached as well.
func TestCache_ignoredParameter(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		start   cache
		reaches bool // a landing that is not in the cache reaches the shop with its click
	}{
		"nginx":                {nginxCache(nginxKey), true},
		"Varnish":              {varnishCache(varnishKey), true},
		"Varnish, another URL": {varnishCache(varnishStrip), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plain := newShop(t, clickidtest.NewServer(t), clickid.Config{}, polite)
			strips := newShop(t, clickidtest.NewServer(t), clickid.Config{StripParam: true}, polite)
			strips.host = "strips.test"
			proxy := tt.start(t, serve(t, plain, strips))
			for _, s := range []*shop{plain, strips} {
				first := newVisitor(t, s, proxy, nil)
				first.visit("/shoes?clkid=" + annasClick)
				require.Equal(t, tt.reaches, first.cookie != "")

				organic := newVisitor(t, s, proxy, nil)
				organic.visit("/hats")
				organic.visit("/bags")
				require.Empty(t, organic.cookie)
				require.Empty(t, organic.order())
				anna, bert := newVisitor(t, s, proxy, nil), newVisitor(t, s, proxy, nil)
				anna.visit("/hats?clkid=" + annasClick)
				require.Empty(t, anna.cookie, "the landing is cached")
				anna.visit("/cart")
				require.NotEmpty(t, anna.cookie, "the next page recovers the click")
				require.Equal(t, annasClick, anna.order())
				bert.visit("/hats?clkid=" + bertsClick)
				bert.visit("/bags")
				bert.visit("/checkout")
				require.Empty(t, bert.order(), "both pages are cached")
			}
		})
	}
}

// TestCache_storesCookies shows why docs/browsers-and-cdn.md warns of caches that
// ignore Set-Cookie.
func TestCache_storesCookies(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]cache{"nginx": nginxCache(nginxStores), "Varnish": varnishCache(varnishStores)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, clickidtest.NewServer(t), clickid.Config{}, polite)
			proxy := start(t, serve(t, s))
			anna, dora, organic := newVisitor(t, s, proxy, nil), newVisitor(t, s, proxy, nil), newVisitor(t, s, proxy, nil)
			anna.visit("/shoes?clkid=" + annasClick)
			dora.visit("/shoes?clkid=" + annasClick)
			require.Equal(t, anna.cookie, dora.cookie, "the same link has the same cookie")
			anna.cookie = ""
			anna.visit("/cart") // recovers the click
			organic.visit("/cart")
			require.NotEmpty(t, organic.cookie)
			require.Equal(t, annasClick, organic.order(), "an organic order counts for the click of another visitor")
		})
	}
}

// TestCache_validation has caches that ignore the parameter validate a page with the
// request of a landing. The 304 with its cookie does not reach another visitor.
func TestCache_validation(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]cache{
		"nginx":                      nginxCache(nginxKey + "proxy_cache_valid 200 1s; proxy_cache_revalidate on;\n"),
		"nginx, in the background":   nginxCache(nginxKey + "proxy_cache_valid 200 1s; proxy_cache_revalidate on; proxy_cache_use_stale updating; proxy_cache_background_update on;\n"),
		"Varnish":                    varnishCache(varnishKey + "sub vcl_backend_response { set beresp.ttl = 50ms; set beresp.grace = 0s; set beresp.keep = 1m; }\n"),
		"Varnish, in the background": varnishCache(varnishKey + "sub vcl_backend_response { set beresp.ttl = 50ms; set beresp.grace = 1m; set beresp.keep = 1m; }\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, clickidtest.NewServer(t), clickid.Config{}, func(h http.Header) { h.Set("ETag", `"1"`) })
			proxy := start(t, serve(t, s))
			organic := newVisitor(t, s, proxy, nil)
			organic.visit("/hats")
			var anna *visitor
			require.Eventually(t, func() bool {
				anna = newVisitor(t, s, proxy, nil)
				anna.visit("/hats?clkid=" + annasClick)
				s.mu.Lock()
				defer s.mu.Unlock()
				return slices.ContainsFunc(s.requests, func(r *http.Request) bool { return r.Header.Get("If-None-Match") != "" })
			}, patience, 10*time.Millisecond, "the page expires")
			for range 3 {
				organic.visit("/hats")
				require.Empty(t, organic.cookie)
			}
			anna.visit("/cart")
			require.Equal(t, annasClick, anna.order())
			require.Empty(t, organic.order())
		})
	}
}
