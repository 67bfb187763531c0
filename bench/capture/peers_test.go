package capture_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/clickid/clickid"
	"github.com/gorilla/sessions"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
)

// A shop can do the work of a tracker with a session library: store what a
// landing brings in the session, and read it on the page that needs it. The
// peers here store the same four values, in a cookie of the same name and
// attributes and with the same key, and forbid shared caches to keep the
// response. They check the click ID with the library's ValidID and do none of the
// tracker's other work, such as consent, attribution and fetch metadata.

const (
	cookieName = "__Host-clkid"
	ttl        = clickid.DefaultTTL
)

// peer is one of the libraries.
type peer struct {
	name string
	// landing handles a page on which a click arrives.
	landing http.Handler
	// page handles a page that does not need the click.
	page http.Handler
	// reading handles a page that needs it, and calls found with it.
	reading func(found func(clickid.Click)) http.Handler
}

func tracked(tb testing.TB, name string, store clickid.Store) peer {
	tracker := newTracker(tb, store)
	return peer{
		name:    name,
		landing: tracker.Handler(page),
		page:    tracker.Handler(page),
		reading: func(found func(clickid.Click)) http.Handler {
			return tracker.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if c, err := clickid.Lookup(r.Context()); err == nil {
					found(c)
				}
			}))
		},
	}
}

// gorilla stores the click in the cookie of a CookieStore of gorilla/sessions,
// signed and not encrypted, like that of the tracker.
func gorilla() peer {
	store := sessions.NewCookieStore(key)
	store.MaxAge(int(ttl / time.Second))
	store.Options.HttpOnly, store.Options.SameSite = true, http.SameSiteLaxMode
	return peer{
		name: "gorilla/sessions",
		landing: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if id := r.URL.Query().Get("clkid"); clickid.ValidID(id) {
				session, _ := store.Get(r, cookieName)
				at := time.Now()
				session.Values["id"], session.Values["param"] = id, "clkid"
				session.Values["at"], session.Values["expires"] = at.Unix(), at.Add(ttl).Unix()
				_ = session.Save(r, w)
				forbidCaching(w.Header())
			}
			page(w, r)
		}),
		// It has no middleware: a page that does not need the session does not
		// read it. This one does, as a middleware for the tracker's work would.
		page: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = store.Get(r, cookieName)
			page(w, r)
		}),
		reading: func(found func(clickid.Click)) http.Handler {
			return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				session, err := store.Get(r, cookieName)
				if err != nil {
					return
				}
				id, _ := session.Values["id"].(string)
				param, _ := session.Values["param"].(string)
				at, _ := session.Values["at"].(int64)
				expires, _ := session.Values["expires"].(int64)
				found(clickid.Click{ID: id, Param: param, At: time.Unix(at, 0).UTC(), Expires: time.Unix(expires, 0).UTC()})
			})
		},
	}
}

// scsMemory stores the click in memory under a random token, like the memory
// store of the tracker.
func scsMemory() peer {
	manager := scs.New() // with its memory store
	manager.Lifetime = ttl
	manager.Cookie.Name, manager.Cookie.Secure = cookieName, true
	return peer{
		name: "scs, memory",
		landing: manager.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if id := r.URL.Query().Get("clkid"); clickid.ValidID(id) {
				ctx, at := r.Context(), time.Now()
				manager.Put(ctx, "id", id)
				manager.Put(ctx, "param", "clkid")
				manager.Put(ctx, "at", at.Unix())
				manager.Put(ctx, "expires", at.Add(ttl).Unix())
				forbidCaching(w.Header())
			}
			page(w, r)
		})),
		page: manager.LoadAndSave(page),
		reading: func(found func(clickid.Click)) http.Handler {
			return manager.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				ctx := r.Context()
				found(clickid.Click{
					ID:      manager.GetString(ctx, "id"),
					Param:   manager.GetString(ctx, "param"),
					At:      time.Unix(manager.GetInt64(ctx, "at"), 0).UTC(),
					Expires: time.Unix(manager.GetInt64(ctx, "expires"), 0).UTC(),
				})
			}))
		},
	}
}

func forbidCaching(h http.Header) {
	h.Set("Cache-Control", "private, no-cache")
	h.Set("CDN-Cache-Control", "no-store")
}

// traced is the page with the spans and metrics of OpenTelemetry, whose
// providers here do nothing.
var traced = otelhttp.NewHandler(page, "page")
