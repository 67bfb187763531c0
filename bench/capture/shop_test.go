// Package capture_test compares the middleware with its peers: what it adds to
// a page, and what it costs to store a click and to read it again.
package capture_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/bench/internal/ratio"
)

func TestMain(m *testing.M) { os.Exit(ratio.Main(m)) }

// page is about the least that a page does: a header and a line.
var page = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, "<p>%s</p>\n", r.URL.Path)
})

const clickID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"

// key signs the cookies of every variant.
var key = bytes.Repeat([]byte("k"), 32)

// request is a browser's navigation in wire format. extra are further headers.
func request(target string, extra ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: shop.example\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en\r\n" +
		"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n" +
		strings.Join(append(extra, ""), "\r\n") + "\r\n"
}

const (
	utmQuery    = "?utm_source=newsletter&utm_medium=email&utm_campaign=autumn-sale&utm_content=header&utm_term=shoes"
	fiveCookies = "Cookie: _ga=GA1.1.1234567890.1700000000; _gid=GA1.2.987654321.1700000000; theme=dark; cart=0123456789abcdef; consent=analytics"
)

// parsed is what the server makes of a request.
func parsed(tb testing.TB, request string) *http.Request {
	tb.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request)))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// writer is a ResponseWriter without costs of its own.
type writer struct{ header http.Header }

func (w *writer) Header() http.Header         { return w.header }
func (w *writer) Write(p []byte) (int, error) { return len(p), nil }
func (w *writer) WriteHeader(int)             {}

// direct calls a handler without a network. Each call has the request as the
// server reads it, since gorilla/sessions keeps its session in the request.
func direct(tb testing.TB, name string, h http.Handler, request string) ratio.Variant {
	w := &writer{header: http.Header{}}
	original, r := parsed(tb, request), new(http.Request)
	return ratio.Variant{Name: name, Run: func(n int) {
		for range n {
			clear(w.header)
			*r = *original
			h.ServeHTTP(w, r)
		}
	}}
}

// restarted is direct with a new handler for each batch, for those that store
// sessions in memory.
func restarted(tb testing.TB, name string, handler func() http.Handler, request string) ratio.Variant {
	var inner ratio.Variant
	return ratio.Variant{
		Name:    name,
		Prepare: func(int) { inner = direct(tb, name, handler(), request) },
		Run:     func(n int) { inner.Run(n) },
	}
}

// overHTTP calls a handler through a server and one connection. The CPU time
// includes that of the client, which only looks for the end of the page.
func overHTTP(tb testing.TB, name string, h http.Handler, request string) ratio.Variant {
	tb.Helper()
	conn := serve(tb, h)
	buffer := make([]byte, 8<<10)
	return ratio.Variant{Name: name, Run: func(n int) {
		for range n {
			if _, err := io.WriteString(conn, request); err != nil {
				tb.Fatal(err)
			}
			for got := 0; !bytes.HasSuffix(buffer[:got], []byte("</p>\n")); {
				read, err := conn.Read(buffer[got:])
				if err != nil {
					tb.Fatal(err)
				}
				got += read
			}
		}
	}}
}

// serve starts a server and returns a connection to it.
func serve(tb testing.TB, h http.Handler) net.Conn {
	tb.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.MaxHeaderBytes = 2 << 20 // for floods
	server.Start()
	tb.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

func newTracker(tb testing.TB, store clickid.Store) *clickid.Tracker {
	tb.Helper()
	tracker, err := clickid.New(clickid.Config{Store: store, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		tb.Fatal(err)
	}
	return tracker
}

func cookieStore(tb testing.TB) clickid.Store {
	tb.Helper()
	store, err := clickid.NewCookieStore(key)
	if err != nil {
		tb.Fatal(err)
	}
	return store
}
