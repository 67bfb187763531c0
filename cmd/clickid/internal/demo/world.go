// Package demo runs four sites in one process: a news site with an ad, the ad
// platform with its receiver, a shop that uses the library, and a payment
// provider. They communicate over HTTP on free ports of 127.0.0.1.
package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
)

// Dialect names the dialect of the shop's client.
type Dialect string

// Dialects.
const (
	LogEvent Dialect = "logevent"
	ECAPI    Dialect = "ecapi"
)

// CheckDialect returns an error for any other name.
func CheckDialect(name string) error {
	if Dialect(name).configured() == nil {
		return fmt.Errorf("must be %s or %s", LogEvent, ECAPI)
	}
	return nil
}

// configured returns the client's configuration of the dialect, or nil.
func (d Dialect) configured() capi.Dialect {
	switch d {
	case LogEvent:
		return capi.LogEvent{EventSourceID: clickidtest.EventSourceID}
	case ECAPI:
		return capi.ECAPI{DataSetID: clickidtest.DataSetID}
	}
	return nil
}

// Options configure the world.
type Options struct {
	// Addr is the address of the page with the ad.
	Addr string
	// Database is the shop's SQLite file. Defaults to a temporary file.
	Database string
	// Dialect is the dialect of the shop's client.
	Dialect Dialect
	// Refuse is the status with which the receiver refuses every request.
	// Defaults to 0, which accepts valid ones.
	Refuse int
	// Log receives the warnings and errors of all sites.
	Log io.Writer
}

// World is a running demo. Close ends it.
type World struct {
	news, platform, provider *site

	receiver *clickidtest.Server
	shopPlan shopPlan
	shop     *shop
	closers  []func(context.Context) error // called in reverse order
}

// NewsURL returns the URL of the page with the ad, where the journey begins.
func (w *World) NewsURL() string { return w.news.url + "/" }

// ShopURL returns the URL of the shop.
func (w *World) ShopURL() string { return w.shopPlan.url + "/" }

// PlatformURL returns the URL of the page with the received conversions.
func (w *World) PlatformURL() string { return w.platform.url + "/" }

const anyPort = "127.0.0.1:0"

// Start starts all sites.
func Start(ctx context.Context, options Options) (_ *World, err error) {
	w := &World{}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close(ctx))
		}
	}()
	for _, listening := range []struct {
		site **site
		addr string
	}{{&w.news, options.Addr}, {&w.platform, anyPort}, {&w.provider, anyPort}} {
		if *listening.site, err = listen(ctx, listening.addr); err != nil {
			return nil, err
		}
		w.closers = append(w.closers, (*listening.site).close)
	}
	shopSite, err := listen(ctx, anyPort)
	if err != nil {
		return nil, err
	}
	w.shopPlan = shopPlan{
		url:      shopSite.url,
		provider: w.provider.url,
		secret:   []byte(rand.Text()),
		client:   &http.Client{Timeout: 10 * time.Second},
		dialect:  options.Dialect,
		log:      slog.New(slog.NewTextHandler(options.Log, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if err := errors.Join(w.servePlatform(options), w.serveOthers(), w.placeDatabase(options)); err != nil {
		return nil, errors.Join(err, shopSite.close(ctx))
	}
	w.closers = append(w.closers, func(ctx context.Context) error {
		if w.shop == nil {
			return nil // its restart failed
		}
		remaining, err := w.shop.close(ctx)
		if remaining > 0 {
			w.shopPlan.log.Warn("demo: conversions remain in the shop's outbox", "number", remaining)
		}
		return err
	})
	w.shop, err = openShop(ctx, &w.shopPlan, shopSite)
	return w, err
}

// pagesOf returns the pages of one site.
func (w *World) pagesOf(name, theme string) (*pages, error) {
	return newPages(w.shopPlan.log, frame{
		Site: name, Theme: theme,
		NewsURL: w.NewsURL(), ShopURL: w.ShopURL(), PlatformURL: w.PlatformURL(),
	})
}

func (w *World) servePlatform(options Options) error {
	pages, err := w.pagesOf("The ad platform", "platform")
	if err != nil {
		return err
	}
	p := &platform{pages: pages, landing: w.ShopURL() + "summer", refused: make(chan int, 1)}
	if w.receiver, err = clickidtest.Start(anyPort, clickidtest.Config{OnEvent: p.remember, OnRequest: p.watch}); err != nil {
		return err
	}
	w.closers = append(w.closers, func(context.Context) error { w.receiver.Close(); return nil })
	if options.Refuse != 0 {
		w.receiver.Always(clickidtest.Fault{Status: options.Refuse})
	}
	p.receiver = w.receiver
	w.platform.serve(p.routes())
	w.shopPlan.platform = p
	return nil
}

// serveOthers serves the news site and the payment provider, and prepares the
// shop's pages.
func (w *World) serveOthers() error {
	news, err := w.pagesOf("The Daily Trail", "news")
	if err != nil {
		return err
	}
	w.news.serve(newsRoutes(news, w.platform.url+"/click"))
	payments, err := w.pagesOf("Paywell", "provider")
	if err != nil {
		return err
	}
	w.provider.serve(newProvider(payments, &w.shopPlan).routes())
	w.shopPlan.pages, err = w.pagesOf("Nordfell Outdoor", "shop")
	return err
}

// placeDatabase sets the path of the shop's SQLite file.
func (w *World) placeDatabase(options Options) error {
	w.shopPlan.database = options.Database
	if options.Database != "" {
		return nil
	}
	dir, err := os.MkdirTemp("", "clickid-demo-")
	if err != nil {
		return fmt.Errorf("demo: creating a temporary folder; set TMPDIR or -db: %w", err)
	}
	w.closers = append(w.closers, func(context.Context) error { return os.RemoveAll(dir) })
	w.shopPlan.database = filepath.Join(dir, "shop.db")
	return nil
}

// restartShop stops the shop, as a deployment does, and starts it again on the
// same address and database.
func (w *World) restartShop(ctx context.Context) error {
	old := w.shop
	w.shop = nil
	if _, err := old.close(ctx); err != nil {
		return err
	}
	shopSite, err := listen(ctx, old.site.listener.Addr().String())
	if err != nil {
		return err
	}
	w.shop, err = openShop(ctx, &w.shopPlan, shopSite)
	return err
}

// Close stops all sites, in reverse order of their start.
func (w *World) Close(ctx context.Context) error {
	var failures []error
	for i := len(w.closers) - 1; i >= 0; i-- {
		failures = append(failures, w.closers[i](ctx))
	}
	w.closers = nil
	return errors.Join(failures...)
}
