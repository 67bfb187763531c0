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
			if strings.Contains(value, "%") && len(value) <= 3*MaxIDLength {
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
// consists of unreserved characters. It allocates nothing.
func isEncodingOf(s, name string) bool {
	for i := 0; i < len(name); i++ {
		if s == "" {
			return false
		}
		c, length := s[0], 1
		if c == '%' {
			if len(s) < 3 || !isHex(s[1]) || !isHex(s[2]) {
				return false
			}
			c, length = fromHex(s[1])<<4|fromHex(s[2]), 3
		}
		if c != name[i] {
			return false
		}
		s = s[length:]
	}
	return s == ""
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func fromHex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&0xf + 9
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
	if rest := stripParams(rawQuery, params); rest != "" {
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
	id, param, _ = findClickID(rawQuery, params, accept)
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
