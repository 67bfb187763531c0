package ginadapter_test

import (
	"net/http"
	"testing"

	ginadapter "github.com/clickid/clickid/adapter_gin"
	"github.com/clickid/clickid/internal/adaptertest"
	"github.com/gin-gonic/gin"
)

// FuzzMiddleware compares what Gin captures with net/http.
func FuzzMiddleware(f *testing.F) {
	adaptertest.FuzzHTTP(f, func(s adaptertest.Fuzzed) http.Handler {
		router := gin.New()
		router.Use(ginadapter.Middleware(s.Tracker))
		router.NoRoute(func(c *gin.Context) {
			s.Show(c.Request.Context(), c.Header)
			c.Status(http.StatusOK)
		})
		return router
	})
}
