package clickid_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// sharedCache is the cache of a proxy for many visitors. Where RFC 9111 leaves a
// choice, it takes the one that leaks the most: it stores every response that it
// may, also with Set-Cookie, and keeps one without a lifetime for a minute (section
// 4.2.2). It responds to HEAD and Range from a stored response, and updates it with
// the headers of a 304 and of a HEAD. With cdn it obeys CDN-Cache-Control first
// (RFC 9213).
type sharedCache struct {
	cdn    bool
	mu     sync.Mutex
	passed time.Duration // time that has passed, for the test
	stored map[string][]*storedResponse
	hits   int
}

type storedResponse struct {
	vary   http.Header // of the request
	status int
	header http.Header
	body   []byte
	until  time.Duration
}

// directives returns the directives of a response by name.
func (c *sharedCache) directives(h http.Header) map[string]string {
	lines := h["Cache-Control"]
	if own := h["Cdn-Cache-Control"]; c.cdn && len(own) > 0 {
		lines = own
	}
	found := make(map[string]string)
	for _, part := range strings.Split(strings.Join(lines, ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		found[strings.ToLower(name)] = value
	}
	return found
}

// heuristic are the statuses that may be stored without a lifetime (RFC 9110,
// section 15.1).
var heuristic = []int{200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501}

// lifetime returns for how long a response may be used, and false if it must not
// be stored.
func (c *sharedCache) lifetime(status int, h http.Header) (time.Duration, bool) {
	d := c.directives(h)
	for _, name := range []string{"no-store", "private"} {
		if _, ok := d[name]; ok {
			return 0, false
		}
	}
	if _, ok := d["no-cache"]; ok {
		return 0, true // stored, and validated before each use
	}
	for _, name := range []string{"s-maxage", "max-age"} {
		if seconds, err := strconv.Atoi(d[name]); err == nil {
			return time.Duration(seconds) * time.Second, true
		}
	}
	return time.Minute, slices.Contains(heuristic, status)
}

// find returns the stored response for a request.
func (c *sharedCache) find(r *http.Request) *storedResponse {
	for _, s := range c.stored[r.URL.RequestURI()] {
		same := true
		for name := range s.vary {
			same = same && s.vary.Get(name) == r.Header.Get(name)
		}
		if same {
			return s
		}
	}
	return nil
}

func (c *sharedCache) drop(r *http.Request, s *storedResponse) {
	uri := r.URL.RequestURI()
	c.stored[uri] = slices.DeleteFunc(c.stored[uri], func(other *storedResponse) bool { return other == s })
}

// update adds the headers of a newer response to a stored one, which is dropped if
// they forbid to store it.
func (c *sharedCache) update(r *http.Request, s *storedResponse, h http.Header) {
	for name, values := range h {
		if name != "Content-Length" {
			s.header[name] = values
		}
	}
	lifetime, ok := c.lifetime(s.status, s.header)
	if s.until = c.passed + lifetime; !ok {
		c.drop(r, s)
	}
}

// respond makes the response to a request from a stored one.
func (s *storedResponse) respond(r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	for name, values := range s.header {
		w.Header()[name] = slices.Clone(values)
	}
	if s.status == http.StatusOK {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.body))
	} else {
		w.WriteHeader(s.status)
		_, _ = w.Write(s.body)
	}
	return w.Result()
}

// RoundTrip implements http.RoundTripper.
func (c *sharedCache) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		delete(c.stored, r.URL.RequestURI())
		return http.DefaultTransport.RoundTrip(r)
	}
	s := c.find(r)
	if s != nil && c.passed < s.until {
		c.hits++
		return s.respond(r), nil
	}
	sent := r
	if s != nil && r.Method == http.MethodGet {
		sent = r.Clone(r.Context())
		sent.Header.Del("Range")
		sent.Header.Set("If-None-Match", s.header.Get("ETag"))
	}
	resp, err := http.DefaultTransport.RoundTrip(sent)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	switch {
	case s != nil && resp.StatusCode == http.StatusNotModified && sent != r:
		c.update(r, s, resp.Header)
		return s.respond(r), nil
	case s != nil && r.Method == http.MethodHead && resp.StatusCode == s.status:
		c.update(r, s, resp.Header)
	case r.Method == http.MethodGet && resp.StatusCode != http.StatusPartialContent && resp.StatusCode != http.StatusNotModified:
		if s != nil {
			c.drop(r, s)
		}
		if lifetime, ok := c.lifetime(resp.StatusCode, resp.Header); ok {
			vary := make(http.Header)
			for _, name := range strings.Split(resp.Header.Get("Vary"), ",") {
				if name = strings.TrimSpace(name); name != "" {
					vary.Set(name, r.Header.Get(name))
				}
			}
			uri := r.URL.RequestURI()
			c.stored[uri] = append(c.stored[uri], &storedResponse{vary, resp.StatusCode, resp.Header.Clone(), body, c.passed + lifetime})
		}
	}
	return resp, nil
}

// TestHostile_sharedCache has visitors behind one cache, which must not give the
// cookie of one of them to another, nor its deletion.
func TestHostile_sharedCache(t *testing.T) {
	t.Parallel()
	for _, cdn := range []bool{false, true} {
		for _, strip := range []bool{false, true} {
			t.Run(fmt.Sprintf("cdn %v, strip %v", cdn, strip), func(t *testing.T) {
				t.Parallel()
				testSharedCache(t, cdn, strip)
			})
		}
	}
}

func testSharedCache(t *testing.T, cdn, strip bool) {
	s := newRealSite(t, clickid.Config{StripParam: strip, Store: clickid.NewMemoryStore()})
	origin := httptest.NewServer(s.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Vary", "Accept-Encoding")
		if cdn { // a CDN ignores it, and another shared cache is not defended
			w.Header().Set("Cache-Control", "public, max-age=60")
		}
		http.ServeContent(w, r, ".html", time.Time{}, strings.NewReader(r.URL.Path))
	})))
	defer origin.Close()
	target, err := url.Parse(origin.URL)
	require.NoError(t, err)
	c := &sharedCache{cdn: cdn, stored: make(map[string][]*storedResponse)}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Transport: c, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}})
	defer proxy.Close()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	owners := make(map[string]int) // of the cookies, by the number of the request
	requests := 0
	send := func(method, path string, headers ...string) (cookie string, resp *http.Response) {
		t.Helper()
		requests++
		r, err := http.NewRequest(method, proxy.URL+path, nil)
		require.NoError(t, err)
		for _, header := range append([]string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Accept: text/html", "Accept-Encoding: identity"}, headers...) {
			name, value, _ := strings.Cut(header, ": ")
			r.Header.Set(name, value)
		}
		resp, err = client.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		for _, set := range resp.Cookies() {
			require.Equal(t, "__Host-clkid", set.Name)
			if cookie = set.Value; set.MaxAge < 0 {
				require.NotEmpty(t, r.Header["Cookie"], "%s %s %q deletes a cookie that the visitor does not have", method, path, headers)
				continue
			}
			if owner, ok := owners[cookie]; ok {
				t.Errorf("%s %s %q has the cookie of request %d", method, path, headers, owner)
			}
			owners[cookie] = requests
		}
		return cookie, resp
	}
	land := func(headers ...string) string {
		t.Helper()
		cookie, resp := send(http.MethodGet, "/?clkid=abc", headers...)
		require.NotEmpty(t, cookie, "%q: %v", headers, resp.Header)
		return "Cookie: __Host-clkid=" + cookie
	}

	// Landings, of every kind of request.
	for _, headers := range [][]string{nil, {"Range: bytes=0-0"}, {`If-None-Match: "1"`}, {`If-None-Match: "1"`, "Range: bytes=9-"}, {"Accept-Encoding: gzip"}, {"Cache-Control: max-stale"}} {
		for range 2 {
			head, _ := send(http.MethodHead, "/?clkid=abc", headers...)
			require.Empty(t, head)
			land(headers...)
		}
	}
	// The refusal of a landing in a frame is not the next visitor's.
	_, _ = send(http.MethodGet, "/?clkid=abc", "Sec-Fetch-Dest: iframe")
	visitor := land()
	land()

	// Pages without a click are stored, also those of a visitor with one, and have
	// nothing of the visitor.
	hits := c.hits
	for range 2 {
		cookie, resp := send(http.MethodGet, "/page", visitor, "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: http")
		require.Empty(t, cookie)
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
	require.Equal(t, hits+1, c.hits, "the cache has the page")

	// A visitor's cookie and its deletion do not reach the next visitor with the
	// stored page: when it is stored, validated with a 304 or updated by a HEAD.
	attacks := map[string][]string{
		"a denial":                   {visitor, gpc},
		"a click out of the Referer": {"Sec-Fetch-Site: same-origin", "Referer: " + proxy.URL + "/?clkid=abc"},
	}
	for name, headers := range attacks {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for _, stored := range []bool{false, true} {
				path := "/" + url.PathEscape(fmt.Sprint(name, method, stored))
				if stored {
					_, _ = send(http.MethodGet, path)
				}
				c.passed += time.Hour
				first, _ := send(method, path, headers...)
				if method == http.MethodGet && name != "a denial" {
					require.NotEmpty(t, first, "the visitor gets the cookie")
				}
				for range 2 {
					cookie, resp := send(http.MethodGet, path)
					require.Empty(t, cookie)
					require.Empty(t, resp.Header["Set-Cookie"])
				}
				_, _ = send(http.MethodHead, path)
				_, _ = send(http.MethodGet, path, "Range: bytes=0-0")
			}
		}
	}
}
