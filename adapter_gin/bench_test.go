package ginadapter_test

import (
	"net/http"
	"testing"

	ginadapter "github.com/clickid/clickid/adapter_gin"
	"github.com/clickid/clickid/internal/adaptertest"
	"github.com/gin-gonic/gin"
)

// BenchmarkPageWithoutClick compares a page with and without the middleware.
func BenchmarkPageWithoutClick(b *testing.B) {
	router := func(middleware ...gin.HandlerFunc) http.Handler {
		r := gin.New()
		r.Use(middleware...)
		r.GET("/", func(c *gin.Context) { c.Status(http.StatusNoContent) })
		return r
	}
	adaptertest.ComparePageWithoutClick(b, map[string]http.Handler{
		"bare":    router(),
		"tracked": router(ginadapter.Middleware(adaptertest.NewTracker(b))),
	})
}
