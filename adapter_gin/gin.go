// Package ginadapter captures clicks in Gin applications:
//
//	router := gin.New()
//	router.Use(gin.Recovery(), ginadapter.Middleware(tracker))
//	router.POST("/orders", func(c *gin.Context) {
//		result, err := clickid.Convert(c.Request.Context(), sender, event)
//		…
//	})
//
// The tracker is that of [clickid.New], and the sender a client or an outbox. The
// folder examples/gin has a complete shop.
package ginadapter

import (
	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
	"github.com/gin-gonic/gin"
)

// Middleware captures the click before the handler runs, as
// [clickid.Tracker.Handler] does. Add it once, with Engine.Use, after the
// recovery; unknown paths are covered too. On a group it covers the group.
// A nil tracker logs an error at the first request and captures nothing.
//
// The click is in c.Request.Context(), and in c itself, whether or not
// Engine.ContextWithFallback is set:
//
//	clickid.Convert(c, sender, event)
//
// [clickid.Tracker.Remember] and [clickid.Tracker.Forget] take c.Writer and
// c.Request. A click that Remember adds is in the context of the request that it
// returns, but not in c itself.
func Middleware(t *clickid.Tracker) gin.HandlerFunc {
	return func(c *gin.Context) {
		original := c.Request
		c.Request = t.Capture(c.Writer, original)
		if click := c.Request.Context().Value(extension.ContextKey); click != nil {
			// Without ContextWithFallback, c.Value only finds keys of c.Set.
			c.Set(extension.ContextKey, click)
		}
		if c.Request == original {
			return
		}
		if t.Strip(c.Writer, c.Request) {
			c.Abort()
			return
		}
		defer func() { t.Finish(c.Writer, original, c.Request) }()
		c.Next()
	}
}
