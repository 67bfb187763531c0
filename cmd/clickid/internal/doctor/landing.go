package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

const reasonNoLanding = "the landing page cannot be opened"

// land opens the landing with a new click, and follows the redirects.
func (e *exam) land(ctx context.Context) (stop string) {
	e.click, e.customer = newClick(), e.newVisitor()
	e.landing = e.customer.open(ctx, e.landingURL(e.Params[0], e.click))
	hops, last := e.landing.hops, e.landing.last()
	if len(hops) == 0 {
		e.note(landing, true, e.landing.err)
		return reasonNoLanding
	}
	e.note(redirectLoop, last.next != nil && e.landing.err != "", e.landing.err)
	broken := last.next == nil && e.landing.err != ""
	e.note(landing, broken, e.landing.err)
	if e.landing.err != "" {
		return reasonNoLanding
	}
	e.pass(landing, place(last.url))
	e.note(encryption, !trustworthy(last.url), place(last.url))
	e.noteStatus(last)
	lost := e.judgeRedirects()
	timedOut := last.status == http.StatusServiceUnavailable || last.status == http.StatusGatewayTimeout
	e.note(cookieTimeout, timedOut && len(e.landing.cookies()) == 0, fmt.Sprintf("status %d", last.status))
	e.judgeHits(e.landing)
	e.policy = referrerPolicy(last.header, e.landing.page)
	switch {
	case lost:
		return "a redirect loses the click"
	case last.status >= 500:
		return reasonNoLanding
	}
	return ""
}

// noteStatus notes the status of a page.
func (e *exam) noteStatus(h hop) {
	e.note(pageStatus, h.status >= 400, fmt.Sprintf("%s: %d", place(h.url), h.status))
}

// judgeRedirects notes how the redirects treat the click, and reports whether
// they lose it.
func (e *exam) judgeRedirects() (lost bool) {
	for _, name := range []Name{redirectQuery, redirectHost, redirectHTTPS, redirectHTTP} {
		e.note(name, false, "")
	}
	for _, h := range e.landing.hops {
		if h.next == nil {
			break
		}
		seen := place(h.url) + " → " + place(h.next)
		if trustworthy(h.url) && !trustworthy(h.next) {
			e.note(redirectHTTP, true, seen)
		}
		if lost || e.hasClick(h.next) || h.held || strings.Contains(h.refresh, e.click) {
			continue
		}
		lost = true
		switch {
		case h.url.Scheme == "http" && h.next.Scheme == "https":
			e.note(redirectHTTPS, true, seen)
		case trustworthy(h.url) && !trustworthy(h.next): // noted
		case hostname(h.url) != hostname(h.next):
			e.note(redirectHost, true, seen)
		case len(h.set) == 0:
			e.note(redirectQuery, true, seen)
		default:
			e.judgeUnsent(h, seen)
		}
	}
	return lost
}

// judgeUnsent notes why a redirect on the host of the cookie does not get it.
func (e *exam) judgeUnsent(h hop, seen string) {
	c := h.set[len(h.set)-1]
	switch refusal := c.refusal(h.url); {
	case refusal != "":
		e.note(cookieRefused, true, refusal)
	case c.sameSite == "strict":
		e.note(cookieStrict, true, seen)
	default:
		e.note(cookiePath, true, c.describe())
	}
}

// hasClick reports whether the click is in the query of u.
func (e *exam) hasClick(u *url.URL) bool { return strings.Contains(u.RawQuery, e.click) }
