// Package adaptertest runs every router through the same table: whatever way a
// handler answers, the landing sets the cookie once, the click can be read, and
// pages without a click are exactly what they are without the middleware.
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
	// Pages are the ways in which its handlers can answer: every method of the
	// framework's writer, and at least one page of every Kind. A page of the
	// kind Flushes calls awaitReader between its halves: if something held the
	// first one back, the page would not go on.
	Pages func(awaitReader func()) []Page[H]
	// Idioms are the ways in which its handlers can read the click, besides
	// RequestContext.
	Idioms []string
	// Serve starts the application that site describes and returns its URL.
	Serve func(t *testing.T, site Site[H]) (baseURL string)
}

// Page is one way in which a handler answers.
type Page[H any] struct {
	Kind    Kind
	Name    string
	Handler H
	Status  int
	Body    string // what the body contains
	// OwnCaching marks a page whose handler, or the library behind it, decides
	// about Cache-Control itself, so that the tracker's is gone.
	OwnCaching bool
}

// NewPage returns a page with the status and a part of the body that are wanted.
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
// request. What it carries stays readable after the request has ended.
const RequestContext = "the request's context"

// Site is an application to build: it recovers from panics as its framework
// does, answers unknown paths with the framework's own page, and has
//   - Pages[i] at Path(i), and Pages[0] also at GroupPath, inside two groups;
//   - POST /consent, which calls Tracker.Remember, then Look, and answers 204;
//   - GET /withdraw, which calls Tracker.Forget, then Look, and answers 204.
//
// Every page calls Look for every idiom before its own handler runs.
type Site[H any] struct {
	Tracker  *clickid.Tracker
	Mount    Mount
	Compress bool // with the framework's own compression, if it has one
	Pages    []Page[H]
	Look     func(idiom string, ctx context.Context)
}

// Mount says where the tracker's middleware is.
type Mount int

// The places of the middleware.
const (
	Nowhere Mount = iota
	OnApp         // inside the recovery and the compression, around everything else
	Twice         // the same, two times
	OnGroup       // on the outer of the two groups alone
)

// GroupPath is a page inside two groups: /shop, and /eu in it.
const GroupPath = "/shop/eu/page"

// Path is where page i is.
func Path(i int) string { return "/page/" + strconv.Itoa(i) }

// Times returns how often the application as a whole gets the middleware.
func (m Mount) Times() int {
	switch m {
	case OnApp:
		return 1
	case Twice:
		return 2
	}
	return 0
}

// patience bounds waits that never happen in a test that passes.
const patience = 10 * time.Second

// Run runs the table.
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
	t.Run("unknown path", suite.unknownPath)
	t.Run("trailing slash", suite.trailingSlash)
	t.Run("StripParam", suite.stripParam)
	t.Run("consent", suite.consent)
	t.Run("failing store", suite.failingStore)
	t.Run("click outlives the request", suite.outlives)
}
