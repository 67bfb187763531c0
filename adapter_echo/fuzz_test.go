package echoadapter_test

import (
	"net/http"
	"testing"

	echoadapter "github.com/clickid/clickid/adapter_echo"
	"github.com/clickid/clickid/internal/adaptertest"
	"github.com/labstack/echo/v4"
)

// FuzzMiddleware compares what Echo captures with net/http.
func FuzzMiddleware(f *testing.F) {
	adaptertest.FuzzHTTP(f, func(s adaptertest.Fuzzed) http.Handler {
		router := echo.New()
		router.Use(echoadapter.Middleware(s.Tracker))
		router.Any("/*", func(c echo.Context) error {
			s.Show(c.Request().Context(), c.Response().Header().Set)
			return c.NoContent(http.StatusOK)
		})
		return router
	})
}
