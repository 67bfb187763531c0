package fiberadapter_test

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	fiberadapter "github.com/clickid/clickid/adapter_fiber"
	"github.com/clickid/clickid/internal/adaptertest"
	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"
	"github.com/gofiber/fiber/v3/middleware/compress"
	"github.com/gofiber/fiber/v3/middleware/recover"
	"github.com/gofiber/fiber/v3/middleware/static"
	"github.com/valyala/fasthttp"
)

func TestMiddleware(t *testing.T) {
	adaptertest.Run(t, adaptertest.Router[fiber.Handler]{
		Pages:  pages,
		Idioms: []string{"fiber.Ctx", "fasthttp.RequestCtx"},
		Serve:  serve,
	})
}

func serve(t *testing.T, site adaptertest.Site[fiber.Handler]) string {
	look := func(c fiber.Ctx) error {
		site.Look(adaptertest.RequestContext, c.Context())
		site.Look("fiber.Ctx", c)
		site.Look("fasthttp.RequestCtx", c.RequestCtx())
		return c.Next()
	}
	holdsBack := map[string]bool{} // Fiber's compression buffers streams
	for i, page := range site.Pages {
		holdsBack[adaptertest.Path(i)] = page.Kind == adaptertest.Flushes
	}
	app := fiber.New()
	app.Use(recover.New())
	if site.Compress {
		app.Use(compress.New(compress.Config{Next: func(c fiber.Ctx) bool {
			return holdsBack[c.Path()]
		}}))
	}
	for _, tracker := range site.Trackers() {
		app.Use(fiberadapter.Middleware(tracker))
	}
	// No path below is a static file. Inside the groups it is a folder without
	// an index, for which fasthttp resets the header before the handler runs.
	app.Use(static.New("testdata/public"))
	for i, page := range site.Pages {
		app.Get(adaptertest.Path(i), look, page.Handler)
	}
	shop := app.Group("/shop")
	if site.Mount == adaptertest.OnGroup {
		shop.Use(fiberadapter.Middleware(site.Tracker))
	}
	shop.Group("/eu").Get("/page", look, site.Pages[0].Handler)

	consent := func(change func(http.ResponseWriter, *http.Request) (*http.Request, error)) fiber.Handler {
		return func(c fiber.Ctx) error {
			if err := fiberadapter.Do(c, change); err != nil {
				return err
			}
			return c.Next()
		}
	}
	noContent := func(c fiber.Ctx) error { return c.SendStatus(fiber.StatusNoContent) }
	app.Post("/consent", consent(func(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
		return site.Tracker.Remember(w, r, "")
	}), look, noContent)
	app.Get("/withdraw", consent(func(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
		return nil, site.Tracker.Forget(w, r)
	}), look, noContent)

	return listen(t, app)
}

// listen serves app and returns its URL.
func listen(t *testing.T, app *fiber.App) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- app.Listener(listener, fiber.ListenConfig{DisableStartupMessage: true}) }()
	t.Cleanup(func() {
		if err := errors.Join(app.ShutdownWithTimeout(10*time.Second), <-done); err != nil {
			t.Error(err)
		}
	})
	return "http://" + listener.Addr().String()
}

func TestMiddleware_uploads(t *testing.T) {
	adaptertest.Uploads(t, func(t *testing.T, tracker *clickid.Tracker, parsed func()) (string, *http.Client) {
		app := fiber.New(fiber.Config{StreamRequestBody: true, DisablePreParseMultipartForm: true}) // so that the file is on disk
		if tracker != nil {
			app.Use(fiberadapter.Middleware(tracker))
		}
		app.Post(adaptertest.UploadPath, func(c fiber.Ctx) error {
			if _, err := c.FormFile("file"); err != nil {
				return err
			}
			parsed()
			return nil
		})
		return listen(t, app), http.DefaultClient
	})
}

func pages(awaitReader func()) []adaptertest.Page[fiber.Handler] {
	type c = fiber.Ctx
	page := adaptertest.NewPage[fiber.Handler]
	return []adaptertest.Page[fiber.Handler]{
		page(adaptertest.Writes, "SendString", func(c c) error { return c.SendString("hello") }, 200, "hello"),
		page(adaptertest.Writes, "Send", func(c c) error { return c.Status(202).Send([]byte("hello")) }, 202, "hello"),
		page(adaptertest.Writes, "JSON", func(c c) error { return c.Status(201).JSON(fiber.Map{"hello": "world"}) }, 201, "world"),
		page(adaptertest.Writes, "JSONP", func(c c) error { return c.JSONP("hello") }, 200, "hello"),
		page(adaptertest.Writes, "XML", func(c c) error { return c.XML("hello") }, 200, "hello"),
		page(adaptertest.Writes, "AutoFormat", func(c c) error { return c.AutoFormat("hello") }, 200, "hello"),
		page(adaptertest.Writes, "Format", func(c c) error {
			return c.Format(fiber.ResFmt{MediaType: "text/html", Handler: func(c fiber.Ctx) error { return c.SendString("hello") }})
		}, 200, "hello"),
		page(adaptertest.Writes, "SendEarlyHints", func(c c) error {
			if err := c.SendEarlyHints([]string{"</style.css>; rel=preload; as=style"}); err != nil {
				return err
			}
			return c.SendString("hello")
		}, 200, "hello"),
		page(adaptertest.Writes, "Download", func(c c) error { return c.Download("fiber.go") }, 200, "package fiberadapter"),
		page(adaptertest.Writes, "SendStatus", func(c c) error { return c.SendStatus(204) }, 204, ""),
		page(adaptertest.Writes, "nothing", func(c) error { return nil }, 200, ""),
		page(adaptertest.Writes, "Write", func(c c) error { _, err := c.Write([]byte("hello")); return err }, 200, "hello"),
		page(adaptertest.Writes, "WriteString", func(c c) error { _, err := c.WriteString("hello"); return err }, 200, "hello"),
		page(adaptertest.Writes, "Response().SetBody", func(c c) error { c.Response().SetBodyString("hello"); return nil }, 200, "hello"),
		page(adaptertest.Writes, "Cookie", func(c c) error {
			c.Cookie(&fiber.Cookie{Name: "session", Value: "1"})
			return c.SendString("hello")
		}, 200, "hello"),
		page(adaptertest.Writes, "Set", func(c c) error {
			c.Set("Cache-Control", "public, max-age=60")
			return c.SendString("hello")
		}, 200, "hello").WithOwnCaching(),
		page(adaptertest.Writes, "SendFile", func(c c) error { return c.SendFile("fiber.go") }, 200, "package fiberadapter").WithOwnCaching(),
		page(adaptertest.Writes, "SendFile without the file", func(c c) error { return c.SendFile("no/such/file") }, 404, ""),
		page(adaptertest.Writes, "a net/http handler", adaptor.HTTPHandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
			_, _ = w.Write([]byte("hello"))
		}), 200, "hello"),
		page(adaptertest.Flushes, "SendStreamWriter", func(c c) error {
			return c.SendStreamWriter(func(w *bufio.Writer) {
				_, _ = w.WriteString(adaptertest.First)
				_ = w.Flush()
				awaitReader()
				_, _ = w.WriteString(adaptertest.Second)
			})
		}, 200, "first second"),
		page(adaptertest.Streams, "SendStream", func(c c) error {
			return c.SendStream(strings.NewReader(strings.Repeat("stream ", 1000)))
		}, 200, "stream stream"),
		page(adaptertest.Redirects, "Redirect().To", func(c c) error { return c.Redirect().To("/elsewhere") }, 303, ""),
		page(adaptertest.Redirects, "fasthttp's Redirect", func(c c) error { c.RequestCtx().Redirect("http://elsewhere.test/", 302); return nil }, 302, ""),
		page(adaptertest.Aborts, "Error", func(c) error { return fiber.NewError(403, "no") }, 403, "no"),
		page(adaptertest.Aborts, "fasthttp's Error", func(c c) error { c.RequestCtx().Error("no", 403); return nil }, 403, "no"),
		page(adaptertest.Panics, "before writing", func(c) error { panic("on purpose") }, 500, "on purpose"),
		page(adaptertest.Fails, "unknown error", func(c) error { return errors.New("broken") }, 500, "broken"),
		page(adaptertest.Fails, "after writing", func(c c) error { _ = c.SendString("hello"); return errors.New("broken") }, 500, "broken"),
	}
}

// pageWithCookie returns a function that serves a page to a visitor with a cookie.
func pageWithCookie(cookie string, handlers ...any) func() {
	app := fiber.New()
	page := func(c fiber.Ctx) error { return c.SendString("hello") }
	handlers = append(handlers, page)
	app.Get("/", handlers[0], handlers[1:]...)
	handler := app.Handler()
	c := new(fasthttp.RequestCtx)
	c.Request.SetRequestURI("/?size=42")
	for name, value := range map[string]string{
		"Host": "shop.test", "Cookie": cookie, "Accept": "text/html",
		"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "User-Agent": "Mozilla/5.0",
	} {
		c.Request.Header.Set(name, value)
	}
	return func() {
		c.Response.Reset()
		c.ResetUserValues()
		handler(c)
	}
}

// TestMiddleware_allocations allows the three with which fasthttp joins the
// cookies, and some of a pool under the race detector. A copy costs more than 30.
func TestMiddleware_allocations(t *testing.T) {
	serve := pageWithCookie("session=1", fiberadapter.Middleware(adaptertest.NewTracker(t)))
	if n := testing.AllocsPerRun(100, serve); n > 10 {
		t.Errorf("%v allocations: the request is copied", n)
	}
}

// BenchmarkPageWithClick serves a page to a visitor with a click.
func BenchmarkPageWithClick(b *testing.B) {
	tracker := adaptertest.NewTracker(b)
	landing := httptest.NewRecorder()
	tracker.Handler(http.NotFoundHandler()).ServeHTTP(landing, httptest.NewRequest(http.MethodGet, "/?clkid=abc", nil))
	cookie := landing.Result().Cookies()[0]
	serve := pageWithCookie(cookie.Name+"="+cookie.Value, fiberadapter.Middleware(tracker))
	b.ReportAllocs()
	for b.Loop() {
		serve()
	}
}
