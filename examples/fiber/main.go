// Command fiber is a small shop on Fiber v3. Copy it and replace the pages and
// orders with your own.
//
//	CLICKID_API_KEY=scope3_… CLICKID_EVENT_SOURCE=… go run ./fiber
//
// CLICKID_COOKIE_KEY is the key that signs clicks; the command "clickid keygen"
// creates one. Without it, a restart of the shop invalidates all clicks.
// CLICKID_BASE_URL is the address of a local receiver.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/clickid/clickid"
	fiberadapter "github.com/clickid/clickid/adapter_fiber"
	"github.com/clickid/clickid/capi"
	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/recover"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	tracker, client, err := configure()
	if err != nil {
		return err
	}

	app := fiber.New()
	app.Use(recover.New(), fiberadapter.Middleware(tracker))
	app.Get("/", func(c fiber.Ctx) error {
		return c.Type("html").SendString(`<!doctype html><title>Shop</title><a href="/checkout">A lamp, $149.99</a>`)
	})
	app.Get("/checkout", func(c fiber.Ctx) error {
		return c.Type("html").SendString(`<!doctype html><title>Checkout</title><form method="post" action="/orders"><button>Buy the lamp</button></form>`)
	})
	app.Post("/orders", func(c fiber.Ctx) error {
		result, err := clickid.Convert(c.Context(), client, clickid.Event{
			Type:    clickid.Purchase,
			ID:      rand.Text(), // use the order number of your shop
			Time:    time.Now(),
			Value:   clickid.Decimal("149.99", "USD"),
			Source:  clickid.SourceWebsite,
			PageURL: "https://shop.example/checkout",
		})
		if err != nil {
			log.Print(err) // the order is still valid
		}
		return c.SendString(fmt.Sprintln("Thank you! Conversion:", result.Verdict))
	})
	return serve(ctx, app)
}

// configure reads the environment.
func configure() (*clickid.Tracker, *capi.Client, error) {
	key, err := clickid.ParseCookieKey(os.Getenv("CLICKID_COOKIE_KEY"))
	if err != nil {
		return nil, nil, err
	}
	store, err := clickid.NewCookieStore(key)
	if err != nil {
		return nil, nil, err
	}
	tracker, err := clickid.New(clickid.Config{Store: store})
	if err != nil {
		return nil, nil, err
	}
	client, err := capi.New(capi.Config{
		APIKey:   os.Getenv("CLICKID_API_KEY"),
		Dialect:  capi.LogEvent{EventSourceID: cmp.Or(os.Getenv("CLICKID_EVENT_SOURCE"), "shop")},
		BaseURL:  os.Getenv("CLICKID_BASE_URL"),
		Resolver: tracker,
	})
	return tracker, client, err
}

// serve serves requests until ctx ends, and then waits for those in progress.
func serve(ctx context.Context, app *fiber.App) error {
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		stopped <- app.ShutdownWithTimeout(15 * time.Second)
	}()
	// Listen returns as soon as the shutdown begins.
	if err := app.Listen(":" + cmp.Or(os.Getenv("PORT"), "8080")); err != nil {
		return err
	}
	return <-stopped
}
