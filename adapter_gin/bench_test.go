package ginadapter_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/clickid/clickid"
	ginadapter "github.com/clickid/clickid/adapter_gin"
	"github.com/gin-gonic/gin"
)

// BenchmarkPageWithoutClick compares a page with and without the middleware.
func BenchmarkPageWithoutClick(b *testing.B) {
	store, err := clickid.NewCookieStore([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		b.Fatal(err)
	}
	tracker, err := clickid.New(clickid.Config{Store: store})
	if err != nil {
		b.Fatal(err)
	}
	for name, middleware := range map[string][]gin.HandlerFunc{
		"bare":    nil,
		"tracked": {ginadapter.Middleware(tracker)},
	} {
		b.Run(name, func(b *testing.B) {
			engine := gin.New()
			engine.Use(middleware...)
			engine.GET("/", func(c *gin.Context) { c.Status(http.StatusNoContent) })
			r := httptest.NewRequest(http.MethodGet, "/?size=42", nil)
			r.Header.Set("Cookie", "session=1")
			w := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				engine.ServeHTTP(w, r)
			}
		})
	}
}
