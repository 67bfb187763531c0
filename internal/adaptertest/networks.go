package adaptertest

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/clickid/clickid"
)

const (
	innerID     = "EAIaIQobChMI_inner"
	innerCookie = "__Host-gclid"
)

// networks runs the trackers of two ad networks. Each keeps its own click on
// every page.
func (s suite[H]) networks(t *testing.T) {
	inner, err := clickid.New(clickid.Config{
		Store:  cookieStore(t),
		Params: []string{"gclid"},
		Cookie: clickid.Cookie{Name: "gclid"},
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	type found struct{ idiom, outermost, outer, inner string }
	seen := make(chan found, 10)
	app := s.start(t, OnApp, clickid.Config{}, func(site *Site[H]) {
		site.Inner = inner
		site.Look = func(idiom string, ctx context.Context) {
			outermost, _ := clickid.Lookup(ctx)
			outer, _ := site.Tracker.Lookup(ctx)
			other, _ := inner.Lookup(ctx)
			seen <- found{idiom, outermost.ID, outer.ID, other.ID}
		}
	})
	idioms := append([]string{RequestContext}, s.router.Idioms...)
	next := func() (f found) {
		t.Helper()
		select {
		case f = <-seen:
		case <-time.After(patience):
			t.Fatal("the handler did not look for the clicks")
		}
		return f
	}
	wantFound := func(what, outer, inner string) {
		t.Helper()
		for range idioms {
			got := next()
			if !slices.Contains(idioms, got.idiom) || got != (found{got.idiom, outer, outer, inner}) {
				t.Errorf("%s: the handler found %q, want %q and %q", what, got, outer, inner)
			}
		}
	}
	for i, page := range app.Pages {
		landing := app.get(t, Path(i)+"?clkid="+documentedID+"&gclid="+innerID)
		wantFound(page.Name+", landing", documentedID, innerID)
		cookies := make(map[string]string)
		for _, c := range landing.cookies() {
			cookies[c.Name] += c.Name + "=" + c.Value
		}
		app.get(t, Path(i), "Cookie", cookies[cookieName]+"; "+cookies[innerCookie])
		wantFound(page.Name+", both cookies", documentedID, innerID)
		app.get(t, Path(i), "Cookie", cookies[cookieName])
		wantFound(page.Name+", the outer cookie", documentedID, "")
		app.get(t, Path(i), "Cookie", cookies[innerCookie])
		wantFound(page.Name+", the inner cookie", "", innerID)
	}
	// A page that creates an order has a trace of both.
	app.do(t, http.MethodPost, "/consent", "Referer", app.url+Path(0)+"?clkid="+documentedID, "Sec-Fetch-Site", "same-origin")
	got := next()
	if got.outer != documentedID || got.inner != "" {
		t.Errorf("after Remember the handler found %q", got)
	}
}
