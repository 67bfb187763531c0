package fiberadapter_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	fiberadapter "github.com/clickid/clickid/adapter_fiber"
	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp/fasthttputil"
)

// FuzzMiddleware sends the same raw request to a site of net/http and to one of
// Fiber. Where both serve the page, they capture the same click.
func FuzzMiddleware(f *testing.F) {
	store, err := clickid.NewCookieStore([]byte(strings.Repeat("k", clickid.MinCookieKeyLength)))
	if err != nil {
		f.Fatal(err)
	}
	tracker, err := clickid.New(clickid.Config{Store: store, StripParam: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	app := fiber.New()
	app.Use(fiberadapter.Middleware(tracker))
	app.Use(func(c fiber.Ctx) error {
		click, _ := clickid.Lookup(c.Context())
		c.Set("Click", click.Param+"="+click.ID)
		return nil
	})
	page := tracker.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		click, _ := clickid.Lookup(r.Context())
		w.Header().Set("Click", click.Param+"="+click.ID)
	}))
	ofFiber, ofNetHTTP := fasthttputil.NewInmemoryListener(), fasthttputil.NewInmemoryListener()
	server := &http.Server{Handler: page, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go func() { _ = app.Listener(ofFiber, fiber.ListenConfig{DisableStartupMessage: true}) }()
	go func() { _ = server.Serve(ofNetHTTP) }()
	f.Cleanup(func() { _, _ = ofFiber.Close(), ofNetHTTP.Close() })

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
	f.Fuzz(func(t *testing.T, target, host, header string) {
		for _, part := range []string{target, host, header} {
			if strings.ContainsAny(part, "\r\n") {
				return
			}
		}
		// A body would be read by one of the servers only.
		if name, _, _ := strings.Cut(strings.ToLower(header), ":"); strings.ContainsAny(target, " \t") || strings.Contains(name, "content") ||
			strings.Contains(name, "encoding") || strings.Contains(name, "expect") || strings.Contains(name, "host") || strings.Contains(name, "connection") {
			return
		}
		raw := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\nConnection: close\r\n\r\n", target, host, header)
		want, served := exchange(t, store, ofNetHTTP, raw)
		got, servedByFiber := exchange(t, store, ofFiber, raw)
		if served && servedByFiber && got != want {
			t.Fatalf("%q: Fiber has %q and net/http %q", raw, got, want)
		}
	})
}

// exchange sends a request and returns what the tracker did to the response, or
// false if the server refused the request.
func exchange(t *testing.T, store clickid.Store, listener *fasthttputil.InmemoryListener, raw string) (seen string, served bool) {
	t.Helper()
	conn, err := listener.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer func(conn net.Conn) { _ = conn.Close() }(conn)
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, raw); err != nil {
		return "", false
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode >= http.StatusBadRequest {
		return "", false
	}
	cookies := []string{}
	for _, cookie := range resp.Cookies() {
		click, _ := store.Load(t.Context(), cookie.Value)
		cookies = append(cookies, fmt.Sprint(cookie.Name, cookie.MaxAge, cookie.Secure, cookie.Path, click.Param, click.ID))
	}
	return fmt.Sprint(resp.StatusCode, resp.Header["Click"], resp.Header["Location"], resp.Header["Cache-Control"], cookies), true
}
