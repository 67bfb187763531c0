// Package fiberadapter captures clicks in Fiber v3 applications:
//
//	app := fiber.New()
//	app.Use(recover.New(), fiberadapter.Middleware(tracker))
//	app.Post("/orders", func(c fiber.Ctx) error {
//		result, err := clickid.Convert(c.Context(), sender, event)
//		…
//	})
//
// The tracker is that of [clickid.New], and the sender a client or an outbox. The
// folder examples/fiber has a complete shop.
package fiberadapter

import (
	"net/http"

	"github.com/clickid/clickid"
	"github.com/gofiber/fiber/v3"
)

// Middleware captures the click before the handler runs, as
// [clickid.Tracker.Handler] does. Add it once, with App.Use, after the
// recovery; unknown paths are covered too. On a group it covers the group.
// A nil tracker logs an error at the first request and captures nothing.
//
// The click is in c.Context() and in c itself. The context that c.Context()
// returns stays valid after the request has ended:
//
//	clickid.Convert(c.Context(), sender, event)
func Middleware(t *clickid.Tracker) fiber.Handler {
	return func(c fiber.Ctx) error {
		if !concerns(t, c) {
			return c.Next()
		}
		w, original, err := convert(c)
		if err != nil {
			return c.Next() // serve the page without capture
		}
		captured := t.Capture(w, original)
		redirected := t.Strip(w, captured)
		w.apply(captured)
		if redirected {
			return nil
		}
		defer func() {
			// The error pages of fasthttp reset the whole header, even if a later
			// handler replaces them.
			w.write(true)
			if location := c.Response().Header.Peek("Location"); len(location) > 0 {
				w.header["Location"] = []string{string(location)}
			}
			t.Finish(w, original, captured)
		}()
		return c.Next()
	}
}

// Do calls f with c as a net/http request and response. It applies the header
// that f sets and the context of the request that f returns to c, and returns
// the error of f. Use it for [clickid.Tracker.Remember] and
// [clickid.Tracker.Forget]:
//
//	err := fiberadapter.Do(c, func(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
//		return tracker.Remember(w, r, "")
//	})
//
// The request has no body.
func Do(c fiber.Ctx, f func(http.ResponseWriter, *http.Request) (*http.Request, error)) error {
	w, r, err := convert(c)
	if err != nil {
		return err
	}
	r, err = f(w, r)
	w.apply(r)
	return err
}
