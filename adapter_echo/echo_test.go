package echoadapter_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/clickid/clickid"
	echoadapter "github.com/clickid/clickid/adapter_echo"
	"github.com/clickid/clickid/internal/adaptertest"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

func TestMiddleware(t *testing.T) {
	adaptertest.Run(t, adaptertest.Router[echo.HandlerFunc]{Pages: pages, Serve: serve})
}

func serve(t *testing.T, site adaptertest.Site[echo.HandlerFunc]) string {
	look := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			site.Look(adaptertest.RequestContext, c.Request().Context())
			return next(c)
		}
	}
	e := echo.New()
	e.Logger.SetOutput(io.Discard)
	e.Use(middleware.Recover())
	if site.Compress {
		e.Use(middleware.Gzip())
	}
	for _, tracker := range site.Trackers() {
		e.Use(echoadapter.Middleware(tracker))
	}
	for i, page := range site.Pages {
		e.GET(adaptertest.Path(i), page.Handler, look)
	}
	shop := e.Group("/shop")
	if site.Mount == adaptertest.OnGroup {
		shop.Use(echoadapter.Middleware(site.Tracker))
	}
	shop.Group("/eu").GET("/page", site.Pages[0].Handler, look)

	consent := func(change func(echo.Context) error) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := change(c); err != nil {
				return err
			}
			return look(func(c echo.Context) error { return c.NoContent(http.StatusNoContent) })(c)
		}
	}
	e.POST("/consent", consent(func(c echo.Context) error {
		r, err := site.Tracker.Remember(c.Response(), c.Request(), "")
		c.SetRequest(r)
		return err
	}))
	e.GET("/withdraw", consent(func(c echo.Context) error {
		return site.Tracker.Forget(c.Response(), c.Request())
	}))
	return adaptertest.Serve(t, e)
}

func TestMiddleware_uploads(t *testing.T) {
	adaptertest.HTTPUploads(t, func(tracker *clickid.Tracker, parsed func()) http.Handler {
		e := echo.New()
		if tracker != nil {
			e.Use(echoadapter.Middleware(tracker))
		}
		e.POST(adaptertest.UploadPath, func(c echo.Context) error {
			if err := c.Request().ParseMultipartForm(adaptertest.UploadMemory); err != nil {
				return err
			}
			if _, err := c.FormFile("file"); err != nil {
				return err
			}
			parsed()
			return c.NoContent(http.StatusOK)
		})
		return e
	})
}

func pages(awaitReader func()) []adaptertest.Page[echo.HandlerFunc] {
	type c = echo.Context
	page := adaptertest.NewPage[echo.HandlerFunc]
	files := fstest.MapFS{"page.txt": {Data: []byte("hello")}}
	return []adaptertest.Page[echo.HandlerFunc]{
		page(adaptertest.Writes, "String", func(c c) error { return c.String(200, "hello") }, 200, "hello"),
		page(adaptertest.Writes, "HTML", func(c c) error { return c.HTML(200, "<p>hello") }, 200, "hello"),
		page(adaptertest.Writes, "JSON", func(c c) error { return c.JSON(201, map[string]string{"hello": "world"}) }, 201, "world"),
		page(adaptertest.Writes, "JSONPretty", func(c c) error { return c.JSONPretty(200, "hello", " ") }, 200, "hello"),
		page(adaptertest.Writes, "JSONP", func(c c) error { return c.JSONP(200, "call", "hello") }, 200, "hello"),
		page(adaptertest.Writes, "XML", func(c c) error { return c.XML(200, "hello") }, 200, "hello"),
		page(adaptertest.Writes, "Attachment", func(c c) error { return c.Attachment("echo.go", "echo.txt") }, 200, "package echo"),
		page(adaptertest.Writes, "Blob", func(c c) error { return c.Blob(200, "text/plain", []byte("hello")) }, 200, "hello"),
		page(adaptertest.Writes, "NoContent", func(c c) error { return c.NoContent(204) }, 204, ""),
		page(adaptertest.Writes, "nothing", func(c) error { return nil }, 200, ""),
		page(adaptertest.Writes, "Response().Write", func(c c) error {
			_, err := c.Response().Write([]byte("hello"))
			return err
		}, 200, "hello"),
		page(adaptertest.Writes, "Response().WriteHeader", func(c c) error { c.Response().WriteHeader(202); return nil }, 202, ""),
		page(adaptertest.Writes, "Response().Writer, past Echo's own", func(c c) error {
			_, err := io.WriteString(c.Response().Writer, "hello")
			return err
		}, 200, "hello"),
		page(adaptertest.Writes, "Response().Before", func(c c) error {
			c.Response().Before(func() { c.Response().Header().Set("X-Before", "1") })
			return c.String(200, "hello")
		}, 200, "hello"),
		page(adaptertest.Writes, "SetCookie", func(c c) error {
			c.SetCookie(&http.Cookie{Name: "session", Value: "1"})
			return c.String(200, "hello")
		}, 200, "hello"),
		page(adaptertest.Writes, "Cache-Control", func(c c) error {
			c.Response().Header().Set("Cache-Control", "public, max-age=60")
			return c.String(200, "hello")
		}, 200, "hello").WithOwnCaching(),
		page(adaptertest.Writes, "file of a file system", func(c c) error {
			return echo.StaticFileHandler("page.txt", files)(c)
		}, 200, "hello"),
		page(adaptertest.Writes, "File without the file", func(c c) error { return c.File("no/such/file") }, 404, "Not Found"),
		page(adaptertest.Flushes, "Response().Flush", func(c c) error {
			if err := c.String(200, adaptertest.First); err != nil {
				return err
			}
			c.Response().Flush()
			awaitReader()
			_, err := io.WriteString(c.Response(), adaptertest.Second)
			return err
		}, 200, "first second"),
		page(adaptertest.Flushes, "Response().Flush before anything is written", func(c c) error {
			c.Response().WriteHeader(200)
			c.Response().Flush()
			_, _ = io.WriteString(c.Response(), adaptertest.First)
			c.Response().Flush()
			awaitReader()
			_, err := io.WriteString(c.Response(), adaptertest.Second)
			return err
		}, 200, "first second"),
		page(adaptertest.Streams, "Stream", func(c c) error {
			return c.Stream(200, "text/plain", strings.NewReader(strings.Repeat("stream ", 1000)))
		}, 200, "stream stream"),
		page(adaptertest.Streams, "ServeContent", func(c c) error {
			http.ServeContent(c.Response(), c.Request(), "page.txt", time.Time{}, strings.NewReader("hello"))
			return nil
		}, 200, "hello"),
		page(adaptertest.Streams, "Response().Hijack", func(c c) error {
			conn, buffered, err := c.Response().Hijack()
			if err != nil {
				return err
			}
			defer conn.Close()
			_, _ = buffered.WriteString("HTTP/1.1 200 OK\r\n")
			c.Response().Header().Del("Content-Encoding")
			_ = c.Response().Header().Write(buffered) // a hijacker writes its own header
			_, _ = buffered.WriteString("Connection: close\r\n\r\nhijacked")
			c.Response().Committed = true
			return buffered.Flush()
		}, 200, "hijacked"),
		page(adaptertest.Redirects, "Redirect", func(c c) error { return c.Redirect(302, "/elsewhere") }, 302, ""),
		page(adaptertest.Aborts, "HTTPError", func(c) error { return echo.NewHTTPError(403, "no") }, 403, "no"),
		page(adaptertest.Aborts, "ErrUnauthorized", func(c) error { return echo.ErrUnauthorized }, 401, "Unauthorized"),
		page(adaptertest.Panics, "before writing", func(c) error { panic("on purpose") }, 500, "Internal Server Error"),
		page(adaptertest.Panics, "with an error", func(c) error { panic(errors.New("on purpose")) }, 500, "Internal Server Error"),
		page(adaptertest.Fails, "unknown error", func(c) error { return errors.New("broken") }, 500, "Internal Server Error"),
		page(adaptertest.Fails, "after writing", func(c c) error {
			_ = c.String(200, "hello")
			return errors.New("broken")
		}, 200, "hello"),
		page(adaptertest.Fails, "Error", func(c c) error { c.Error(echo.ErrTeapot); return nil }, 418, "teapot"),
	}
}
