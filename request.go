package clickid

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/clickid/clickid/internal/query"
)

// strippedTarget returns the request's own target without the parameters, in
// origin form, or false when it cannot safely stand in a Location header.
func strippedTarget(r *http.Request, params []string) (string, bool) {
	target := r.RequestURI // what the client sent, before any router changed the URL
	if target == "" {
		target = r.URL.RequestURI()
	}
	path, rawQuery, _ := strings.Cut(target, "?")
	if !strings.HasPrefix(path, "/") {
		return "", false
	}
	// Browsers read "//host" and "/\host" as another site, and drop tabs and
	// newlines before they look.
	if len(path) > 1 && (path[1] == '/' || path[1] == '\\') {
		return "", false
	}
	for i := 0; i < len(target); i++ {
		if target[i] <= ' ' || target[i] == 0x7f {
			return "", false
		}
	}
	stripped := path
	if rest := query.Strip(rawQuery, params); rest != "" {
		stripped += "?" + rest
	}
	// A parameter that only the server's own rewriting put there cannot be
	// stripped: the redirect would never end.
	return stripped, stripped != target
}

// refererClickID returns the click ID that the request's Referer carries, if
// that is a page of the same origin. Other sites' URLs are nobody's business.
func refererClickID(r *http.Request, params []string, accept func(string) bool) (id, param string) {
	values := r.Header["Referer"]
	if len(values) != 1 {
		return "", ""
	}
	// The cheap test first: most referring pages carry no click.
	_, rawQuery, found := strings.Cut(values[0], "?")
	if !found {
		return "", ""
	}
	rawQuery, _, _ = strings.Cut(rawQuery, "#")
	id, param, _ = query.Find(rawQuery, params, accept)
	if id == "" || !sameOrigin(values[0], r) {
		return "", ""
	}
	return id, param
}

// sameOrigin reports whether the page that r comes from, whose URL is its
// Referer, is of the same origin. What the browser says of that counts
// (Sec-Fetch-Site); it knows the origin also where a proxy changes the host.
// Otherwise the hosts are compared. The schemes are not: behind a proxy that
// ends TLS we do not know our own.
func sameOrigin(referer string, r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	u, err := url.Parse(referer)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}
