// Package echo5adapter captures clicks in Echo v5 applications:
//
//	e := echo.New()
//	e.Use(middleware.Recover(), echo5adapter.Middleware(tracker))
//	e.POST("/orders", func(c *echo.Context) error {
//		result, err := clickid.Convert(c.Request().Context(), sender, event)
//		…
//	})
//
// The tracker is that of [clickid.New], and the sender a client or an outbox. The
// folder examples/echo5 has a complete shop.
package echo5adapter

import (
	"github.com/clickid/clickid"
	"github.com/labstack/echo/v5"
)

// Middleware captures the click before the handler runs, as
// [clickid.Tracker.Handler] does. Add it once, with Echo.Use, after the
// recovery; unknown paths are covered too. On a group it covers the group.
// A nil tracker logs an error at the first request and captures nothing.
//
// The click is in the request's context:
//
//	clickid.Convert(c.Request().Context(), sender, event)
//
// [clickid.Tracker.Remember] and [clickid.Tracker.Forget] take c.Response()
// and c.Request().
func Middleware(t *clickid.Tracker) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			original := c.Request()
			captured := t.Capture(c.Response(), original)
			if captured == original {
				return next(c)
			}
			c.SetRequest(captured)
			if t.Strip(c.Response(), captured) {
				return nil
			}
			defer func() { t.Finish(c.Response(), original, c.Request()) }()
			return next(c)
		}
	}
}
