// Package adaptertest is a conformance suite for router adapters. For every way
// in which a handler can respond it checks that a landing sets the cookie once,
// that the handler can read the click, and that the middleware does not change
// pages without a click.
package adaptertest

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/clickid/clickid"
)

// Router is a router under test, with handlers of type H.
type Router[H any] struct {
	// Pages are the ways in which its handlers can respond: every method of the
	// framework's writer, and at least one page of every Kind. A page of the
	// kind Flushes calls awaitReader between its halves. awaitReader returns
	// when the client has read the first half.
	Pages func(awaitReader func()) []Page[H]
	// Idioms are the ways in which its handlers can read the click besides
	// RequestContext.
	Idioms []string
	// Serve starts the application that site describes and returns its URL.
	Serve func(t *testing.T, site Site[H]) (baseURL string)
}

// Page is a way in which a handler responds.
type Page[H any] struct {
	Kind    Kind
	Name    string
	Handler H
	Status  int
	Body    string // what the body contains
	// OwnCaching marks a page that replaces the tracker's Cache-Control with
	// its own.
	OwnCaching bool
}

// NewPage returns a page with the expected status and part of the body.
func NewPage[H any](kind Kind, name string, handler H, status int, body string) Page[H] {
	return Page[H]{Kind: kind, Name: name, Handler: handler, Status: status, Body: body}
}

// WithOwnCaching returns p with OwnCaching set.
func (p Page[H]) WithOwnCaching() Page[H] {
	p.OwnCaching = true
	return p
}

// Kind groups the pages. Every router has pages of every kind.
type Kind string

// The kinds of pages.
const (
	Writes    Kind = "writes"
	Flushes   Kind = "flushes first"
	Streams   Kind = "streams"
	Redirects Kind = "redirects"
	Aborts    Kind = "aborts"
	Panics    Kind = "panics"
	Fails     Kind = "returns an error"
)

var kinds = []Kind{Writes, Flushes, Streams, Redirects, Aborts, Panics, Fails}

// The halves of the body of a page that flushes first.
const (
	First  = "first "
	Second = "second"
)

// RequestContext is the idiom that every router has: the context of the
// request. Its values stay readable after the request has ended.
const RequestContext = "the request's context"

// Site describes an application. It recovers from panics and serves unknown
// paths as its framework does, and has
//   - Pages[i] at Path(i), and Pages[0] also at GroupPath, inside two groups;
//   - POST /consent, which calls Tracker.Remember, then Look, and returns 204;
//   - GET /withdraw, which calls Tracker.Forget, then Look, and returns 204.
//
// Every page calls Look for every idiom before its handler runs.
type Site[H any] struct {
	Tracker  *clickid.Tracker
	Inner    *clickid.Tracker // of another ad network, or nil
	Mount    Mount
	Compress bool // with the framework's own compression, if it has one
	Pages    []Page[H]
	Look     func(idiom string, ctx context.Context)
}

// Mount is the place of the tracker's middleware.
type Mount int

// The places of the middleware.
const (
	Nowhere Mount = iota
	OnApp         // inside the recovery and the compression, around everything else
	Twice         // as OnApp, two times
	OnGroup       // only on the outer of the two groups
)

// GroupPath is the path of a page inside two groups, /shop and /eu.
const GroupPath = "/shop/eu/page"

// Path returns the path of page i.
func Path(i int) string { return "/page/" + strconv.Itoa(i) }

// Trackers returns the trackers whose middleware is added to the whole
// application, from the outermost to the innermost.
func (s Site[H]) Trackers() []*clickid.Tracker {
	switch {
	case s.Mount == Twice:
		return []*clickid.Tracker{s.Tracker, s.Tracker}
	case s.Mount == OnApp && s.Inner != nil:
		return []*clickid.Tracker{s.Tracker, s.Inner}
	case s.Mount == OnApp:
		return []*clickid.Tracker{s.Tracker}
	}
	return nil
}

// patience limits the waits of a test that fails.
const patience = 10 * time.Second

// Run runs the suite.
func Run[H any](t *testing.T, r Router[H]) {
	t.Parallel()
	for _, kind := range kinds {
		found := false
		for _, page := range r.Pages(nil) {
			found = found || page.Kind == kind
		}
		if !found {
			t.Errorf("no page of the kind %q", kind)
		}
	}
	suite := suite[H]{r}
	for _, compress := range []bool{false, true} {
		name := "plain"
		if compress {
			name = "compressed"
		}
		t.Run(name, func(t *testing.T) { suite.pages(t, compress) })
	}
	t.Run("groups", suite.groups)
	t.Run("middleware twice", suite.twice)
	t.Run("several ad networks", suite.networks)
	t.Run("unknown path", suite.unknownPath)
	t.Run("trailing slash", suite.trailingSlash)
	t.Run("StripParam", suite.stripParam)
	t.Run("consent", suite.consent)
	t.Run("failing store", suite.failingStore)
	t.Run("nil tracker", suite.nilTracker)
	t.Run("click outlives the request", suite.outlives)
}
