// Package echoadapter captures clicks in Echo v4 applications.
package echoadapter

import (
	"github.com/clickid/clickid"
	"github.com/labstack/echo/v4"
)

// Middleware captures the click before the handler runs, as
// [clickid.Tracker.Handler] does. Add it once, with Echo.Use, after the
// recovery; unknown paths are covered too. On a group it covers the group.
//
// The click is in the request's context:
//
//	clickid.Convert(c.Request().Context(), sender, event)
//
// [clickid.Tracker.Remember] and [clickid.Tracker.Forget] take c.Response()
// and c.Request().
func Middleware(t *clickid.Tracker) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.SetRequest(t.Capture(c.Response(), c.Request()))
			if t.Strip(c.Response(), c.Request()) {
				return nil
			}
			return next(c)
		}
	}
}
