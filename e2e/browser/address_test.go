package browser

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// hostileQueries are queries of links that an attacker can give to a visitor. The
// browser encodes some of their characters.
var hostileQueries = []string{
	"clkid=abc%0d%0aSet-Cookie:%20a=b", "clkid=abc\r\nSet-Cookie: a=b", "clkid=abc%00", "clkid=abc\x00", "clkid=abc;%20Domain=evil.test", "clkid=abc; Path=/admin; clkid=def",
	"clkid=%61%62%63%250d%250a", "clkid=abc%u000a", "clkid=abc%e5%98%8a%e5%98%8dSet-Cookie:a=b", "clkid=ａｂｃ", "clkid=abc%c0%8a", "clkid=%ff%fe", "clkid=abc%", "clkid=%zz",
	"clkid=abc&clkid=%0a&CLKID=def", "clkid=%22%3E%3Cscript%3Edocument.title='hostile'%3C/script%3E", `clkid="><script>document.title='hostile'</script>`, "clkid[]=abc&clkid[$ne]=1",
	"clkid=javascript:alert(1)", "clkid=//evil.test", "clkid=abc\t\n", "clkid=\u202eabc", "clkid=" + strings.Repeat("%0a", 2000), "clkid=" + strings.Repeat("é", 3000), "clkid=__Host-clkid=abc", "%63lkid=%61bc#\r\nclkid=x",
}

// TestAddress_hostile opens hostile URLs, with and without StripParam. The page
// is served on the shop's host, and the browser has the cookie of an unaltered
// value or none.
func TestAddress_hostile(t *testing.T) {
	t.Parallel()
	value := regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	for _, tt := range []struct {
		name  string
		world func(*testing.T) *world
	}{
		{"served", func(t *testing.T) *world { return newWorld(t) }},
		{"stripped", func(t *testing.T) *world { return newWorld(t, strip) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := tt.world(t)
			w.shop.HandleFunc("GET /order", showClick)
			for _, query := range hostileQueries {
				w.forgetCookies()
				w.run(chromedp.Navigate("https://shop.test/landing?" + query))
				w.run(onPage("landing"))
				address, err := url.Parse(w.address())
				require.NoError(t, err, "%q", query)
				require.Equal(t, "shop.test", address.Host, "%q", query)
				require.Equal(t, "landing", eval[string](w.browser, "document.title"), "%q", query)
				for _, c := range w.cookies() {
					require.Equal(t, "__Host-clkid", c.Name, "%q", query)
					require.Regexp(t, value, c.Value, "%q", query)
					require.Equal(t, "shop.test", c.Domain, "%q", query)
					require.Equal(t, "/", c.Path, "%q", query)
				}
				require.Contains(t, []string{"", "abc", "def", "x"}, w.visitorsClick(), "%q", query)
			}
			if tt.name == "stripped" {
				w.open("https://shop.test/landing?a=%0d%0aSet-Cookie:b=c&clkid=abc&d=\x00;e", "landing")
				require.Equal(t, "https://shop.test/landing?a=%0d%0aSet-Cookie:b=c&d=%00;e", w.address(), "the rest stays encoded")
			}
		})
	}
}
