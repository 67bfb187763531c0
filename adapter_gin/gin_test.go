package ginadapter_test

import (
	"context"
	"errors"
	"html/template"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/clickid/clickid"
	ginadapter "github.com/clickid/clickid/adapter_gin"
	"github.com/clickid/clickid/internal/adaptertest"
	"github.com/gin-gonic/gin"
	"github.com/gin-gonic/gin/render"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode) // the mode is global
	m.Run()
}

func TestMiddleware(t *testing.T) {
	for name, fallback := range map[string]bool{"default": false, "ContextWithFallback": true} {
		t.Run(name, func(t *testing.T) {
			adaptertest.Run(t, adaptertest.Router[gin.HandlerFunc]{
				Pages:  pages,
				Idioms: []string{"gin.Context", "copied gin.Context"},
				Serve: func(t *testing.T, site adaptertest.Site[gin.HandlerFunc]) string {
					return serve(t, site, fallback)
				},
			})
		})
	}
}

func serve(t *testing.T, site adaptertest.Site[gin.HandlerFunc], fallback bool) string {
	look := func(c *gin.Context) {
		site.Look(adaptertest.RequestContext, c.Request.Context())
		site.Look("gin.Context", c)
		site.Look("copied gin.Context", c.Copy())
	}
	router := gin.New()
	router.ContextWithFallback = fallback
	router.Use(gin.CustomRecoveryWithWriter(io.Discard, func(c *gin.Context, _ any) {
		c.AbortWithStatus(http.StatusInternalServerError)
	}))
	for _, tracker := range site.Trackers() {
		router.Use(ginadapter.Middleware(tracker))
	}
	for i, page := range site.Pages {
		router.GET(adaptertest.Path(i), look, page.Handler)
	}
	shop := router.Group("/shop")
	if site.Mount == adaptertest.OnGroup {
		shop.Use(ginadapter.Middleware(site.Tracker))
	}
	shop.Group("/eu").GET("/page", look, site.Pages[0].Handler)

	consent := func(change func(*gin.Context) error) gin.HandlerFunc {
		return func(c *gin.Context) {
			if err := change(c); err != nil {
				c.String(http.StatusInternalServerError, err.Error())
				return
			}
			look(c)
			c.Status(http.StatusNoContent)
		}
	}
	router.POST("/consent", consent(func(c *gin.Context) (err error) {
		c.Request, err = site.Tracker.Remember(c.Writer, c.Request, "")
		return err
	}))
	router.GET("/withdraw", consent(func(c *gin.Context) error {
		return site.Tracker.Forget(c.Writer, c.Request)
	}))
	return adaptertest.Serve(t, router)
}

func pages(awaitReader func()) []adaptertest.Page[gin.HandlerFunc] {
	type c = *gin.Context
	page := adaptertest.NewPage[gin.HandlerFunc]
	files := http.FS(fstest.MapFS{"page.txt": {Data: []byte("hello")}})
	return []adaptertest.Page[gin.HandlerFunc]{
		page(adaptertest.Writes, "String", func(c c) { c.String(200, "hello") }, 200, "hello"),
		page(adaptertest.Writes, "JSON", func(c c) { c.JSON(201, gin.H{"hello": "world"}) }, 201, "world"),
		page(adaptertest.Writes, "IndentedJSON", func(c c) { c.IndentedJSON(200, gin.H{"hello": "world"}) }, 200, "world"),
		page(adaptertest.Writes, "PureJSON", func(c c) { c.PureJSON(200, "hello") }, 200, "hello"),
		page(adaptertest.Writes, "JSONP", func(c c) { c.JSONP(200, "hello") }, 200, "hello"),
		page(adaptertest.Writes, "HTML", func(c c) {
			c.Render(200, render.HTML{Template: template.Must(template.New("").Parse("<p>{{.}}")), Data: "hello"})
		}, 200, "hello"),
		page(adaptertest.Writes, "Negotiate", func(c c) {
			c.Negotiate(200, gin.Negotiate{Offered: []string{gin.MIMEJSON, gin.MIMEXML}, Data: "hello"})
		}, 406, ""),
		page(adaptertest.Writes, "FileAttachment", func(c c) { c.FileAttachment("gin.go", "gin.txt") }, 200, "package ginadapter"),
		page(adaptertest.Writes, "XML", func(c c) { c.XML(200, gin.H{"hello": "world"}) }, 200, "world"),
		page(adaptertest.Writes, "YAML", func(c c) { c.YAML(200, gin.H{"hello": "world"}) }, 200, "world"),
		page(adaptertest.Writes, "Data", func(c c) { c.Data(200, "text/html", []byte("hello")) }, 200, "hello"),
		page(adaptertest.Writes, "Status", func(c c) { c.Status(204) }, 204, ""),
		page(adaptertest.Writes, "nothing", func(c) {}, 200, ""),
		page(adaptertest.Writes, "Writer.Write", func(c c) { _, _ = c.Writer.Write([]byte("hello")) }, 200, "hello"),
		page(adaptertest.Writes, "Writer.WriteString", func(c c) { _, _ = c.Writer.WriteString("hello") }, 200, "hello"),
		page(adaptertest.Writes, "Writer.WriteHeaderNow", func(c c) { c.Status(202); c.Writer.WriteHeaderNow() }, 202, ""),
		page(adaptertest.Writes, "SetCookie", func(c c) {
			c.SetCookie("session", "1", 60, "/", "", true, true)
			c.String(200, "hello")
		}, 200, "hello"),
		page(adaptertest.Writes, "Header", func(c c) {
			c.Header("Cache-Control", "public, max-age=60")
			c.String(200, "hello")
		}, 200, "hello").WithOwnCaching(),
		page(adaptertest.Writes, "FileFromFS", func(c c) { c.FileFromFS("page.txt", files) }, 200, "hello"),
		page(adaptertest.Writes, "File without the file", func(c c) { c.File("no/such/file") }, 404, "404").WithOwnCaching(),
		page(adaptertest.Flushes, "Writer.Flush", func(c c) {
			_, _ = c.Writer.WriteString(adaptertest.First)
			c.Writer.Flush()
			awaitReader()
			_, _ = c.Writer.WriteString(adaptertest.Second)
		}, 200, "first second"),
		page(adaptertest.Flushes, "Writer.Flush before anything is written", func(c c) {
			c.Writer.Flush()
			c.String(-1, adaptertest.First)
			c.Writer.Flush()
			awaitReader()
			c.String(-1, adaptertest.Second)
		}, 200, "first second"),
		page(adaptertest.Flushes, "Stream", func(c c) {
			halves := []string{adaptertest.First, adaptertest.Second}
			c.Stream(func(w io.Writer) bool {
				_, _ = io.WriteString(w, halves[0])
				halves = halves[1:]
				if len(halves) == 0 {
					return false
				}
				c.Writer.Flush()
				awaitReader()
				return true
			})
		}, 200, "first second"),
		page(adaptertest.Streams, "DataFromReader", func(c c) {
			c.DataFromReader(200, -1, "text/plain", strings.NewReader(strings.Repeat("stream ", 1000)), nil)
		}, 200, "stream stream"),
		page(adaptertest.Streams, "SSEvent", func(c c) { c.SSEvent("order", "stream") }, 200, "data:stream"),
		page(adaptertest.Streams, "ServeContent", func(c c) {
			http.ServeContent(c.Writer, c.Request, "page.txt", time.Time{}, strings.NewReader("hello"))
		}, 200, "hello"),
		page(adaptertest.Streams, "Writer.Hijack", func(c c) {
			conn, buffered, err := c.Writer.Hijack()
			if err != nil {
				_ = c.AbortWithError(500, err)
				return
			}
			defer conn.Close()
			_, _ = buffered.WriteString("HTTP/1.1 200 OK\r\n")
			_ = c.Writer.Header().Write(buffered) // a hijacker writes its own header
			_, _ = buffered.WriteString("Connection: close\r\n\r\nhijacked")
			_ = buffered.Flush()
		}, 200, "hijacked"),
		page(adaptertest.Redirects, "Redirect", func(c c) { c.Redirect(302, "/elsewhere") }, 302, ""),
		page(adaptertest.Aborts, "AbortWithStatus", func(c c) { c.AbortWithStatus(403) }, 403, ""),
		page(adaptertest.Aborts, "AbortWithStatusJSON", func(c c) { c.AbortWithStatusJSON(403, gin.H{"error": "no"}) }, 403, "no"),
		page(adaptertest.Panics, "before writing", func(c) { panic("on purpose") }, 500, ""),
		page(adaptertest.Panics, "with the status set", func(c c) { c.Status(200); panic("on purpose") }, 500, ""),
		page(adaptertest.Fails, "AbortWithError", func(c c) { _ = c.AbortWithError(502, errors.New("broken")) }, 502, ""),
	}
}

func TestMiddleware_uploads(t *testing.T) {
	adaptertest.HTTPUploads(t, func(tracker *clickid.Tracker, parsed func()) http.Handler {
		router := gin.New()
		router.MaxMultipartMemory = adaptertest.UploadMemory
		if tracker != nil {
			router.Use(ginadapter.Middleware(tracker))
		}
		router.POST(adaptertest.UploadPath, func(c *gin.Context) {
			if _, err := c.FormFile("file"); err != nil {
				_ = c.AbortWithError(http.StatusBadRequest, err)
				return
			}
			parsed()
		})
		return router
	})
}

// TestMiddleware_handleContext covers Engine.HandleContext. It runs the
// middleware again and drops the keys of Context.Set.
func TestMiddleware_handleContext(t *testing.T) {
	t.Parallel()
	tracker := adaptertest.NewTracker(t)
	router := gin.New()
	router.Use(ginadapter.Middleware(tracker))
	router.GET("/old", func(c *gin.Context) {
		c.Request.URL.Path = "/new"
		router.HandleContext(c)
	})
	var found bool
	router.GET("/new", func(c *gin.Context) {
		_, found = clickid.FromContext(c)
		c.String(200, "hello")
	})
	url := adaptertest.Serve(t, router)
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url+"/old?clkid=01ARZ3NDEKTSV4RRFFQ69G5FAV", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if !found || len(resp.Header["Set-Cookie"]) != 1 {
		t.Errorf("click found: %v, cookies: %q", found, resp.Header["Set-Cookie"])
	}
}
