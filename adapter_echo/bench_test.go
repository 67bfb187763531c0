package echoadapter_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/clickid/clickid"
	echoadapter "github.com/clickid/clickid/adapter_echo"
	"github.com/labstack/echo/v4"
)

// BenchmarkPageWithoutClick compares a page with and without the middleware.
// Echo v4 builds the chain anew for every request, which costs each middleware,
// whatever it does, one allocation.
func BenchmarkPageWithoutClick(b *testing.B) {
	store, err := clickid.NewCookieStore([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		b.Fatal(err)
	}
	tracker, err := clickid.New(clickid.Config{Store: store})
	if err != nil {
		b.Fatal(err)
	}
	for name, middleware := range map[string][]echo.MiddlewareFunc{
		"bare":                         nil,
		"a middleware without content": {func(next echo.HandlerFunc) echo.HandlerFunc { return func(c echo.Context) error { return next(c) } }},
		"tracked":                      {echoadapter.Middleware(tracker)},
	} {
		b.Run(name, func(b *testing.B) {
			e := echo.New()
			e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) }, middleware...)
			r := httptest.NewRequest(http.MethodGet, "/?size=42", nil)
			r.Header.Set("Cookie", "session=1")
			w := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				e.ServeHTTP(w, r)
			}
		})
	}
}
