// Package proxies runs a shop behind real caches, proxies and load balancers, and
// the platform behind real load balancers.
package proxies

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/stretchr/testify/require"
)

// host is the shop's host. The visitors connect to the proxy.
const host = "shop.test"

// Two clicks of visitors.
const (
	annasClick = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	bertsClick = "01ARZ3NDEKTSV4RRFFQ69G5FAW"
)

// patience limits each wait of a test.
const patience = time.Minute

// shop is an instance of a shop with a tracker. It numbers its pages, so that a
// cached one is seen.
type shop struct {
	http.Handler
	host     string
	platform *clickidtest.Server

	mu       sync.Mutex
	requests []*http.Request // that reached it
	observed []clickid.Kind
}

// newShop returns a shop that sells for the platform. Its pages have the headers of
// mark, which overrides those of the tracker; mark may be nil.
func newShop(t *testing.T, platform *clickidtest.Server, cfg clickid.Config, mark func(http.Header)) *shop {
	t.Helper()
	s := &shop{host: host, platform: platform}
	store, err := clickid.NewCookieStore([]byte("0123456789abcdef0123456789abcdef"))
	require.NoError(t, err)
	cfg.Store, cfg.Logger = store, slog.New(slog.DiscardHandler)
	cfg.Hook = func(_ context.Context, o clickid.Observation) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.observed = append(s.observed, o.Kind)
	}
	tracker, err := clickid.New(cfg)
	require.NoError(t, err)
	client := newClient(t, platform.URL, func(cfg *capi.Config) { cfg.Resolver = tracker })
	handler := tracker.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			result, err := clickid.Convert(r.Context(), client, clickid.Event{Type: clickid.Purchase, ID: path.Base(r.URL.Path), Time: time.Now()})
			_, _ = fmt.Fprint(w, result.Verdict, err)
			return
		}
		if mark != nil {
			mark(w.Header())
		}
		s.mu.Lock()
		w.Header().Set("X-Page", fmt.Sprint(len(s.requests)))
		s.mu.Unlock()
		http.ServeContent(w, r, "page.html", time.Time{}, strings.NewReader("a page"))
	}))
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Clone(context.Background()))
		s.mu.Unlock()
		handler.ServeHTTP(w, r)
	})
	return s
}

// serve serves shops by their hosts, and a single one whatever the host. It returns
// the URL.
func serve(t *testing.T, shops ...*shop) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, s := range shops {
			if r.Host == s.host || len(shops) == 1 {
				s.ServeHTTP(w, r)
				return
			}
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// newClient returns a client of the platform at a URL.
func newClient(t *testing.T, platform string, edits ...func(*capi.Config)) *capi.Client {
	t.Helper()
	cfg := capi.Config{
		APIKey: clickidtest.APIKey, BaseURL: platform, Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
		RateLimit: capi.RateLimit{Requests: -1}, Timeout: patience, TotalTimeout: patience, Logger: slog.New(slog.DiscardHandler),
	}
	for _, edit := range edits {
		edit(&cfg)
	}
	client, err := capi.New(cfg)
	require.NoError(t, err)
	return client
}

// last returns the latest request that reached the shop.
func (s *shop) last() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[len(s.requests)-1]
}

// kinds returns the kinds of the observations.
func (s *shop) kinds() []clickid.Kind {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.observed)
}

// visitor is a browser in front of a proxy. It keeps the tracker's cookie as
// browsers do.
type visitor struct {
	t          *testing.T
	shop       *shop
	client     *http.Client
	scheme     string
	cookie     string // name and value
	others     string // cookies of the application, each with "; " at the end
	page       string // the URL of the current page
	noMetadata bool   // the browser sends no Sec-Fetch headers: it is old, or uses plain HTTP
}

// response is a response as the visitor receives it.
type response struct {
	*http.Response
	body string
}

// newVisitor returns a visitor of the shop whose browser connects to the proxy, over
// TLS if trusted is the proxy's certificate.
func newVisitor(t *testing.T, s *shop, proxy *testserver.Server, trusted *x509.CertPool) *visitor {
	t.Helper()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, proxy.Addr())
		},
		DisableCompression: true, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12},
	}
	t.Cleanup(transport.CloseIdleConnections)
	v := &visitor{t: t, shop: s, scheme: "http", client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}}
	if trusted != nil {
		v.scheme = "https"
	}
	return v
}

// do sends one request.
func (v *visitor) do(method, target string) *response {
	v.t.Helper()
	r, err := http.NewRequest(method, v.scheme+"://"+v.shop.host+target, nil)
	require.NoError(v.t, err)
	r.Header.Set("Accept", "text/html")
	site := "cross-site"
	if v.page != "" {
		site = "same-origin"
		r.Header.Set("Referer", v.page)
	}
	if !v.noMetadata {
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Dest", "document")
		r.Header.Set("Sec-Fetch-Site", site)
	}
	if cookies := strings.TrimSuffix(v.others+v.cookie, "; "); cookies != "" {
		r.Header.Set("Cookie", cookies)
	}
	resp, err := v.client.Do(r)
	require.NoError(v.t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(v.t, err)
	require.NoError(v.t, resp.Body.Close())
	for _, line := range resp.Header.Values("Set-Cookie") {
		cookie, attributes, _ := strings.Cut(line, ";")
		if strings.HasPrefix(cookie, "__Host-") && (!strings.Contains(attributes, " Path=/;") || v.scheme == "http" && v.noMetadata) {
			continue // browsers refuse it: __Host- requires this path, and Secure TLS
		}
		v.cookie = cookie
	}
	return &response{resp, string(body)}
}

// visit navigates to a page and follows its redirect.
func (v *visitor) visit(target string) *response {
	v.t.Helper()
	resp := v.do(http.MethodGet, target)
	if resp.StatusCode == http.StatusFound {
		location, err := resp.Location()
		require.NoError(v.t, err)
		require.Equal(v.t, v.shop.host, location.Host)
		target = location.RequestURI()
		resp = v.do(http.MethodGet, target)
	}
	require.Equal(v.t, http.StatusOK, resp.StatusCode, resp.body)
	v.page = v.scheme + "://" + v.shop.host + target
	return resp
}

// order places an order on the current page and returns the click with which the
// platform got it, or "".
func (v *visitor) order() (click string) {
	v.t.Helper()
	id := testserver.Name()
	resp := v.do(http.MethodPost, "/order/"+id)
	require.Equal(v.t, http.StatusOK, resp.StatusCode, resp.body)
	for _, event := range v.shop.platform.Accepted() {
		if event.ID == id {
			require.Equal(v.t, fmt.Sprint(clickid.VerdictAccepted, nil), resp.body)
			return event.ClickID
		}
	}
	require.Equal(v.t, fmt.Sprint(clickid.VerdictSkippedOrganic, nil), resp.body)
	return ""
}
