package clickid_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// benchmarkPage measures a handler with a writer that costs nothing.
func benchmarkPage(b *testing.B, h http.Handler, r *http.Request) {
	w := &discardWriter{header: http.Header{}}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		h.ServeHTTP(w, r)
	}
}

// benchmarkBeside measures a page with and without the tracker, so that the
// two can be read side by side.
func benchmarkBeside(b *testing.B, tracker *clickid.Tracker, page http.HandlerFunc, r *http.Request) {
	b.Run("bare", func(b *testing.B) { benchmarkPage(b, page, r) })
	b.Run("tracked", func(b *testing.B) { benchmarkPage(b, tracker.Handler(page), r) })
}

// smallPage is about the least that a page does: a header and a line.
func smallPage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, "<p>%s</p>", r.URL.Path)
}

func benchmarkTracker(b *testing.B, store clickid.Store) *clickid.Tracker {
	b.Helper()
	return newTracker(b, clickid.Config{Store: store})
}

// landed returns a page request of a visitor whose click the tracker has.
func landed(b *testing.B, tracker *clickid.Tracker) *http.Request {
	b.Helper()
	w := httptest.NewRecorder()
	tracker.Capture(w, newRequest(http.MethodGet, "/?clkid="+documentedID))
	cookies := w.Result().Cookies()
	if len(cookies) != 1 {
		b.Fatal("the click was not captured")
	}
	return newRequest(http.MethodGet, "/shop", "Cookie: session=0123456789abcdef; "+cookies[0].Name+"="+cookies[0].Value)
}

// BenchmarkPageWithoutClick is what nearly all pages of a site cost.
func BenchmarkPageWithoutClick(b *testing.B) {
	r := pagesWithoutAClick["a browser's full navigation"]
	benchmarkBeside(b, benchmarkTracker(b, nil), smallPage, r)
}

// BenchmarkPageWithoutClickOverHTTP is the same over a connection.
func BenchmarkPageWithoutClickOverHTTP(b *testing.B) {
	tracker := benchmarkTracker(b, nil)
	for name, h := range map[string]http.Handler{"bare": http.HandlerFunc(smallPage), "tracked": tracker.Handler(http.HandlerFunc(smallPage))} {
		b.Run(name, func(b *testing.B) {
			server := httptest.NewServer(h)
			defer server.Close()
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				resp, err := server.Client().Get(server.URL + "/shop?q=shoes")
				if err != nil {
					b.Fatal(err)
				}
				_ = resp.Body.Close()
			}
		})
	}
}

// BenchmarkPageWithCookie measures a page that does not look up the visitor's
// click.
func BenchmarkPageWithCookie(b *testing.B) {
	tracker := benchmarkTracker(b, nil)
	benchmarkBeside(b, tracker, smallPage, landed(b, tracker))
}

// BenchmarkPageThatAsks is a page of a visitor who has a click, and which asks
// for it, or only for its token.
func BenchmarkPageThatAsks(b *testing.B) {
	for name, store := range map[string]clickid.Store{"cookie": newCookieStore(b, firstKey), "memory": clickid.NewMemoryStore()} {
		tracker := benchmarkTracker(b, store)
		r := landed(b, tracker)
		for question, ask := range map[string]func(*http.Request) bool{
			"click": func(r *http.Request) bool { _, ok := clickid.FromContext(r.Context()); return ok },
			"token": func(r *http.Request) bool { _, ok := clickid.Token(r.Context()); return ok },
		} {
			b.Run(name+"/"+question, func(b *testing.B) {
				benchmarkPage(b, tracker.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					if !ask(r) {
						b.Error("no click")
					}
				})), r)
			})
		}
	}
}

// BenchmarkLanding is the page on which a click is stored: once for each
// visitor.
func BenchmarkLanding(b *testing.B) {
	for name, store := range map[string]clickid.Store{"cookie": newCookieStore(b, firstKey), "memory": clickid.NewMemoryStore()} {
		b.Run(name, func(b *testing.B) {
			tracker := benchmarkTracker(b, store)
			benchmarkPage(b, tracker.Handler(http.HandlerFunc(smallPage)), newRequest(http.MethodGet, "/?clkid="+documentedID))
		})
	}
}

// BenchmarkResolve is the lookup of a webhook.
func BenchmarkResolve(b *testing.B) {
	for name, store := range map[string]clickid.Store{"cookie": newCookieStore(b, firstKey), "memory": clickid.NewMemoryStore()} {
		b.Run(name, func(b *testing.B) {
			tracker := benchmarkTracker(b, store)
			at := time.Now()
			token, err := store.Save(context.Background(), clickid.Click{ID: documentedID, Param: "clkid", At: at, Expires: at.Add(time.Hour)})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if _, err := tracker.Resolve(context.Background(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFlood serves requests of one MiB that consist of separators, over a
// connection. The bare handler reads neither cookies nor the query.
func BenchmarkFlood(b *testing.B) {
	tracker := benchmarkTracker(b, nil)
	bare := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	const size = 1 << 20
	for name, request := range map[string]string{
		"cookie of semicolons":  "GET / HTTP/1.1\r\nHost: shop.example\r\nCookie: " + strings.Repeat(";", size) + "\r\n\r\n",
		"cookie of names":       "GET / HTTP/1.1\r\nHost: shop.example\r\nCookie: " + strings.Repeat("__Host-clkid=;", size/14) + "\r\n\r\n",
		"query of ampersands":   "GET /?" + strings.Repeat("&", size) + " HTTP/1.1\r\nHost: shop.example\r\n\r\n",
		"query of semicolons":   "GET /?" + strings.Repeat(";", size) + " HTTP/1.1\r\nHost: shop.example\r\n\r\n",
		"query of names":        "GET /?" + strings.Repeat("clkid=&", size/7) + " HTTP/1.1\r\nHost: shop.example\r\n\r\n",
		"Referer of ampersands": "GET / HTTP/1.1\r\nHost: shop.example\r\nReferer: https://shop.example/?" + strings.Repeat("&", size) + "\r\n\r\n",
	} {
		for _, tt := range []struct {
			name string
			h    http.Handler
		}{{"bare", bare}, {"tracked", tracker.Handler(bare)}} {
			b.Run(name+"/"+tt.name, func(b *testing.B) {
				server := httptest.NewUnstartedServer(tt.h)
				server.Config.MaxHeaderBytes = 2 << 20
				server.Start()
				defer server.Close()
				conn, err := net.Dial("tcp", server.Listener.Addr().String())
				require.NoError(b, err)
				defer conn.Close()
				responses := bufio.NewReader(conn)
				for b.Loop() {
					_, err := io.WriteString(conn, request)
					require.NoError(b, err)
					resp, err := http.ReadResponse(responses, nil)
					require.NoError(b, err)
					require.Equal(b, http.StatusOK, resp.StatusCode)
					require.NoError(b, resp.Body.Close())
				}
			})
		}
	}
}
