package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/clickid/clickid"
)

func (s suite[H]) groups(t *testing.T) {
	for _, mount := range []Mount{OnApp, OnGroup} {
		app := s.start(t, mount, clickid.Config{})
		cookie := app.takeCookie(t, app.get(t, GroupPath+"?clkid="+documentedID))
		s.wantSeen(t, app.sightings(), documentedID)
		app.get(t, GroupPath, "Cookie", cookie)
		s.wantSeen(t, app.sightings(), documentedID)
	}
	outside := s.start(t, OnGroup, clickid.Config{})
	if set := outside.get(t, Path(0)+"?clkid="+documentedID).header["Set-Cookie"]; len(set) > 0 {
		t.Errorf("a page outside the group sets %q", set)
	}
	s.wantNothingSeen(t, outside.sightings())
}

func (s suite[H]) twice(t *testing.T) {
	store := &countingStore{Store: cookieStore(t)}
	app := s.start(t, Twice, clickid.Config{Store: store})
	app.takeCookie(t, app.get(t, Path(0)+"?clkid="+documentedID))
	s.wantSeen(t, app.sightings(), documentedID)
	if store.saved != 1 {
		t.Errorf("the click was saved %d times", store.saved)
	}
}

type countingStore struct {
	clickid.Store
	saved int
}

func (s *countingStore) Save(ctx context.Context, c clickid.Click) (string, error) {
	s.saved++
	return s.Store.Save(ctx, c)
}

func (s suite[H]) unknownPath(t *testing.T) {
	want := s.start(t, Nowhere, clickid.Config{}).get(t, "/no/such/page")
	app := s.start(t, OnApp, clickid.Config{})
	same(t, "unknown path without a click", app.get(t, "/no/such/page"), want)
	landing := app.get(t, "/no/such/page?clkid="+documentedID)
	app.takeCookie(t, landing)
	if landing.status != http.StatusNotFound || landing.body != want.body {
		t.Errorf("unknown path: %d %q, want %d %q", landing.status, landing.body, want.status, want.body)
	}
}

// trailingSlash lands on a page's path with a trailing slash. Routers redirect
// it, serve it or return 404; none of them may lose the click.
func (s suite[H]) trailingSlash(t *testing.T) {
	app := s.start(t, OnApp, clickid.Config{})
	landing := app.get(t, Path(0)+"/?clkid="+documentedID)
	if landing.status >= 300 && landing.status < 400 {
		landing = app.get(t, landing.header.Get("Location"))
	}
	app.takeCookie(t, landing)
}

func (s suite[H]) stripParam(t *testing.T) {
	app := s.start(t, OnApp, clickid.Config{StripParam: true})
	for i, page := range app.Pages {
		landing := app.get(t, Path(i)+"?a=%20b&clkid="+documentedID+"&c")
		cookie := app.takeCookie(t, landing)
		if landing.status != http.StatusFound || landing.header.Get("Location") != Path(i)+"?a=%20b&c" || landing.body != "" {
			t.Errorf("%s: the landing is not a bare redirect: %d %q %q", page.Name, landing.status, landing.header.Get("Location"), landing.body)
		}
		if seen := app.sightings(); len(seen) > 0 {
			t.Errorf("%s: the handler ran before the redirect", page.Name)
		}
		if next := app.get(t, landing.header.Get("Location"), "Cookie", cookie); next.status != page.Status {
			t.Errorf("%s: after the redirect: %d", page.Name, next.status)
		}
		s.wantSeen(t, app.sightings(), documentedID)
	}
	if unknown := app.get(t, "/no/such/page?clkid="+documentedID); unknown.status != http.StatusFound || unknown.header.Get("Location") != "/no/such/page" {
		t.Errorf("unknown path: %d %q", unknown.status, unknown.header.Get("Location"))
	}
	for _, target := range []string{"//evil.test/", "/\\evil.test/"} {
		if to := app.get(t, target+"?clkid="+documentedID).header.Get("Location"); len(to) > 1 && strings.ContainsRune(`/\`, rune(to[1])) {
			t.Errorf("%s is redirected to another site: %q", target, to)
		}
	}
}

func (s suite[H]) consent(t *testing.T) {
	app := s.start(t, OnApp, clickid.Config{Consent: func(r *http.Request) clickid.Consent {
		switch c, _ := r.Cookie("consent"); {
		case c == nil:
			return clickid.ConsentUnknown
		case c.Value == "yes":
			return clickid.ConsentGranted
		}
		return clickid.ConsentDenied
	}})
	landing := Path(0) + "?clkid=" + documentedID

	unknown := app.get(t, landing)
	if len(unknown.header["Set-Cookie"]) > 0 {
		t.Errorf("before consent: %q", unknown.header["Set-Cookie"])
	}
	s.wantSeen(t, app.sightings(), documentedID)

	granted := app.do(t, http.MethodPost, "/consent", "Referer", app.url+landing, "Sec-Fetch-Site", "same-origin")
	if granted.status != http.StatusNoContent {
		t.Errorf("consent granted: %d %s", granted.status, granted.body)
	}
	cookie := app.takeCookie(t, granted)
	seen := app.sightings()
	s.wantIdioms(t, seen)
	for _, sighting := range seen {
		// A framework's own context need not have a click that Remember adds.
		if sighting.idiom == RequestContext && sighting.id != documentedID {
			t.Errorf("after Remember the request's context has no click: %v", sighting.err)
		}
	}

	withdrawn := app.get(t, "/withdraw", "Cookie", cookie+"; consent=yes")
	if withdrawn.status != http.StatusNoContent {
		t.Errorf("consent withdrawn: %d %s", withdrawn.status, withdrawn.body)
	}
	wantExpired(t, withdrawn)
	s.wantNothingSeen(t, app.sightings())

	// The tracker sets the cookie and the handler removes it.
	wantExpired(t, app.get(t, "/withdraw?clkid="+documentedID, "Cookie", "consent=yes"))
	s.wantNothingSeen(t, app.sightings())

	wantExpired(t, app.get(t, landing, "Cookie", cookie+"; consent=no"))
	s.wantNothingSeen(t, app.sightings())
}

// wantExpired checks that the response removes the tracker's cookie and sets no
// other.
func wantExpired(t *testing.T, resp response) {
	t.Helper()
	if c := resp.cookies(); len(c) != 1 || c[0].Name != cookieName || c[0].MaxAge >= 0 {
		t.Errorf("the cookie is not removed: %q", resp.header["Set-Cookie"])
	}
}

func (s suite[H]) failingStore(t *testing.T) {
	app := s.start(t, OnApp, clickid.Config{Store: brokenStore{}, StripParam: true})
	for i, page := range app.Pages {
		resp := app.get(t, Path(i)+"?clkid="+documentedID)
		if resp.status != page.Status || !strings.Contains(resp.body, page.Body) {
			t.Errorf("%s: %d %q, want the unchanged page: %d %q", page.Name, resp.status, resp.body, page.Status, page.Body)
		}
		for _, c := range resp.cookies() {
			if c.Name == cookieName {
				t.Errorf("%s: a cookie for a click that was not stored", page.Name)
			}
		}
		s.wantSeen(t, app.sightings(), documentedID)
	}
}

// nilTracker adds the middleware of a tracker that could not be configured.
func (s suite[H]) nilTracker(t *testing.T) {
	app := s.start(t, OnApp, clickid.Config{}, func(site *Site[H]) { site.Tracker = nil })
	for i, page := range app.Pages {
		resp := app.get(t, Path(i)+"?clkid="+documentedID)
		if resp.status != page.Status || !strings.Contains(resp.body, page.Body) {
			t.Errorf("%s: %d %q, want the unchanged page: %d %q", page.Name, resp.status, resp.body, page.Status, page.Body)
		}
		app.sightings()
	}
}

type brokenStore struct{}

var errBroken = errors.New("the store is broken")

func (brokenStore) Save(context.Context, clickid.Click) (string, error) { return "", errBroken }
func (brokenStore) Load(context.Context, string) (clickid.Click, error) {
	return clickid.Click{}, errBroken
}
func (brokenStore) Delete(context.Context, string) error { return errBroken }

// outlives sends requests with different clicks concurrently and reads the
// clicks after all requests. The values of a request's context must not be in
// memory that the next request overwrites.
func (s suite[H]) outlives(t *testing.T) {
	const visitors, visits = 4, 25
	var (
		mu   sync.Mutex
		kept []context.Context
	)
	app := s.start(t, OnApp, clickid.Config{Store: clickid.NewMemoryStore()}, func(site *Site[H]) {
		site.Look = func(idiom string, ctx context.Context) {
			if idiom == RequestContext {
				mu.Lock()
				defer mu.Unlock()
				kept = append(kept, ctx)
			}
		}
	})

	var (
		want []string
		wg   sync.WaitGroup
	)
	for visitor := range visitors {
		for visit := range visits {
			id := clickOf(visitor, visit)
			want = append(want, id, id) // its landing, and the page after it
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			for visit := range visits {
				landing, err := app.request(http.MethodGet, Path(0)+"?clkid="+clickOf(visitor, visit))
				if err != nil || len(landing.cookies()) != 1 {
					t.Errorf("landing: %v, cookies %q", err, landing.header["Set-Cookie"])
					return
				}
				c := landing.cookies()[0]
				if _, err := app.request(http.MethodGet, Path(0), "Cookie", c.Name+"="+c.Value); err != nil {
					t.Errorf("second page: %v", err)
					return
				}
			}
		}()
	}
	wg.Wait()

	var got []string
	for _, ctx := range kept {
		click, err := clickid.Lookup(ctx)
		if err != nil {
			t.Errorf("a click is lost after its request: %v", err)
		}
		got = append(got, click.ID)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the clicks after the requests are\n%q, want\n%q", got, want)
	}
}

func clickOf(visitor, visit int) string {
	return fmt.Sprintf("visitor-%02d-visit-%03d", visitor, visit)
}
