package clickid

import (
	"net/http"
	"strings"

	"github.com/clickid/clickid/internal/origin"
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
	if t == nil {
		logNilTracker()
		return read
	}
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
		read.lost = t.network == "" && found.Source && !found.Present && !read.cookie && captureRefusal(r) == "" && !origin.FromOwnSite(r)
		read.concerns = read.concerns || read.lost
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
	host = origin.Hostname(host)
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
	if t.jar.domain != "" && !origin.Covers(t.jar.domain, origin.Hostname(r.Host)) {
		return ReasonDomain
	}
	if !t.jar.insecure && origin.TransportOf(r) == origin.Plain {
		return ReasonPlainHTTP
	}
	return ""
}

// maxStripped limits the target that is redirected: the redirect repeats it beside
// the cookie, and nginx has 4 KiB for the headers of a response and its cache key.
const maxStripped = 1024

// strippedTarget returns the request's target without the parameters, in origin
// form. ok is false if it is too long or not safe in a Location header.
func strippedTarget(r *http.Request, params *query.Params) (string, bool) {
	target := r.RequestURI // the target before any change by a router
	if target == "" {
		target = r.URL.RequestURI()
	}
	path, rawQuery, _ := strings.Cut(target, "?")
	if !strings.HasPrefix(path, "/") || len(target) > maxStripped {
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
	if f.Value == "" || !origin.SameReferer(values[0], r) {
		return "", ""
	}
	return f.Value, f.Param
}
