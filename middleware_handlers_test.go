package clickid_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// newServer serves h over TLS and returns a browser's client, which keeps
// cookies and follows no redirects.
func newServer(t testing.TB, h http.Handler) (*httptest.Server, *http.Client) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = false
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	client := server.Client()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	client.Jar = jar
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return server, client
}

func fetch(t testing.TB, client *http.Client, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	require.NoError(t, err)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	resp, err := client.Do(r)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp, string(body)
}

func clickCookies(resp *http.Response) int {
	n := 0
	for _, c := range resp.Cookies() {
		if c.Name == "__Host-clkid" {
			n++
		}
	}
	return n
}

// showClick is a page that prints the visitor's click ID.
func showClick(w http.ResponseWriter, r *http.Request) {
	click, err := clickid.Lookup(r.Context())
	if err != nil {
		_, _ = fmt.Fprint(w, err)
		return
	}
	_, _ = fmt.Fprint(w, click.ID)
}

func TestHandler_responses(t *testing.T) {
	t.Parallel()
	modified := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		page    http.HandlerFunc
		headers []string
		status  int
		body    string
		header  string // "Name: value" of the response
	}{
		"a page":         {page: showClick, status: 200, body: "abc"},
		"nothing at all": {page: func(http.ResponseWriter, *http.Request) {}, status: 200},
		"a redirect": {
			page:   func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/next", http.StatusSeeOther) },
			status: 303, body: "<a href=\"/next\">See Other</a>.\n\n", header: "Location: /next",
		},
		"not modified": {
			page: func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Etag", `"1"`)
				http.ServeContent(w, r, "page.html", modified, strings.NewReader("text"))
			},
			headers: []string{`If-None-Match: "1"`}, status: 304,
		},
		"a part of a file": {
			page: func(w http.ResponseWriter, r *http.Request) {
				http.ServeContent(w, r, "page.txt", modified, strings.NewReader("0123456789"))
			},
			headers: []string{"Range: bytes=2-4"}, status: 206, body: "234", header: "Content-Range: bytes 2-4/10",
		},
		"flushing before anything else": {
			page: func(w http.ResponseWriter, r *http.Request) {
				w.(http.Flusher).Flush()
				showClick(w, r)
			},
			status: 200, body: "abc",
		},
		"early hints": {
			page: func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Link", "</style.css>; rel=preload; as=style")
				w.WriteHeader(http.StatusEarlyHints)
				showClick(w, r)
			},
			status: 200, body: "abc", header: "Link: </style.css>; rel=preload; as=style",
		},
		"a response controller": {
			page: func(w http.ResponseWriter, r *http.Request) {
				controller := http.NewResponseController(w)
				for _, err := range []error{
					controller.SetReadDeadline(time.Now().Add(time.Minute)), controller.SetWriteDeadline(time.Now().Add(time.Minute)),
					controller.EnableFullDuplex(), controller.Flush(),
				} {
					if err != nil {
						_, _ = fmt.Fprint(w, err)
					}
				}
				showClick(w, r)
			},
			status: 200, body: "abc",
		},
		"io.ReaderFrom": {
			page: func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader("copied"))
			},
			status: 200, body: "copied",
		},
		"io.StringWriter": {
			page:   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.(io.StringWriter).WriteString("text") },
			status: 200, body: "text",
		},
		"an error page": {
			page:   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "sold out", http.StatusGone) },
			status: 410, body: "sold out\n",
		},
		"cookies of its own": {
			page: func(w http.ResponseWriter, r *http.Request) {
				http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
				showClick(w, r)
			},
			status: 200, body: "abc",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tracker := newTracker(t, clickid.Config{})
			mux := http.NewServeMux()
			mux.HandleFunc("/{$}", tt.page)
			mux.HandleFunc("/later", showClick)
			server, client := newServer(t, tracker.Handler(mux))
			resp, body := fetch(t, client, server.URL+"/?clkid=abc", tt.headers...)
			require.Equal(t, tt.status, resp.StatusCode)
			require.Equal(t, tt.body, body)
			if tt.header != "" {
				headerName, value, _ := strings.Cut(tt.header, ": ")
				require.Equal(t, value, resp.Header.Get(headerName))
			}
			require.Equal(t, 1, clickCookies(resp))
			require.Equal(t, "private, no-cache", resp.Header.Get("Cache-Control"))
			_, body = fetch(t, client, server.URL+"/later")
			require.Equal(t, "abc", body)
		})
	}
}

func TestHandler_stream(t *testing.T) {
	t.Parallel()
	tracker := newTracker(t, clickid.Config{})
	read := make(chan struct{})
	server, client := newServer(t, tracker.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first\n")
		w.(http.Flusher).Flush()
		<-read // the visitor has the first line while the handler still runs
		_, _ = io.WriteString(w, "second\n")
	})))
	resp, err := client.Get(server.URL + "/?clkid=abc")
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	require.Equal(t, 1, clickCookies(resp))
	lines := bufio.NewReader(resp.Body)
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "first\n", line)
	close(read)
	line, err = lines.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "second\n", line)
}

func TestHandler_hijack(t *testing.T) {
	t.Parallel()
	tracker := newTracker(t, clickid.Config{})
	server, client := newServer(t, tracker.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connection, buffer, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer func() { _ = connection.Close() }()
		click, _ := clickid.FromContext(r.Context())
		_, _ = fmt.Fprintf(buffer, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(click.ID), click.ID)
		_ = buffer.Flush()
	})))
	_, body := fetch(t, client, server.URL+"/?clkid=abc")
	require.Equal(t, "abc", body)
}

func TestHandler_abort(t *testing.T) {
	t.Parallel()
	tracker := newTracker(t, clickid.Config{})
	server, client := newServer(t, tracker.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	})))
	resp, err := client.Get(server.URL + "/?clkid=abc")
	if err == nil {
		_ = resp.Body.Close()
	}
	require.Error(t, err, "the handler's own panic is not swallowed")
}

func TestHandler_http2(t *testing.T) {
	t.Parallel()
	tracker := newTracker(t, clickid.Config{})
	server := httptest.NewUnstartedServer(tracker.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := w.(http.Pusher); !ok {
			http.Error(w, "the writer is wrapped", http.StatusInternalServerError)
			return
		}
		showClick(w, r)
	})))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	resp, body := fetch(t, server.Client(), server.URL+"/?clkid=abc")
	require.Equal(t, 2, resp.ProtoMajor)
	require.Equal(t, "abc", body)
	require.Equal(t, 1, clickCookies(resp))
}

// TestHandler_routerRedirects follows the responses of http.ServeMux to paths that
// are not in its form, which keeps the query.
func TestHandler_routerRedirects(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		target string
		cfg    clickid.Config
		last   string // the URL at which the visitor arrives
		hops   int
	}{
		"a trailing slash":                     {"/shop?clkid=abc&x=1", clickid.Config{}, "/shop/?clkid=abc&x=1", 1},
		"a path to be cleaned":                 {"/a/../shop//?clkid=abc", clickid.Config{}, "/shop/?clkid=abc", 1},
		"both, with the parameter stripped":    {"/a/../shop?x=1&clkid=abc", clickid.Config{StripParam: true}, "/shop/?x=1", 2},
		"a trailing slash, stripped before":    {"/shop?clkid=abc", clickid.Config{StripParam: true}, "/shop/", 2},
		"the application's redirect to a page": {"/old?clkid=abc", clickid.Config{}, "/shop/", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, tt.cfg)
			mux := http.NewServeMux()
			mux.HandleFunc("/shop/", showClick)
			mux.HandleFunc("/old", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/shop/", http.StatusFound) })
			server, client := newServer(t, s.Handler(mux))
			cookies, hops := 0, 0
			client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
				cookies += clickCookies(r.Response)
				hops = len(via)
				require.Less(t, hops, 5)
				return nil
			}
			resp, body := fetch(t, client, server.URL+tt.target)
			require.Equal(t, tt.last, resp.Request.URL.RequestURI())
			require.Equal(t, tt.hops, hops)
			require.Equal(t, "abc", body)
			require.Equal(t, 1, cookies+clickCookies(resp), "the cookie is set once")
			require.EqualValues(t, 1, s.store.saves.Load())
		})
	}
}

func TestHandler_timeout(t *testing.T) {
	t.Parallel()
	tracker := newTracker(t, clickid.Config{})
	mux := http.NewServeMux()
	mux.Handle("/shop/", http.StripPrefix("/shop", tracker.Handler(http.HandlerFunc(showClick))))
	server, client := newServer(t, http.TimeoutHandler(mux, time.Minute, "too late"))
	resp, body := fetch(t, client, server.URL+"/shop/?clkid=abc")
	require.Equal(t, "abc", body)
	require.Equal(t, 1, clickCookies(resp))
	_, body = fetch(t, client, server.URL+"/shop/cart")
	require.Equal(t, "abc", body)
}
