package clickid

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/clickid/clickid/internal/query"
)

// reading contains the parts of a request that a tracker needs.
type reading struct {
	concerns  bool   // the context needs at least the consent
	present   bool   // the URL has a click parameter with any value
	id, param string // the click of the URL or of the Referer
	recovered bool   // the click is that of the Referer
	refused   Reason // why the click of the URL is refused, or ""
	passing   string // the click of a URL on a host that keeps none
	lost      bool   // the platform sent the visitor without a click
	cookie    bool   // the visitor has the cookie
}

// read reads a request for Capture. It allocates nothing for a page without a
// click.
func (t *Tracker) read(r *http.Request) (read reading) {
	read.cookie = t.jar.present(r.Header["Cookie"])
	read.concerns = read.cookie || t.deniedByGPC(r) || r.Method != http.MethodGet && r.Method != http.MethodHead
	if t.hosts != nil && !t.keepsClicksOn(r.Host) {
		if captureRefusal(r) == "" {
			read.passing = t.params.Find(r.URL.RawQuery, t.accept).Value
			read.concerns = read.concerns || read.passing != ""
		}
		return read
	}
	if r.URL.RawQuery != "" {
		found := t.params.Find(r.URL.RawQuery, t.accept)
		read.present, read.id, read.param = found.Present, found.Value, found.Param
		read.lost = t.network == "" && found.Source && !found.Present && !read.cookie && captureRefusal(r) == "" && !fromOwnSite(r)
	}
	if read.present {
		read.concerns = true
		if read.id == "" {
			read.refused = ReasonValue
		} else {
			read.refused = captureRefusal(r)
		}
		return read
	}
	// The landing page may have come from a cache, or consent after it.
	if id, param := t.refererClick(r); id != "" && isPage(r) && !(read.cookie && t.forgotten(r.Header["Cookie"])) {
		read.concerns, read.recovered, read.id, read.param = true, true, id, param
	}
	return read
}

// keepsClicksOn reports whether host is one of Config.Hosts.
func (t *Tracker) keepsClicksOn(host string) bool {
	host = hostname(host)
	for _, own := range t.hosts {
		if host == own {
			return true
		}
	}
	return false
}

// cookieRefusal returns the reason why the browser would refuse the cookie, or
// "".
func (t *Tracker) cookieRefusal(r *http.Request) Reason {
	if t.jar.domain != "" && !covers(t.jar.domain, hostname(r.Host)) {
		return ReasonDomain
	}
	if !t.jar.insecure && transportOf(r) == transportPlain {
		return ReasonPlainHTTP
	}
	return ""
}

// transport is the encryption of the browser's connection.
type transport int

const (
	transportUnknown transport = iota
	transportSecure
	transportPlain
)

// transportOf returns the transport of a request. Browsers only send Sec-Fetch
// headers to trustworthy origins, which include loopback addresses. A proxy
// that terminates TLS may forward the protocol.
func transportOf(r *http.Request) transport {
	h := r.Header
	if r.TLS != nil || first(h, "Sec-Fetch-Site") != "" || first(h, "Sec-Fetch-Mode") != "" ||
		first(h, "Sec-Fetch-Dest") != "" || isLoopback(hostname(r.Host)) {
		return transportSecure
	}
	switch forwardedProtocol(h) {
	case "https":
		return transportSecure
	case "http":
		return transportPlain
	}
	return transportUnknown
}

// forwardedProtocol returns the protocol of the outermost proxy in lower case,
// or "".
func forwardedProtocol(h http.Header) string {
	if proto := first(h, "X-Forwarded-Proto"); proto != "" {
		proto, _, _ = strings.Cut(proto, ",")
		return strings.ToLower(strings.TrimSpace(proto))
	}
	element, _, _ := strings.Cut(first(h, "Forwarded"), ",")
	for _, pair := range strings.Split(element, ";") {
		if name, value, _ := strings.Cut(pair, "="); strings.EqualFold(strings.TrimSpace(name), "proto") {
			return strings.ToLower(strings.Trim(value, "\" "))
		}
	}
	return ""
}

// first returns the first value of a header. name must be in canonical form.
func first(h http.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// hostname returns the host of a Host header or URL without its port, in lower
// case.
func hostname(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && i > strings.LastIndexByte(host, ']') {
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// covers reports whether a cookie of the domain is sent to host.
func covers(domain, host string) bool {
	prefix, ok := strings.CutSuffix(host, domain)
	return ok && (prefix == "" || strings.HasSuffix(prefix, "."))
}

// isLoopback reports whether browsers trust host without TLS.
func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if host == "" || host[0] != '1' && host[0] != ':' {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// strippedTarget returns the request's target without the parameters, in origin
// form. ok is false if it is not safe in a Location header.
func strippedTarget(r *http.Request, params *query.Params) (string, bool) {
	target := r.RequestURI // the target before any change by a router
	if target == "" {
		target = r.URL.RequestURI()
	}
	path, rawQuery, _ := strings.Cut(target, "?")
	if !strings.HasPrefix(path, "/") {
		return "", false
	}
	// Browsers treat "//host" and "/\host" as another site, and remove tabs and
	// newlines first.
	if len(path) > 1 && (path[1] == '/' || path[1] == '\\') {
		return "", false
	}
	for i := 0; i < len(target); i++ {
		if target[i] <= ' ' || target[i] == 0x7f {
			return "", false
		}
	}
	stripped := path
	if rest := params.Strip(rawQuery); rest != "" {
		stripped += "?" + rest
	}
	// If the server has added the parameter, the redirect would be endless.
	return stripped, stripped != target
}

// refererClick returns the click ID of the request's Referer if that is of the
// same origin.
func (t *Tracker) refererClick(r *http.Request) (id, param string) {
	values := r.Header["Referer"]
	if len(values) != 1 {
		return "", ""
	}
	// First the cheap test: most pages have no click.
	_, rawQuery, found := strings.Cut(values[0], "?")
	if !found {
		return "", ""
	}
	rawQuery, _, _ = strings.Cut(rawQuery, "#")
	f := t.params.Find(rawQuery, t.accept)
	if f.Value == "" || !sameOrigin(values[0], r) {
		return "", ""
	}
	return f.Value, f.Param
}

// sameOrigin reports whether the Referer of r is of the same origin.
// Sec-Fetch-Site decides if the browser sends it, since a proxy may change the
// host. Otherwise the hosts are compared, but not the schemes: behind a proxy
// that terminates TLS the scheme is unknown.
func sameOrigin(referer string, r *http.Request) bool {
	if site := first(r.Header, "Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	u, err := url.Parse(referer)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// fromOwnSite reports whether the visitor comes from a page of the site, so
// that the request is not a landing.
func fromOwnSite(r *http.Request) bool {
	switch first(r.Header, "Sec-Fetch-Site") {
	case "same-origin", "same-site":
		return true
	}
	referer := first(r.Header, "Referer")
	return referer != "" && sameOrigin(referer, r)
}
