package clickid

import (
	"net/http"
	"net/url"
	"strings"
)

// findClickID looks for the parameters in a raw query, in their order, and
// returns the first value that accept takes. present says that one of them is
// there at all, with whatever value.
//
// It allocates nothing unless a candidate is percent-encoded: it runs on every
// page of the site.
func findClickID(rawQuery string, params []string, accept func(string) bool) (id, param string, present bool) {
	if rawQuery == "" {
		return "", "", false
	}
	for _, param := range params {
		for rest := rawQuery; rest != ""; {
			var pair string
			pair, rest, _ = strings.Cut(rest, "&")
			name, value, _ := strings.Cut(pair, "=")
			if !isEncodingOf(name, param) {
				continue
			}
			present = true
			if strings.ContainsAny(value, "%+") {
				// Some redirectors encode characters that need no encoding.
				decoded, err := url.QueryUnescape(value)
				if err != nil {
					continue
				}
				value = decoded
			}
			if accept(value) {
				return value, param, true
			}
		}
	}
	return "", "", present
}

// isEncodingOf reports whether the raw query name s stands for name, which
// consists of unreserved characters.
func isEncodingOf(s, name string) bool {
	if strings.IndexByte(s, '%') < 0 {
		return s == name
	}
	// Three raw characters give one: any other length cannot match, so names
	// such as filter%5Bsize%5D cost no decoding.
	if len(s) > 3*len(name) {
		return false
	}
	decoded, err := url.QueryUnescape(s)
	return err == nil && decoded == name
}

// stripParams returns rawQuery without the given parameters, everything else
// byte for byte.
func stripParams(rawQuery string, params []string) string {
	kept := make([]string, 0, strings.Count(rawQuery, "&")+1)
pairs:
	for _, pair := range strings.Split(rawQuery, "&") {
		name, _, _ := strings.Cut(pair, "=")
		for _, param := range params {
			if isEncodingOf(name, param) {
				continue pairs
			}
		}
		kept = append(kept, pair)
	}
	return strings.Join(kept, "&")
}

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
	if len(path) > 1 {
		// Browsers read "//host" and "/\host" as another site, and drop tabs
		// and newlines before they look.
		if c := path[1]; c == '/' || c == '\\' || c <= ' ' {
			return "", false
		}
	}
	if rest := stripParams(rawQuery, params); rest != "" {
		return path + "?" + rest, true
	}
	return path, true
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
	id, param, _ = findClickID(rawQuery, params, accept)
	if id == "" || !sameOrigin(values[0], r) {
		return "", ""
	}
	return id, param
}

// sameOrigin reports whether the URL belongs to the host that r was sent to.
// The scheme is not compared: behind a proxy that ends TLS we do not know our
// own. Where the browser says that the request came from another origin
// (Sec-Fetch-Site), that counts.
func sameOrigin(rawURL string, r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return false
	}
	u, err := url.Parse(rawURL)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// carriesLostClick reports whether a query says that the visitor comes from
// the platform: its redirect adds utm_source=scope3 beside the click ID, so
// that this one without the other is a click that was lost on the way.
func carriesLostClick(rawQuery string) bool {
	for rest := rawQuery; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		if pair == "utm_source=scope3" {
			return true
		}
	}
	return false
}
