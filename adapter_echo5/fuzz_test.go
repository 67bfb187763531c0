package echo5adapter_test

import (
	"net/http"
	"testing"

	echo5adapter "github.com/clickid/clickid/adapter_echo5"
	"github.com/clickid/clickid/internal/adaptertest"
	"github.com/labstack/echo/v5"
)

// FuzzMiddleware compares what Echo captures with net/http.
func FuzzMiddleware(f *testing.F) {
	adaptertest.FuzzHTTP(f, func(s adaptertest.Fuzzed) http.Handler {
		router := echo.New()
		router.Use(echo5adapter.Middleware(s.Tracker))
		router.Any("/*", func(c *echo.Context) error {
			s.Show(c.Request().Context(), c.Response().Header().Set)
			return c.NoContent(http.StatusOK)
		})
		return router
	})
}
