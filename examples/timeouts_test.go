package examples_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid"
	echoadapter "github.com/clickid/clickid/adapter_echo"
	echo5adapter "github.com/clickid/clickid/adapter_echo5"
	fiberadapter "github.com/clickid/clickid/adapter_fiber"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/gofiber/fiber/v3"
	fibertimeout "github.com/gofiber/fiber/v3/middleware/timeout"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"
	echo5 "github.com/labstack/echo/v5"
	echo5middleware "github.com/labstack/echo/v5/middleware"
	"github.com/stretchr/testify/require"
)

// slow is a landing behind a timeout middleware.
type slow struct {
	tracker *clickid.Tracker
	inside  bool // the timeout is inside of the tracker
	timeout time.Duration
	// wait is what the page waits for, or nil if it is fast.
	wait func(ctx context.Context)
	// ended is called when the tracker has finished.
	ended func()
}

// page sets a cookie, unless it is too slow.
func (s slow) page(ctx context.Context, setCookie func()) error {
	if s.wait != nil {
		s.wait(ctx)
		return ctx.Err()
	}
	setCookie()
	return nil
}

// standard returns the page behind a timeout middleware of net/http.
func (s slow) standard(timeout func(http.Handler) http.Handler) http.Handler {
	page := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = s.page(r.Context(), func() { http.SetCookie(w, session) })
	}))
	if s.inside {
		page = timeout(page)
	}
	tracked := s.tracker.Handler(page)
	page = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.ended()
		tracked.ServeHTTP(w, r)
	})
	if !s.inside {
		page = timeout(page)
	}
	return page
}

// echo returns the page behind a timeout middleware of Echo v4.
func (s slow) echo(timeout echo.MiddlewareFunc) http.Handler {
	router := echo.New()
	end := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			defer s.ended()
			return next(c)
		}
	}
	if s.inside {
		router.Use(end, echoadapter.Middleware(s.tracker), timeout)
	} else {
		router.Use(timeout, end, echoadapter.Middleware(s.tracker))
	}
	router.GET("/", func(c echo.Context) error {
		return s.page(c.Request().Context(), func() { c.SetCookie(session) })
	})
	return router
}

// echo5 returns the page behind the timeout middleware of Echo v5.
func (s slow) echo5() http.Handler {
	router := echo5.New()
	timeout := echo5middleware.ContextTimeout(s.timeout)
	end := func(next echo5.HandlerFunc) echo5.HandlerFunc {
		return func(c *echo5.Context) error {
			defer s.ended()
			return next(c)
		}
	}
	if s.inside {
		router.Use(end, echo5adapter.Middleware(s.tracker), timeout)
	} else {
		router.Use(timeout, end, echo5adapter.Middleware(s.tracker))
	}
	router.GET("/", func(c *echo5.Context) error {
		return s.page(c.Request().Context(), func() { c.SetCookie(session) })
	})
	return router
}

// fiber returns the response of the page behind the timeout middleware of Fiber.
func (s slow) fiber(t *testing.T, r *http.Request) *http.Response {
	app := fiber.New()
	timeout := fibertimeout.New(func(c fiber.Ctx) error { return c.Next() }, fibertimeout.Config{Timeout: s.timeout})
	end := func(c fiber.Ctx) error {
		defer s.ended()
		return c.Next()
	}
	if s.inside {
		app.Use(end, fiberadapter.Middleware(s.tracker), timeout)
	} else {
		app.Use(timeout, end, fiberadapter.Middleware(s.tracker))
	}
	app.Get("/", func(c fiber.Ctx) error {
		return s.page(c.Context(), func() { c.Cookie(&fiber.Cookie{Name: session.Name, Value: session.Value}) })
	})
	response, err := app.Test(r, fiber.TestConfig{Timeout: patience})
	require.NoError(t, err)
	return response
}

var session = &http.Cookie{Name: "session", Value: "1"}

// TestTimeouts holds the timeout middlewares to the table in docs/routers.md: what
// becomes of the click when the page sets a cookie, and when it is too slow.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../docs/routers.md")
	require.NoError(t, err)
	recorded := func(h http.Handler) func(*testing.T, *http.Request) *http.Response {
		return func(_ *testing.T, r *http.Request) *http.Response {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Result()
		}
	}
	for _, tt := range []struct {
		name string
		// cooperative means that the page must end when its context does.
		cooperative bool
		// races is the place in which the middleware uses the response or the
		// request of its handler while that may be writing them.
		races string
		serve func(s slow) func(*testing.T, *http.Request) *http.Response
	}{
		{"`http.TimeoutHandler`", false, "", func(s slow) func(*testing.T, *http.Request) *http.Response {
			return recorded(s.standard(func(next http.Handler) http.Handler { return http.TimeoutHandler(next, s.timeout, "") }))
		}},
		{"chi's `middleware.Timeout`", true, "", func(s slow) func(*testing.T, *http.Request) *http.Response {
			return recorded(s.standard(func(next http.Handler) http.Handler {
				router := chi.NewRouter()
				router.Use(middleware.Timeout(s.timeout))
				router.Handle("/*", next)
				return router
			}))
		}},
		{"Echo v4's `TimeoutWithConfig` (deprecated)", false, "inside", func(s slow) func(*testing.T, *http.Request) *http.Response {
			//lint:ignore SA1019 the guide warns of it
			return recorded(s.echo(echomiddleware.TimeoutWithConfig(echomiddleware.TimeoutConfig{Timeout: s.timeout})))
		}},
		{"`ContextTimeout` of Echo v4", true, "", func(s slow) func(*testing.T, *http.Request) *http.Response {
			return recorded(s.echo(echomiddleware.ContextTimeout(s.timeout)))
		}},
		{"`ContextTimeout` of Echo v5", true, "", func(s slow) func(*testing.T, *http.Request) *http.Response {
			return recorded(s.echo5())
		}},
		{"Fiber's `timeout`", false, "outside", func(s slow) func(*testing.T, *http.Request) *http.Response { return s.fiber }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var cells []string
			for _, place := range []string{"inside", "outside"} {
				cells = append(cells, fate(t, place == "inside", false, tt.cooperative, tt.serve))
				if place == tt.races {
					cells = append(cells, "undefined")
				} else {
					cells = append(cells, fate(t, place == "inside", true, tt.cooperative, tt.serve))
				}
			}
			row := "| " + tt.name + " | " + strings.Join(cells, " | ") + " |\n"
			require.True(t, strings.Contains(string(guide), row), "docs/routers.md has no row %s", row)
		})
	}
}

// fate returns what becomes of the click.
func fate(t *testing.T, inside, late, cooperative bool, serve func(s slow) func(*testing.T, *http.Request) *http.Response) string {
	t.Helper()
	store, err := clickid.NewCookieStore([]byte("a key of 32 bytes for this test."))
	require.NoError(t, err)
	var reported atomic.Bool
	tracker, err := clickid.New(clickid.Config{Store: store, Hook: func(_ context.Context, o clickid.Observation) {
		if o.Kind == clickid.KindClickAtRisk {
			reported.Store(true)
		}
	}})
	require.NoError(t, err)
	ended, release := make(chan struct{}), make(chan struct{})
	s := slow{tracker: tracker, inside: inside, timeout: patience, ended: func() { close(ended) }}
	if late {
		s.timeout = 50 * time.Millisecond
		s.wait = func(ctx context.Context) {
			if cooperative {
				<-ctx.Done()
			} else {
				<-release
			}
		}
	}
	response := serve(s)(t, httptest.NewRequest(http.MethodGet, "/?clkid="+clickID, nil))
	_ = response.Body.Close()
	require.Equal(t, late, response.StatusCode >= 400, "status %d", response.StatusCode)
	close(release)
	<-ended
	kept := slices.ContainsFunc(response.Cookies(), func(c *http.Cookie) bool { return c.Name == "__Host-clkid" })
	switch {
	case kept && !reported.Load():
		return "kept"
	case kept:
		return "kept, reported"
	case reported.Load():
		return "lost, reported"
	}
	return "lost"
}
