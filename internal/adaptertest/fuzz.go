package adaptertest

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/clickid/clickid"
)

// Fuzzed is shared by the fuzz targets of adapters. It has a tracker and its store;
// its seeds are the targets, the hosts and the headers of hostile requests.
type Fuzzed struct {
	Tracker *clickid.Tracker
	store   clickid.Store
}

// NewFuzzed adds the seeds of a fuzz target of three strings: a request's
// target, host and header line.
func NewFuzzed(f *testing.F) Fuzzed {
	f.Helper()
	store := cookieStore(f)
	tracker, err := clickid.New(clickid.Config{Store: store, StripParam: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	for _, target := range []string{
		"/", "/?clkid=abc", "/?CLKID=abc", "/?a=1?clkid=abc", "/?a=1;clkid=abc", "/?clkid=%61bc", "/?clkid=a%00b", "/?%63lkid=abc", "/a%2fb?clkid=abc", "//x?clkid=abc",
		"/?clkid=01ARZ3NDEKTSV4RRFFQ69G5FAV&clkid=x", "/%zz?clkid=abc", "/ü?clkid=abc", "http://other.example/?clkid=abc", "/?clkid=abc#f", "*",
	} {
		f.Add(target, "127.0.0.1", "Sec-Fetch-Mode: navigate")
	}
	for _, header := range []string{
		"Cookie: __Host-clkid=x; clkid=y", "Referer: http://127.0.0.1/?clkid=abc", "Sec-Fetch-Dest: image", "Sec-GPC: 1", "sec-gpc: 1", "X-Forwarded-Proto: https",
		"Purpose: prefetch", "Accept: image/png", "Forwarded: proto=https", "Sec-Purpose: prefetch;prerender",
	} {
		f.Add("/?clkid=abc", "shop.example:8080", header)
	}
	return Fuzzed{tracker, store}
}

// Raw returns the request, or false if the strings make another number of
// requests, or a body.
func (Fuzzed) Raw(target, host, header string) (raw string, ok bool) {
	for _, part := range []string{target, host, header} {
		if strings.ContainsAny(part, "\r\n") {
			return "", false
		}
	}
	name, _, _ := strings.Cut(strings.ToLower(header), ":")
	for _, part := range []string{"content", "encoding", "expect", "host", "connection"} {
		if strings.Contains(name, part) {
			return "", false
		}
	}
	return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\nConnection: close\r\n\r\n", target, host, header), !strings.ContainsAny(target, " \t")
}

// Show adds the click that a page sees to its response.
func (Fuzzed) Show(ctx context.Context, set func(name, value string)) {
	click, _ := clickid.Lookup(ctx)
	set("Click", click.Param+"="+click.ID)
}

// Captured returns the effects of the tracker on a response.
func (s Fuzzed) Captured(resp *http.Response) string {
	cookies := []string{}
	for _, cookie := range resp.Cookies() {
		click, _ := s.store.Load(context.Background(), cookie.Value)
		cookies = append(cookies, fmt.Sprint(cookie.Name, cookie.MaxAge, cookie.Secure, cookie.Path, click.Param, click.ID))
	}
	return fmt.Sprint(resp.StatusCode, resp.Header["Click"], resp.Header["Location"], resp.Header["Cache-Control"], cookies)
}

// FuzzHTTP sends the same request to a site of net/http and to one of a router
// for http.Request. Where the router serves the page, both capture the same
// click.
func FuzzHTTP(f *testing.F, newRouter func(s Fuzzed) http.Handler) {
	s := NewFuzzed(f)
	router := newRouter(s)
	page := s.Tracker.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.Show(r.Context(), w.Header().Set) }))
	f.Fuzz(func(t *testing.T, target, host, header string) {
		raw, ok := s.Raw(target, host, header)
		if !ok {
			return
		}
		serve := func(h http.Handler) (captured string, served bool) {
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
			if err != nil {
				return "", false
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return s.Captured(w.Result()), w.Code < http.StatusBadRequest
		}
		got, served := serve(router) // Echo has no route for "*"
		if want, _ := serve(page); served && got != want {
			t.Fatalf("%q: the router has %q and net/http %q", raw, got, want)
		}
	})
}
