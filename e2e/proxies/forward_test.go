package proxies

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/networktest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/stretchr/testify/require"
)

// The lines of a location that forward the host and the protocol.
const (
	forwardHost     = "proxy_set_header Host $host;\n"
	forwardProtocol = "proxy_set_header X-Forwarded-Proto $scheme;\n"
)

// startNginx starts nginx with a location for all paths.
func startNginx(t *testing.T, location string) *testserver.Server {
	t.Helper()
	return testserver.StartNginx(t, func(addr, _ string) string {
		return "server { listen " + addr + "; location / {\n" + location + "} }\n"
	})
}

// startTLS starts nginx with TLS and HTTP/2, and a location for all paths. It also
// returns the certificate that visitors must trust.
func startTLS(t *testing.T, location string) (*testserver.Server, *x509.CertPool) {
	t.Helper()
	certificate, trusted := networktest.Certificate(t, host)
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(certificate.Leaf)
	return testserver.StartNginx(t, func(addr, folder string) string {
		pair := filepath.Join(folder, "pair.pem")
		require.NoError(t, os.WriteFile(pair, append(trusted, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...), 0o644))
		return "server { listen " + addr + " ssl http2; ssl_certificate " + pair + "; ssl_certificate_key " + pair + "; location / {\n" + location + "} }\n"
	}), pool
}

// startHAProxy starts HAProxy in front of servers, with a further line.
func startHAProxy(t *testing.T, line string, urls ...string) *testserver.Server {
	t.Helper()
	return testserver.StartHAProxy(t, func(addr, _ string) string {
		config := "defaults\nmode http\ntimeout client 1m\ntimeout connect 1m\ntimeout server 1m\n" +
			"listen balancer\nbind " + addr + "\nbalance roundrobin\n" + line + "\n"
		for i, url := range urls {
			config += fmt.Sprintf("server s%d %s\n", i, strings.TrimPrefix(url, "http://"))
		}
		return config
	})
}

// TestForward has nginx in front of the shop, with TLS and HTTP/2 or with plain
// HTTP, and with and without the headers that a proxy should forward. The outcome is
// that of docs/browsers-and-cdn.md.
func TestForward(t *testing.T) {
	t.Parallel()
	guide := readGuide(t)
	const everything, inner = forwardHost + forwardProtocol, forwardHost + "proxy_set_header X-Forwarded-Proto http;\n"
	shared, hosts := clickid.Config{Cookie: clickid.Cookie{Domain: host}}, clickid.Config{Hosts: []string{host}}
	for row, tt := range map[string]struct {
		forwarded  string
		plain      bool // HTTP instead of HTTPS
		noMetadata bool
		cfg        clickid.Config
	}{
		"host and protocol | HTTPS":                                          {forwarded: everything},
		"host and protocol | HTTPS, without `Sec-Fetch`":                     {forwarded: everything, noMetadata: true},
		"host and protocol | plain HTTP":                                     {forwarded: everything, plain: true},
		"host and protocol, with `Cookie.Domain` and `Hosts` | HTTPS":        {forwarded: everything, cfg: clickid.Config{Cookie: shared.Cookie, Hosts: hosts.Hosts}},
		"only the host | HTTPS":                                              {forwarded: forwardHost},
		"only the host | HTTPS, without `Sec-Fetch`":                         {forwarded: forwardHost, noMetadata: true},
		"only the host | plain HTTP":                                         {forwarded: forwardHost, plain: true},
		"only the protocol | HTTPS":                                          {forwarded: forwardProtocol},
		"only the protocol | plain HTTP":                                     {forwarded: forwardProtocol, plain: true},
		"the protocol `http` of an inner proxy | HTTPS":                      {forwarded: inner},
		"the protocol `http` of an inner proxy | HTTPS, without `Sec-Fetch`": {forwarded: inner, noMetadata: true},
		"nothing | HTTPS":                                                    {},
		"nothing | plain HTTP":                                               {plain: true},
		"nothing, with `Cookie.Domain` | HTTPS":                              {cfg: shared},
		"nothing, with `Hosts` | HTTPS":                                      {cfg: hosts},
	} {
		t.Run(row, func(t *testing.T) {
			t.Parallel()
			outcomes := make(map[bool]string) // by StripParam
			for _, strip := range []bool{false, true} {
				tt.cfg.StripParam = strip
				s := newShop(t, clickidtest.NewServer(t), tt.cfg, nil)
				location := "proxy_pass " + serve(t, s) + ";\n" + tt.forwarded
				v := (*visitor)(nil)
				if tt.plain {
					v = newVisitor(t, s, startNginx(t, location), nil)
				} else {
					proxy, trusted := startTLS(t, location)
					v = newVisitor(t, s, proxy, trusted)
				}
				v.noMetadata = tt.noMetadata || tt.plain
				v.others = "session=1; theme=dark; " // separate fields in HTTP/2
				resp := v.visit("/shoes?clkid=" + annasClick + "&size=42")
				require.Equal(t, !tt.plain, resp.ProtoMajor == 2)
				switch click := v.order(); {
				case click == annasClick:
					outcomes[strip] = "kept"
				case slices.Equal(s.kinds(), []clickid.Kind{clickid.KindClickAtRisk}):
					outcomes[strip] = "at risk"
				default:
					outcomes[strip] = "lost"
				}
				if v.page == v.scheme+"://"+host+"/shoes?size=42" {
					outcomes[strip] += ", `StripParam` applies"
				}
				require.Contains(t, s.last().Header.Get("Cookie"), "session=1; theme=dark", "of one header in HTTP/1")
			}
			require.Equal(t, outcomes[false], strings.TrimSuffix(outcomes[true], ", `StripParam` applies"))
			require.Contains(t, guide, "\n| "+row+" | "+outcomes[true]+" |\n")
		})
	}
}

// TestForward_path has nginx change the path of a landing.
func TestForward_path(t *testing.T) {
	t.Parallel()
	const query = "?x=%20y&clkid=" + annasClick + "&z=1"
	for name, tt := range map[string]struct {
		server         string // URL is the shop's
		target         string
		seen, location string // the path in the shop and in the browser after the redirect; "" without one
	}{
		"unchanged":               {"location / { proxy_pass URL; }", "/a%2Fb//c%20d/", "/a%2Fb//c%20d/", "/a%2Fb//c%20d/"},
		"normalised":              {"location / { proxy_pass URL/; }", "/a%2Fb//c%20d/", "/a/b/c%20d/", "/a/b/c%20d/"},
		"slashes are not merged":  {"merge_slashes off; location / { proxy_pass URL/; }", "/a//b/", "/a//b/", "/a//b/"},
		"another site, unchanged": {"location / { proxy_pass URL; }", "//evil.test/", "//evil.test/", ""},
		"another site, merged":    {"location / { proxy_pass URL/; }", "//evil.test/", "/evil.test/", "/evil.test/"},
		"another site, decoded":   {"merge_slashes off; location / { proxy_pass URL/; }", "/%2Fevil.test/", "//evil.test/", ""},
		"below a path":            {"location /shop/ { proxy_pass URL/; }", "/shop/shoes", "/shoes", "/shoes"},
		"below a path, changed":   {"location /shop/ { proxy_pass URL/; proxy_redirect / /shop/; absolute_redirect off; }", "/shop/shoes", "/shoes", "/shop/shoes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, clickidtest.NewServer(t), clickid.Config{StripParam: true}, nil)
			url := serve(t, s)
			proxy := testserver.StartNginx(t, func(addr, _ string) string {
				return "server { listen " + addr + "; proxy_set_header Host $host; " + strings.ReplaceAll(tt.server, "URL", url) + " }\n"
			})
			v := newVisitor(t, s, proxy, nil)
			resp := v.do(http.MethodGet, tt.target+query)
			require.Equal(t, tt.seen+query, s.last().RequestURI)
			require.NotEmpty(t, v.cookie)
			require.Equal(t, []clickid.Kind{clickid.KindCaptured}, s.kinds())
			if tt.location == "" {
				require.Equal(t, http.StatusOK, resp.StatusCode)
				return
			}
			require.Equal(t, http.StatusFound, resp.StatusCode)
			location, err := resp.Location()
			require.NoError(t, err)
			require.Equal(t, "http://"+host+tt.location+"?x=%20y&z=1", location.String())
		})
	}
}

// TestForward_redirect has nginx redirect to HTTPS, with the two variables that
// configurations use.
func TestForward_redirect(t *testing.T) {
	t.Parallel()
	for variable, kept := range map[string]bool{"$request_uri": true, "$uri": false} {
		s := &shop{host: host}
		proxy := startNginx(t, "return 301 https://$host"+variable+";\n")
		location := newVisitor(t, s, proxy, nil).do(http.MethodGet, "/a%20b?clkid="+annasClick).Header.Get("Location")
		require.Equal(t, kept, location == "https://"+host+"/a%20b?clkid="+annasClick, location)
	}
}

// TestForward_cookiePath has nginx change the path of cookies. Browsers refuse that
// for __Host-.
func TestForward_cookiePath(t *testing.T) {
	t.Parallel()
	for lines, kept := range map[string]bool{"": true, "proxy_cookie_path / /shop/;\n": false} {
		s := newShop(t, clickidtest.NewServer(t), clickid.Config{}, nil)
		v := newVisitor(t, s, startNginx(t, "proxy_pass "+serve(t, s)+";\n"+forwardHost+lines), nil)
		v.visit("/shoes?clkid=" + annasClick)
		require.Equal(t, kept, v.cookie != "")
	}
}
