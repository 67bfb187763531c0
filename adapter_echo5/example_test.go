package echo5adapter_test

import (
	"log"
	"net/http"
	"time"

	"github.com/clickid/clickid"
	echo5adapter "github.com/clickid/clickid/adapter_echo5"
	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"
)

// The middleware stores the click of a landing, and the handler of an order
// sends the conversion.
func ExampleMiddleware() {
	var tracker *clickid.Tracker // of clickid.New
	var sender clickid.Sender    // a client or an outbox

	e := echo.New()
	e.Use(middleware.Recover(), echo5adapter.Middleware(tracker))
	e.POST("/orders", func(c *echo.Context) error {
		_, err := clickid.Convert(c.Request().Context(), sender, clickid.Event{
			Type: clickid.Purchase, ID: "order-1001", Time: time.Now(), Value: clickid.Minor(14999, "USD"),
		})
		if err != nil {
			log.Print(err) // the order is still valid
		}
		return c.NoContent(http.StatusCreated)
	})
	e.POST("/consent", func(c *echo.Context) error {
		// The banner posts from the landing page, whose URL has the click.
		if _, err := tracker.Remember(c.Response(), c.Request(), ""); err != nil {
			log.Print(err)
		}
		return c.NoContent(http.StatusNoContent)
	})
	log.Fatal(e.Start(":8080"))
}
