package clickid_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// served records the click IDs that the handler of a real server finds.
type served struct {
	mu  sync.Mutex
	ids []string
}

func (s *served) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, _ := clickid.FromContext(r.Context())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = append(s.ids, c.ID)
	_, _ = io.WriteString(w, "page")
}

// take returns the click IDs since the last call, each in brackets, so that "[]" is
// a page without a click, and "" no page.
func (s *served) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := s.ids
	s.ids = nil
	if ids == nil {
		return ""
	}
	return "[" + strings.Join(ids, "] [") + "]"
}

// exchange sends bytes to a server, ends the connection's sending side, and returns
// the responses.
func exchange(t *testing.T, address, request string) (responses []*http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	reader := bufio.NewReader(conn)
	var head *http.Request // whose response has no body
	if strings.HasPrefix(request, http.MethodHead) {
		head = &http.Request{Method: http.MethodHead}
	}
	for {
		if _, err := reader.Peek(1); err != nil {
			return responses
		}
		resp, err := http.ReadResponse(reader, head)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		responses = append(responses, resp)
	}
}

// TestHostile_rawRequests sends to a real server what Go's client refuses to send.
func TestHostile_rawRequests(t *testing.T) {
	t.Parallel()
	s := newRealSite(t, clickid.Config{Store: newCookieStore(t, firstKey)})
	token, _ := clickid.Token(s.visitor().get("/?clkid=own").ctx)
	const land, none = "GET /?clkid=abc HTTP/1.1\r\nHost: shop.example\r\n", "[]"
	own := "__Host-clkid=" + token
	for name, tt := range map[string]struct{ request, found string }{
		"a landing":                        {land + "\r\n", "[abc]"},
		"a target in absolute form":        {"GET http://evil.example/?clkid=abc HTTP/1.1\r\nHost: shop.example\r\n\r\n", "[abc]"},
		"a path with another host":         {"GET //evil.example/?clkid=abc HTTP/1.1\r\nHost: shop.example\r\n\r\n", "[abc]"},
		"bytes that are not UTF-8":         {"GET /\xff\u00a0?clkid=abc HTTP/1.1\r\nHost: shop.example\r\n\r\n", "[abc]"},
		"a fragment":                       {"GET /?clkid=abc#x HTTP/1.1\r\nHost: shop.example\r\n\r\n", none},
		"HTTP/1.0 without Host":            {"GET /?clkid=abc HTTP/1.0\r\n\r\n", "[abc]"},
		"HEAD":                             {"HEAD /?clkid=abc HTTP/1.0\r\n\r\n", none},
		"CONNECT":                          {"CONNECT evil.example:443?clkid=abc HTTP/1.1\r\nHost: evil.example:443\r\n\r\n", none},
		"CONNECT with a path":              {"CONNECT /?clkid=abc HTTP/1.1\r\nHost: shop.example\r\n\r\n", none},
		"OPTIONS":                          {"OPTIONS /?clkid=abc HTTP/1.1\r\nHost: shop.example\r\n\r\n", none},
		"TRACE":                            {"TRACE /?clkid=abc HTTP/1.1\r\nHost: shop.example\r\n\r\n", none},
		"a method in lower case":           {"get /?clkid=abc HTTP/1.1\r\nHost: shop.example\r\n\r\n", none},
		"a folded Cookie":                  {"GET / HTTP/1.1\r\nHost: shop.example\r\nCookie: a=b;\r\n " + own + "\r\n\r\n", "[own]"},
		"a line end in a value":            {land + "Cookie: a=b\n" + own + "\r\n\r\n", ""},
		"a carriage return in a value":     {land + "Cookie: a\r" + own + "\r\n\r\n", ""},
		"NUL in a value":                   {land + "Cookie: " + own + "\x00\r\n\r\n", ""},
		"a space before the colon":         {land + "Cookie : " + own + "\r\n\r\n", ""},
		"two hosts":                        {land + "Host: evil.example\r\n\r\n", ""},
		"an international host":            {"GET /?clkid=abc HTTP/1.1\r\nHost: b\u00fccher.example\r\n\r\n", ""},
		"three Cookie headers":             {"GET / HTTP/1.1\r\nHost: shop.example\r\nCookie: a=b\r\nCookie: __Host-clkid=x\r\ncOOKIE: " + own + "\r\n\r\n", "[own]"},
		"Cookie attributes of RFC 2109":    {"GET / HTTP/1.1\r\nHost: shop.example\r\nCookie: $Version=1; " + own + "; $Path=/\r\n\r\n", "[own]"},
		"a token with padding":             {"GET / HTTP/1.1\r\nHost: shop.example\r\nCookie: " + own + "=\r\n\r\n", none},
		"a token in quotes":                {"GET / HTTP/1.1\r\nHost: shop.example\r\nCookie: __Host-clkid=\"" + token + "\"\r\n\r\n", none},
		"a token with an escape":           {"GET / HTTP/1.1\r\nHost: shop.example\r\nCookie: __Host-clkid=%4" + token[1:] + "\r\n\r\n", none},
		"a token that is cut":              {"GET / HTTP/1.1\r\nHost: shop.example\r\nCookie: " + own[:len(own)-1] + "\r\n\r\n", none},
		"a token that is longer":           {"GET / HTTP/1.1\r\nHost: shop.example\r\nCookie: " + own + "A\r\n\r\n", none},
		"a request in a body":              {"POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 63\r\n\r\nGET /?clkid=hidden HTTP/1.1\r\nHost: shop.example\r\nA: 0123456\r\n\r\n", none},
		"two lengths":                      {"POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n12345", ""},
		"a Referer with user information":  {"GET / HTTP/1.1\r\nHost: shop.example\r\nAccept: text/html\r\nReferer: https://shop.example@evil.example/?clkid=abc\r\n\r\n", none},
		"a Referer with another encoding":  {"GET / HTTP/1.1\r\nHost: xn--bcher-kva.example\r\nAccept: text/html\r\nReferer: https://b\u00fccher.example/?clkid=abc\r\n\r\n", none},
		"a Referer with a reverse solidus": {"GET / HTTP/1.1\r\nHost: shop.example\r\nAccept: text/html\r\nReferer: https://evil.example\\@shop.example/?clkid=abc\r\n\r\n", none},
	} {
		for _, strip := range []bool{false, true} {
			found := &served{}
			site := newRealSite(t, clickid.Config{Store: newCookieStore(t, firstKey), StripParam: strip})
			server := httptest.NewServer(site.Handler(found))
			request := tt.request
			if strip {
				request = strings.Replace(request, "HTTP/1.1\r\n", "HTTP/1.1\r\n"+https+"\r\n", 1)
			}
			responses := exchange(t, server.Listener.Addr().String(), request)
			server.Close()
			require.NotEmpty(t, responses, name)
			redirected := false
			for _, resp := range responses {
				for _, line := range resp.Header["Set-Cookie"] {
					require.Regexp(t, ourCookie, line, name)
				}
				if resp.StatusCode == http.StatusFound {
					redirected = true
					location := resp.Header.Get("Location")
					require.Regexp(t, `^/([^/\\]|$)`, location, name)
				}
			}
			switch got := found.take(); {
			case tt.found == "":
				require.Equal(t, http.StatusBadRequest, responses[0].StatusCode, name)
				require.Empty(t, got, name)
				require.Empty(t, site.observations(), name)
			case redirected:
				require.True(t, strip && tt.found == "[abc]" && got == "", "%s: %s", name, got)
			default:
				require.Equal(t, tt.found, got, name)
			}
		}
	}
}

// TestHostile_http2 splits cookies as HTTP/2 does (RFC 9113, section 8.2.3).
func TestHostile_http2(t *testing.T) {
	t.Parallel()
	s, found := newRealSite(t, clickid.Config{Store: newCookieStore(t, firstKey)}), &served{}
	token, _ := clickid.Token(s.visitor().get("/?clkid=own").ctx)
	server := httptest.NewUnstartedServer(s.Handler(found))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	r, err := http.NewRequest(http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	r.Header["Cookie"] = []string{"a=b", "__Host-clkid=x", "__Host-clkid=" + token, "c=d"}
	resp, err := server.Client().Do(r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "HTTP/2.0", resp.Proto)
	require.Equal(t, "[own]", found.take())
	require.Empty(t, resp.Header["Set-Cookie"])
}
