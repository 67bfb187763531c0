package echo5adapter_test

import (
	"net/http"
	"testing"

	echo5adapter "github.com/clickid/clickid/adapter_echo5"
	"github.com/clickid/clickid/internal/adaptertest"
	"github.com/labstack/echo/v5"
)

// BenchmarkPageWithoutClick compares a page with and without the middleware.
func BenchmarkPageWithoutClick(b *testing.B) {
	router := func(middleware ...echo.MiddlewareFunc) http.Handler {
		e := echo.New()
		e.Use(middleware...)
		e.GET("/", func(c *echo.Context) error { return c.NoContent(http.StatusNoContent) })
		return e
	}
	adaptertest.ComparePageWithoutClick(b, map[string]http.Handler{
		"bare":    router(),
		"tracked": router(echo5adapter.Middleware(adaptertest.NewTracker(b))),
	})
}
