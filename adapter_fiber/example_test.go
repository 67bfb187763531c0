package fiberadapter_test

import (
	"log"
	"net/http"
	"time"

	"github.com/clickid/clickid"
	fiberadapter "github.com/clickid/clickid/adapter_fiber"
	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/recover"
)

// The middleware stores the click of a landing, and the handler of an order
// sends the conversion.
func ExampleMiddleware() {
	var tracker *clickid.Tracker // of clickid.New
	var sender clickid.Sender    // a client or an outbox

	app := fiber.New()
	app.Use(recover.New(), fiberadapter.Middleware(tracker))
	app.Post("/orders", func(c fiber.Ctx) error {
		_, err := clickid.Convert(c.Context(), sender, clickid.Event{
			Type: clickid.Purchase, ID: "order-1001", Time: time.Now(), Value: clickid.Minor(14999, "USD"),
		})
		if err != nil {
			log.Print(err) // the order is still valid
		}
		return c.SendStatus(http.StatusCreated)
	})
	log.Fatal(app.Listen(":8080"))
}

// The handler of the consent banner stores the click. The banner posts from the
// landing page, whose URL has the click.
func ExampleDo() {
	var tracker *clickid.Tracker // of clickid.New

	app := fiber.New()
	app.Use(recover.New(), fiberadapter.Middleware(tracker))
	app.Post("/consent", func(c fiber.Ctx) error {
		err := fiberadapter.Do(c, func(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
			return tracker.Remember(w, r, "")
		})
		if err != nil {
			log.Print(err)
		}
		return c.SendStatus(http.StatusNoContent)
	})
	log.Fatal(app.Listen(":8080"))
}
