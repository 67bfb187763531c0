package proxies

import (
	"crypto/x509"
	"strings"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/stretchr/testify/require"
)

// longestClick is the longest click ID by default.
var longestClick = strings.Repeat("a", 512)

// TestLimits has landings with long URLs and visitors with many cookies behind
// proxies with their default limits. None of them gets an error that it would not get
// without the tracker.
func TestLimits(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		start  func(t *testing.T, url string) (*testserver.Server, *x509.CertPool)
		target int // of a landing, in bytes
	}{
		"nginx": {plain(nginxProxy), 8000},
		"nginx, TLS": {func(t *testing.T, url string) (*testserver.Server, *x509.CertPool) {
			return startTLS(t, nginxLines(url))
		}, 8000},
		"nginx, a cache":      {plain(nginxCache("")), 2000},
		"nginx as documented": {plain(documentedNginx("")), 8000},
		"Varnish":             {plain(varnishCache("")), 8000},
		"HAProxy":             {plain(func(t *testing.T, url string) *testserver.Server { return startHAProxy(t, "", url) }), 6000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			strips := newShop(t, clickidtest.NewServer(t), clickid.Config{StripParam: true}, nil)
			proxy, trusted := tt.start(t, serve(t, strips))
			for _, click := range []string{annasClick, longestClick} {
				for _, length := range []int{600, 1024, 1025, 1500, 2000, 3000, 4000, 6000, 8000} {
					if length > tt.target {
						break
					}
					v := newVisitor(t, strips, proxy, trusted)
					target := "/?clkid=" + click + "&x="
					v.visit(target + strings.Repeat("x", length-len(target)))
					require.LessOrEqual(t, len(v.cookie), maxCookie, "the guide's figure")
					v.others = "x=" + strings.Repeat("x", 8<<10-200-maxCookie) + "; "
					require.Equal(t, click, v.order())
				}
			}
		})
	}
}

// maxCookie is the size of the longest cookie in docs/browsers-and-cdn.md.
const maxCookie = 1027

func nginxLines(url string) string { return "proxy_pass " + url + ";\n" + forwardHost }

func nginxProxy(t *testing.T, url string) *testserver.Server { return startNginx(t, nginxLines(url)) }

// plain is a proxy without TLS.
func plain(start cache) func(*testing.T, string) (*testserver.Server, *x509.CertPool) {
	return func(t *testing.T, url string) (*testserver.Server, *x509.CertPool) { return start(t, url), nil }
}
