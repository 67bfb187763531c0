package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Hostile values contain marker and try to set a header or the Domain of a
// cookie.
const (
	marker       = "clickiddoctor"
	markerHeader = "Clickid-Doctor"
	markerDomain = "doctor.example"
)

// longest is the longest click ID of the platform.
const longest = 512

// hostileValues returns values of the parameter, encoded, by their description.
func hostileValues() [][2]string {
	return [][2]string{
		{"line break", marker + "%0d%0a" + markerHeader + ":%201"},
		{"cookie attribute", marker + "%3B%20Domain%3D" + markerDomain},
		{"markup", marker + "%22%3E%3Cscript%3E"},
		{"NUL", marker + "%00"},
		{"invalid UTF-8", marker + "%ff"},
		{"invalid encoding", marker + "%zz%"},
		{"8,000 characters", marker + strings.Repeat("a", 8000)},
	}
}

// tryValues lands with long values, hostile ones and placeholders.
func (e *exam) tryValues(ctx context.Context) (stop string) {
	param := e.Params[0]
	land := func(value string) visit { return e.newVisitor().open(ctx, e.landingURL(param, value)) }

	long := land(strings.Repeat("a", longest))
	e.noteError(long, "512 characters")
	e.note(cookieSize, false, "")
	for _, h := range long.hops {
		for _, c := range h.set {
			e.note(cookieSize, len(c.name)+len(c.value) > maxCookieSize, "")
		}
	}
	for _, value := range hostileValues() {
		v := land(value[1])
		e.noteError(v, value[0])
		e.note(valueReflected, reflects(v), value[0])
	}
	for _, placeholder := range []string{"{clkid}", "null"} {
		e.note(valuePlaceholder, len(land(url.QueryEscape(placeholder)).cookies()) > 0, placeholder)
	}
	return ""
}

// noteError notes an error of the server. 414 and 431 are responses to a long
// URL.
func (e *exam) noteError(v visit, value string) {
	status := v.last().status
	failed := v.err != "" || status >= 500 && status != http.StatusServiceUnavailable
	e.note(valueError, failed, value+": "+cmp.Or(v.err, fmt.Sprintf("status %d", status)))
}

// reflects reports whether a response copies a hostile value into a cookie or a
// header.
func reflects(v visit) bool {
	for _, h := range v.hops {
		injected := marker + "; domain=" + markerDomain
		for _, line := range h.header["Set-Cookie"] {
			if strings.Contains(strings.ToLower(line), injected) {
				return true
			}
		}
		for _, c := range h.set {
			if strings.Contains(c.value, marker) && c.value != marker {
				return true
			}
		}
		if h.header.Get(markerHeader) != "" {
			return true
		}
	}
	return false
}
