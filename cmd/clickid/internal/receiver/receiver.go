// Package receiver serves the receiver of clickidtest with a live page and an
// HTTP API for tests. The verdicts are those of clickidtest; this package keeps,
// shows and explains them.
package receiver

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"

	"github.com/clickid/clickid/clickidtest"
)

// Options configure a [Receiver].
type Options struct {
	// Platform configures the receiver's accounts and rules. New sets its limits.
	Platform clickidtest.Config
	// Keep is the number of events that are kept; the oldest are dropped.
	// Defaults to 10,000.
	Keep int
	// KeepBytes bounds the bodies of the requests that are kept. Defaults to
	// 64 MiB.
	KeepBytes int
	// File is a SQLite database that keeps the events. Defaults to memory.
	File string
	// Hosts are names that requests may have in Host, besides those of this
	// machine and IP addresses.
	Hosts []string
	// Links are shown on the page.
	Links []Link
	// Log receives failures to store events. Required.
	Log *slog.Logger
}

// Link is a link to another page.
type Link struct {
	Text string `json:"text"`
	URL  string `json:"url"`
}

// DefaultKeep is the default of Options.Keep.
const DefaultKeep = 10_000

const defaultKeepBytes = 64 << 20

// Receiver is an HTTP server's handler for the platform's API, the page and the
// API for tests.
type Receiver struct {
	// Platform decides about events and injects faults.
	Platform *clickidtest.Receiver

	options Options
	run     string // identifies this receiver among those at the same address
	store   *store
	stopped context.Context // ends with Stop
	stop    context.CancelFunc
}

// New returns a receiver. The caller must call Close.
func New(ctx context.Context, options Options) (*Receiver, error) {
	if options.Keep == 0 {
		options.Keep = DefaultKeep
	}
	if options.KeepBytes == 0 {
		options.KeepBytes = defaultKeepBytes
	}
	r := &Receiver{options: options, run: rand.Text(), store: newStore(options.Keep, options.KeepBytes)}
	observer := options.Platform.OnExchange
	cfg := options.Platform
	cfg.Keep, cfg.KeepBytes = options.Keep, options.KeepBytes
	cfg.OnExchange = func(e clickidtest.Exchange) {
		if err := r.store.add(e); err != nil {
			options.Log.Error("receive: an event is not stored in the file of -db", "error", err)
		}
		if observer != nil {
			observer(e)
		}
	}
	r.Platform = clickidtest.New(cfg)
	if options.File != "" {
		if err := r.open(ctx); err != nil {
			return nil, err
		}
	}
	r.stopped, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	return r, nil
}

// open continues with the events of the file.
func (r *Receiver) open(ctx context.Context) error {
	db, err := openDatabase(ctx, r.options.File)
	if err != nil {
		return err
	}
	exchanges, err := r.store.load(ctx, db)
	if err != nil {
		return errors.Join(err, db.close())
	}
	for _, e := range exchanges {
		r.Platform.Restore(e.Events)
	}
	return nil
}

// Stop ends the requests that wait for events, so that a server can end.
func (r *Receiver) Stop() { r.stop() }

// Close ends the waiting requests and closes the file.
func (r *Receiver) Close() error {
	r.stop()
	return r.store.close()
}

// Handler serves everything.
func (r *Receiver) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		// A fault may delay the response for longer than the receiver runs.
		ctx, cancel := r.untilStopped(req)
		defer cancel()
		r.Platform.ServeHTTP(w, req.WithContext(ctx))
	})
	servePage(mux)
	r.serveAPI(mux)
	return r.checkHost(mux)
}

// untilStopped returns a context that ends with the request or with the receiver.
func (r *Receiver) untilStopped(req *http.Request) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(req.Context())
	stopWatching := context.AfterFunc(r.stopped, cancel)
	return ctx, func() { stopWatching(); cancel() }
}
