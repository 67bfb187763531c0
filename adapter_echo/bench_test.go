package echoadapter_test

import (
	"net/http"
	"testing"

	echoadapter "github.com/clickid/clickid/adapter_echo"
	"github.com/clickid/clickid/internal/adaptertest"
	"github.com/labstack/echo/v4"
)

// BenchmarkPageWithoutClick compares a page with and without the middleware.
// Echo v4 builds the chain for every request, so that every middleware costs
// one allocation.
func BenchmarkPageWithoutClick(b *testing.B) {
	router := func(middleware ...echo.MiddlewareFunc) http.Handler {
		e := echo.New()
		e.Use(middleware...)
		e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) })
		return e
	}
	adaptertest.ComparePageWithoutClick(b, map[string]http.Handler{
		"bare": router(),
		"an empty middleware": router(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error { return next(c) }
		}),
		"tracked": router(echoadapter.Middleware(adaptertest.NewTracker(b))),
	})
}
