// Package demo is a small world in one process: a news site with an ad, the ad
// platform with its receiver, a shop that uses the library, and a payment
// provider. They talk to each other over HTTP on free ports of 127.0.0.1.
package demo

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	_ "modernc.org/sqlite" // the shop's database, without cgo
)

// Dialect names what the shop sends.
type Dialect string

// Dialects.
const (
	LogEvent Dialect = "logevent"
	ECAPI    Dialect = "ecapi"
)

// CheckDialect reports a name that is none of them.
func CheckDialect(name string) error {
	if Dialect(name).configured() == nil {
		return fmt.Errorf("must be %s or %s", LogEvent, ECAPI)
	}
	return nil
}

// configured returns the one line of configuration in which they differ.
func (d Dialect) configured() clickid.Dialect {
	switch d {
	case LogEvent:
		return clickid.LogEvent{EventSourceID: clickidtest.EventSourceID}
	case ECAPI:
		return clickid.ECAPI{DataSetID: clickidtest.DataSetID}
	}
	return nil
}

// Options configure the world.
type Options struct {
	// Addr is the address of the page that shows the ad.
	Addr string
	// Dialect is what the shop sends.
	Dialect Dialect
	// Refuse is the status that the receiver answers every request with; 0
	// lets it judge them.
	Refuse int
	// Log receives what the parts have to say.
	Log io.Writer
}

// World is the running demo. Close ends it.
type World struct {
	news, platform, shop, provider *site

	receiver *clickidtest.Server
	dialect  Dialect
	closers  []func(context.Context) error // the last one opened is closed first
}

// NewsURL is the page with the ad, where the journey begins.
func (w *World) NewsURL() string { return w.news.url + "/" }

// ShopURL is the shop.
func (w *World) ShopURL() string { return w.shop.url + "/" }

// PlatformURL is the page that shows what the receiver got.
func (w *World) PlatformURL() string { return w.platform.url + "/" }

// Start builds the world.
func Start(ctx context.Context, options Options) (_ *World, err error) {
	w := &World{dialect: options.Dialect}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close(ctx))
		}
	}()
	for _, listening := range []struct {
		site **site
		addr string
	}{{&w.news, options.Addr}, {&w.platform, anyPort}, {&w.shop, anyPort}, {&w.provider, anyPort}} {
		if *listening.site, err = listen(ctx, listening.addr); err != nil {
			return nil, err
		}
		w.closers = append(w.closers, (*listening.site).close)
	}
	return w, w.build(ctx, options)
}

const anyPort = "127.0.0.1:0"

func (w *World) build(ctx context.Context, options Options) error {
	log := slog.New(slog.NewTextHandler(options.Log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	newPagesOf := func(name, theme string) (*pages, error) {
		return newPages(log, frame{
			Site: name, Theme: theme,
			NewsURL: w.NewsURL(), ShopURL: w.ShopURL(), PlatformURL: w.PlatformURL(),
		})
	}
	client := &http.Client{Timeout: 10 * time.Second}
	secret := []byte(rand.Text())

	news, err := newPagesOf("The Daily Trail", "news")
	if err != nil {
		return err
	}
	w.news.serve(newsRoutes(news, w.platform.url+"/click"))

	platformPages, err := newPagesOf("The ad platform", "platform")
	if err != nil {
		return err
	}
	p := &platform{pages: platformPages, landing: w.shop.url + "/summer"}
	if w.receiver, err = clickidtest.Start(anyPort, clickidtest.Config{OnEvent: p.remember}); err != nil {
		return err
	}
	w.closers = append(w.closers, func(context.Context) error { w.receiver.Close(); return nil })
	if options.Refuse != 0 {
		w.receiver.Always(clickidtest.Trouble{Status: options.Refuse})
	}
	p.receiver = w.receiver
	w.platform.serve(p.routes())

	providerPages, err := newPagesOf("Paywell", "provider")
	if err != nil {
		return err
	}
	w.provider.serve((&provider{pages: providerPages, secret: secret, client: client, payments: make(map[string]payment)}).routes())

	shopPages, err := newPagesOf("Nordfell Outdoor", "shop")
	if err != nil {
		return err
	}
	s := &shop{
		pages: shopPages, log: log, url: w.shop.url, provider: w.provider.url,
		secret: secret, client: client, platform: p,
	}
	if err := w.openShop(ctx, s, log); err != nil {
		return err
	}
	w.shop.serve(s.routes())
	return nil
}

// openShop gives the shop its database, tracker and sender.
func (w *World) openShop(ctx context.Context, s *shop, log *slog.Logger) error {
	dir, err := os.MkdirTemp("", "clickid-demo-")
	if err != nil {
		return fmt.Errorf("the demo needs a temporary folder: %w", err)
	}
	w.closers = append(w.closers, func(context.Context) error { return os.RemoveAll(dir) })
	if s.db, err = openDatabase(ctx, filepath.Join(dir, "shop.db")); err != nil {
		return err
	}
	w.closers = append(w.closers, func(context.Context) error { return s.db.Close() })

	key := make([]byte, clickid.MinCookieKeyLength)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	store, err := clickid.NewCookieStore(key)
	if err != nil {
		return err
	}
	// The shop has no TLS, and cookies with Secure need it outside of browsers.
	s.tracker, err = clickid.New(clickid.Config{Store: store, Cookie: clickid.Cookie{Insecure: true}, Logger: log})
	if err != nil {
		return err
	}
	s.sender, err = clickid.NewClient(clickid.ClientConfig{
		APIKey:   clickidtest.APIKey,
		BaseURL:  w.receiver.URL,
		Dialect:  w.dialect.configured(),
		Resolver: s.tracker,
		Logger:   log,
	})
	return err
}

// openDatabase opens the shop's SQLite file and makes its table.
func openDatabase(ctx context.Context, file string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", file)
	if err != nil {
		return nil, fmt.Errorf("opening the shop's database: %w", err)
	}
	// SQLite has one writer at a time; one connection waits in line for it.
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, ordersSchema); err != nil {
		return nil, fmt.Errorf("the shop's database cannot be written: %w", errors.Join(err, db.Close()))
	}
	return db, nil
}

// Close ends the world, the last part first.
func (w *World) Close(ctx context.Context) error {
	var failures []error
	for i := len(w.closers) - 1; i >= 0; i-- {
		failures = append(failures, w.closers[i](ctx))
	}
	w.closers = nil
	return errors.Join(failures...)
}
