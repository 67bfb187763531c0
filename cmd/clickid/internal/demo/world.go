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
	"sync"
	"time"

	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/cmd/clickid/internal/receiver"
	"github.com/clickid/clickid/cmd/clickid/internal/site"
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
	newsSite, platformSite, providerSite, shopSite *site.Site

	platform *platform
	shopPlan shopPlan
	shop     *shop
	entrance entrance                      // of the shop
	closers  []func(context.Context) error // called in reverse order
}

// NewsURL returns the URL of the page with the ad, where the journey begins.
func (w *World) NewsURL() string { return w.newsSite.URL + "/" }

// ShopURL returns the URL of the shop.
func (w *World) ShopURL() string { return w.shopSite.URL + "/" }

// PlatformURL returns the URL of the page with the received conversions.
func (w *World) PlatformURL() string { return w.platformSite.URL + "/" }

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
		site **site.Site
		addr string
	}{{&w.newsSite, options.Addr}, {&w.platformSite, anyPort}, {&w.providerSite, anyPort}, {&w.shopSite, anyPort}} {
		if *listening.site, err = site.Listen(ctx, listening.addr); err != nil {
			return nil, fmt.Errorf("demo: %w", err)
		}
		w.closers = append(w.closers, (*listening.site).Close)
	}
	w.shopPlan = shopPlan{
		url:      w.shopSite.URL,
		provider: w.providerSite.URL,
		secret:   []byte(rand.Text()),
		client:   &http.Client{Timeout: time.Minute},
		dialect:  options.Dialect,
		log:      slog.New(slog.NewTextHandler(options.Log, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if err := errors.Join(w.servePlatform(ctx, options), w.serveOthers(), w.placeDatabase(options)); err != nil {
		return nil, err
	}
	w.closers = append(w.closers, func(ctx context.Context) error {
		return w.entrance.replace(func() (http.Handler, error) {
			remaining, err := w.closeShop(ctx)
			if remaining > 0 {
				w.shopPlan.log.Warn("demo: conversions remain in the shop's outbox", "number", remaining)
			}
			return nil, err
		})
	})
	if err := w.entrance.replace(func() (http.Handler, error) { return w.openShop(ctx) }); err != nil {
		return nil, err
	}
	w.shopSite.Serve(&w.entrance)
	return w, nil
}

// openShop opens the shop and returns its routes.
func (w *World) openShop(ctx context.Context) (http.Handler, error) {
	opened, err := openShop(ctx, &w.shopPlan)
	if err != nil {
		return nil, err
	}
	w.shop = opened
	return opened.routes(), nil
}

// closeShop closes the shop's outbox and database, if the shop is open. It
// returns the number of conversions that remain in the outbox.
func (w *World) closeShop(ctx context.Context) (remaining int, err error) {
	if w.shop == nil {
		return 0, nil
	}
	remaining, err = w.shop.close(ctx)
	w.shop = nil
	return remaining, err
}

// pagesOf returns the pages of one site.
func (w *World) pagesOf(name, theme string) (*pages, error) {
	return newPages(w.shopPlan.log, frame{
		Site: name, Theme: theme,
		NewsURL: w.NewsURL(), ShopURL: w.ShopURL(), PlatformURL: w.PlatformURL(),
	})
}

func (w *World) servePlatform(ctx context.Context, options Options) (err error) {
	p := newPlatform(w.ShopURL() + "summer")
	anything := []string{clickidtest.Any}
	p.Receiver, err = receiver.New(ctx, receiver.Options{
		Platform: clickidtest.Config{
			Accounts:   []clickidtest.Account{{APIKey: clickidtest.Any, DataSets: anything, EventSources: anything, Advertisers: anything}},
			OnExchange: p.watch,
		},
		Links: []receiver.Link{{Text: "The ad", URL: w.NewsURL()}, {Text: "The shop", URL: w.ShopURL()}},
		Log:   w.shopPlan.log,
	})
	if err != nil {
		return err
	}
	w.closers = append(w.closers, func(context.Context) error { return p.Close() })
	if options.Refuse != 0 {
		p.Platform.Always(clickidtest.Fault{Status: options.Refuse})
	}
	w.platform, w.shopPlan.platform = p, w.platformSite.URL
	w.platformSite.Serve(p.routes())
	return nil
}

// serveOthers serves the news site and the payment provider, and prepares the
// shop's pages.
func (w *World) serveOthers() error {
	news, err := w.pagesOf("The Daily Trail", "news")
	if err != nil {
		return err
	}
	w.newsSite.Serve(newsRoutes(news, w.platformSite.URL+"/click"))
	payments, err := w.pagesOf("Paywell", "provider")
	if err != nil {
		return err
	}
	w.providerSite.Serve(newProvider(payments, &w.shopPlan).routes())
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

// restartShop closes the shop, as a deployment does, and opens it again on the
// same database. Its port stays reserved, so that no other program can take it.
func (w *World) restartShop(ctx context.Context) error {
	return w.entrance.replace(func() (http.Handler, error) {
		if _, err := w.closeShop(ctx); err != nil {
			return nil, err
		}
		return w.openShop(ctx)
	})
}

// entrance serves a handler that can be replaced.
type entrance struct {
	mu      sync.RWMutex
	handler http.Handler
}

func (e *entrance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.handler == nil {
		http.Error(w, "the shop is closed", http.StatusServiceUnavailable)
		return
	}
	e.handler.ServeHTTP(w, r)
}

// replace waits for the open requests and replaces the handler. Other requests
// wait until then.
func (e *entrance) replace(open func() (http.Handler, error)) (err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.handler, err = open()
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
