package fiberadapter_test

import (
	"bufio"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	fiberadapter "github.com/clickid/clickid/adapter_fiber"
	"github.com/clickid/clickid/internal/adaptertest"
	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp/fasthttputil"
)

// FuzzMiddleware sends the same raw request to a site of net/http and to one of
// Fiber. Where both serve the page, they capture the same click.
func FuzzMiddleware(f *testing.F) {
	s := adaptertest.NewFuzzed(f)
	app := fiber.New()
	app.Use(fiberadapter.Middleware(s.Tracker))
	app.Use(func(c fiber.Ctx) error {
		s.Show(c.Context(), c.Set)
		return nil
	})
	page := s.Tracker.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.Show(r.Context(), w.Header().Set) }))
	ofFiber, ofNetHTTP := fasthttputil.NewInmemoryListener(), fasthttputil.NewInmemoryListener()
	server := &http.Server{Handler: page, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go func() { _ = app.Listener(ofFiber, fiber.ListenConfig{DisableStartupMessage: true}) }()
	go func() { _ = server.Serve(ofNetHTTP) }()
	f.Cleanup(func() { _, _ = ofFiber.Close(), ofNetHTTP.Close() })

	f.Fuzz(func(t *testing.T, target, host, header string) {
		raw, ok := s.Raw(target, host, header)
		if !ok {
			return
		}
		want, served := exchange(t, s, ofNetHTTP, raw)
		got, servedByFiber := exchange(t, s, ofFiber, raw)
		if served && servedByFiber && got != want {
			t.Fatalf("%q: Fiber has %q and net/http %q", raw, got, want)
		}
	})
}

// exchange sends a request and returns what the tracker did to the response, or
// false if the server refused the request.
func exchange(t *testing.T, s adaptertest.Fuzzed, listener *fasthttputil.InmemoryListener, raw string) (captured string, served bool) {
	t.Helper()
	conn, err := listener.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, raw); err != nil {
		return "", false
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode >= http.StatusBadRequest {
		return "", false
	}
	return s.Captured(resp), true
}
