// Package routers_test measures the adapters: the same page without a click
// through each router, with the middleware and without any.
package routers_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/gofiber/fiber/v3"
	echo4 "github.com/labstack/echo/v4"
	echo5 "github.com/labstack/echo/v5"
	"github.com/valyala/fasthttp"

	"github.com/clickid/clickid"
	echoadapter "github.com/clickid/clickid/adapter_echo"
	echo5adapter "github.com/clickid/clickid/adapter_echo5"
	fiberadapter "github.com/clickid/clickid/adapter_fiber"
	ginadapter "github.com/clickid/clickid/adapter_gin"
	"github.com/clickid/clickid/bench/internal/ratio"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	os.Exit(ratio.Main(m))
}

// headers are those of the request.
var headers = map[string]string{
	"Host": "shop.example", "Cookie": "session=1", "Accept": "text/html",
	"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "User-Agent": "Mozilla/5.0",
}

const target = "/?size=42"

// router is a router with a page.
type router struct {
	name string
	// open returns a function that requests the page, with or without the
	// middleware of a tracker.
	open func(tracker *clickid.Tracker) (request func())
}

var routers = []router{
	{"Gin", func(tracker *clickid.Tracker) func() {
		r := gin.New()
		if tracker != nil {
			r.Use(ginadapter.Middleware(tracker))
		}
		r.GET("/", func(c *gin.Context) { c.Status(http.StatusNoContent) })
		return requesting(r)
	}},
	{"Echo v4", func(tracker *clickid.Tracker) func() {
		e := echo4.New()
		if tracker != nil {
			e.Use(echoadapter.Middleware(tracker))
		}
		e.GET("/", func(c echo4.Context) error { return c.NoContent(http.StatusNoContent) })
		return requesting(e)
	}},
	{"Echo v5", func(tracker *clickid.Tracker) func() {
		e := echo5.New()
		if tracker != nil {
			e.Use(echo5adapter.Middleware(tracker))
		}
		e.GET("/", func(c *echo5.Context) error { return c.NoContent(http.StatusNoContent) })
		return requesting(e)
	}},
	{"Fiber v3", func(tracker *clickid.Tracker) func() {
		app := fiber.New()
		if tracker != nil {
			app.Use(fiberadapter.Middleware(tracker))
		}
		app.Get("/", func(c fiber.Ctx) error { return c.SendStatus(http.StatusNoContent) })
		handler, c := app.Handler(), new(fasthttp.RequestCtx)
		c.Request.SetRequestURI(target)
		for name, value := range headers {
			c.Request.Header.Set(name, value)
		}
		return func() {
			c.Response.Reset()
			c.ResetUserValues()
			handler(c)
		}
	}},
}

// requesting returns a function that calls a handler with the request.
func requesting(h http.Handler) func() {
	r, w := httptest.NewRequest(http.MethodGet, target, nil), httptest.NewRecorder()
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	return func() { h.ServeHTTP(w, r) }
}

// BenchmarkRouters compares a page with and without the middleware.
func BenchmarkRouters(b *testing.B) {
	table := ratio.NewTable("Routers", 1, "", "with the middleware ÷ without", "without", "with the middleware", "allocations of the middleware", "bytes")
	for _, router := range routers {
		b.Run(router.name, func(b *testing.B) {
			store, err := clickid.NewCookieStore(bytes.Repeat([]byte("k"), 32))
			if err != nil {
				b.Fatal(err)
			}
			tracker, err := clickid.New(clickid.Config{Store: store, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
			if err != nil {
				b.Fatal(err)
			}
			r := ratio.Measure(b, repeated("without", router.open(nil)), repeated("with the middleware", router.open(tracker)))
			table.Row(router.name, r[1].TimeOver(r[0]), r[0].Time(), r[1].Time(), r[1].Allocations()-r[0].Allocations(), r[1].Bytes()-r[0].Bytes())
		})
	}
}

// repeated returns a variant that calls f.
func repeated(name string, f func()) ratio.Variant {
	return ratio.Variant{Name: name, Run: func(n int) {
		for range n {
			f()
		}
	}}
}
