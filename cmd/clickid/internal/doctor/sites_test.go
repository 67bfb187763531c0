package doctor_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/cmd/clickid/internal/doctor"
	"github.com/stretchr/testify/require"
)

// sites are handlers by origin, such as "https://shop.example". They serve
// requests without a network.
type sites map[string]http.Handler

func (s sites) RoundTrip(r *http.Request) (*http.Response, error) {
	handler := s[r.URL.Scheme+"://"+r.URL.Host]
	if handler == nil {
		return nil, errors.New("no such host")
	}
	incoming := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), r.Body)
	incoming.Header, incoming.RequestURI = r.Header.Clone(), r.URL.RequestURI()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, incoming)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

// examine examines https://shop.example/.
func examine(t *testing.T, s sites, edits ...func(*doctor.Config)) doctor.Report {
	t.Helper()
	cfg := doctor.Config{URL: address(t, "https://shop.example/"), Transport: s, Timeout: time.Minute}
	for _, edit := range edits {
		edit(&cfg)
	}
	report, err := cfg.Examine(t.Context())
	require.NoError(t, err)
	return report
}

func address(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	require.NoError(t, err)
	return u
}

// problems returns the faults and warnings.
func problems(r doctor.Report) []doctor.Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f doctor.Finding) bool { return f.Severity == doctor.OK })
}

// names returns the names of findings.
func names(findings []doctor.Finding) []string {
	list := []string{}
	for _, f := range findings {
		list = append(list, string(f.Name))
	}
	return list
}

// tracked puts a tracker around a handler.
func tracked(t *testing.T, next http.Handler, edits ...func(*clickid.Config)) http.Handler {
	t.Helper()
	store, err := clickid.NewCookieStore(bytes.Repeat([]byte("k"), clickid.MinCookieKeyLength))
	require.NoError(t, err)
	cfg := clickid.Config{Store: store, Logger: slog.New(slog.DiscardHandler)}
	for _, edit := range edits {
		edit(&cfg)
	}
	tracker, err := clickid.New(cfg)
	require.NoError(t, err)
	return tracker.Handler(next)
}

// page serves a page at every path.
func page(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, text)
	})
}

// healthy is a shop with the library's tracker.
func healthy(t *testing.T, edits ...func(*clickid.Config)) http.Handler {
	return tracked(t, page("<h1>Boots</h1>"), edits...)
}

// one serves https://shop.example with a handler.
func one(h http.Handler) sites { return sites{"https://shop.example": h} }

// wrap gives a function the first chance to respond.
func (s sites) wrap(first func(http.ResponseWriter, *http.Request) bool) sites {
	wrapped := sites{}
	for origin, next := range s {
		wrapped[origin] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !first(w, r) {
				next.ServeHTTP(w, r)
			}
		})
	}
	return wrapped
}

// behind changes requests before and headers after a handler, as a proxy does.
// Both functions may be nil.
func behind(next http.Handler, request func(*http.Request), response func(http.Header, *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		original := r.Clone(r.Context())
		if request != nil {
			request(r)
		}
		inner := httptest.NewRecorder()
		next.ServeHTTP(inner, r)
		if response != nil {
			response(inner.Header(), original)
		}
		for name, values := range inner.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(inner.Code)
		_, _ = w.Write(inner.Body.Bytes())
	})
}

// edit changes the header of a response.
type edit func(h http.Header, r *http.Request)

// replacing replaces text in Set-Cookie fields: pairs of old and new text.
func replacing(pairs ...string) edit {
	return func(h http.Header, _ *http.Request) {
		for i, line := range h["Set-Cookie"] {
			h["Set-Cookie"][i] = strings.NewReplacer(pairs...).Replace(line)
		}
	}
}

// setting sets header fields: pairs of name and value. "" removes a field.
func setting(fields ...string) edit {
	return func(h http.Header, _ *http.Request) {
		for i := 0; i < len(fields); i += 2 {
			h.Del(fields[i])
			if fields[i+1] != "" {
				h.Set(fields[i], fields[i+1])
			}
		}
	}
}

// adding adds a Set-Cookie field before others.
func adding(line string) edit {
	return func(h http.Header, _ *http.Request) { h["Set-Cookie"] = append([]string{line}, h["Set-Cookie"]...) }
}

// when applies an edit to responses to certain requests only.
func when(condition func(h http.Header, r *http.Request) bool, e edit) edit {
	return func(h http.Header, r *http.Request) {
		if condition(h, r) {
			e(h, r)
		}
	}
}

// captured reports whether the tracker has set a cookie.
func captured(h http.Header, _ *http.Request) bool { return len(h["Set-Cookie"]) > 0 }

// landed reports whether a request has a click.
func landed(_ http.Header, r *http.Request) bool { return clickOf(r) != "" }

// elsewhere reports whether a request has no click.
func elsewhere(h http.Header, r *http.Request) bool { return !landed(h, r) }

// clicked reports whether the click of a request contains a text.
func clicked(text string) func(http.Header, *http.Request) bool {
	return func(_ http.Header, r *http.Request) bool { return strings.Contains(clickOf(r), text) }
}

// shop is the healthy shop behind a proxy that edits its responses.
func shop(t *testing.T, e edit) sites { return one(behind(healthy(t), nil, e)) }

// clickOf returns the click parameter of a request.
func clickOf(r *http.Request) string { return r.URL.Query().Get("clkid") }

// redirect redirects to an address, with the query if keep is set.
func redirect(to string, keep bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target := to
		if keep && r.URL.RawQuery != "" {
			target += "?" + r.URL.RawQuery
		}
		http.Redirect(w, r, target, http.StatusMovedPermanently)
	})
}

// at serves one path with a handler and other paths with next.
func at(path string, h, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == path {
			h.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// session sets a session cookie for new visitors.
func session(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("session"); err != nil {
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "1", Path: "/"})
		}
		next.ServeHTTP(w, r)
	})
}

// hanging does not respond until the test ends.
func hanging(t *testing.T) http.Handler {
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-ended })
}

// cached is a cache that ignores the query and stores every page.
func cached(next http.Handler) http.Handler {
	var mu sync.Mutex
	pages := make(map[string]*httptest.ResponseRecorder)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if pages[r.URL.Path] == nil {
			pages[r.URL.Path] = httptest.NewRecorder()
			next.ServeHTTP(pages[r.URL.Path], r)
		}
		for name, values := range pages[r.URL.Path].Header() {
			w.Header()[name] = values
		}
		_, _ = w.Write(pages[r.URL.Path].Body.Bytes())
	})
}

// landingCached serves landings without the tracker.
func landingCached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if clickOf(r) != "" {
			page("").ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
