package doctor

import (
	"context"
	"fmt"
	"time"
)

const reasonNoCookie = "the landing sets no cookie of the click"

// judgeStorage notes whether the landing stores the click, and finds out why
// not.
func (e *exam) judgeStorage(ctx context.Context) (stop string) {
	list := e.landing.cookies()
	e.note(cookieReplaced, false, "")
	if len(list) > 0 {
		e.found = list[len(list)-1]
		e.note(cookieLate, false, "")
		e.pass(cookieSet, e.found.describe())
		return ""
	}
	other := false
	for _, h := range e.landing.hops {
		other = other || h.other
	}
	if other {
		// The page does not set its own cookies again.
		again := e.customer.open(ctx, e.landingURL(e.Params[0], newClick()))
		if len(again.cookies()) > 0 {
			e.note(cookieReplaced, true, place(again.last().url))
			return reasonNoCookie
		}
	}
	if e.late {
		e.note(cookieLate, true, "")
		e.pass(cookieSet, "set by the next page")
		return reasonNoCookie
	}
	seen := ""
	if other {
		seen = "the responses set other cookies only"
	}
	e.note(cookieSet, true, seen)
	return reasonNoCookie
}

// minLifetime is the lifetime below which many orders come too late.
const minLifetime = 7 * 24 * time.Hour

// judgeCookie notes the attributes of the cookie.
func (e *exam) judgeCookie(context.Context) (stop string) {
	refusal := ""
	for _, h := range e.landing.hops {
		here := 0
		for _, c := range h.set {
			if c.deletes() {
				continue
			}
			here++
			refusal = c.refusal(h.url)
		}
		e.note(cookieTwice, here > 1, "one response sets both")
	}
	c, last := e.found, e.landing.last().url
	e.note(cookieRefused, refusal != "", refusal)
	if held := e.customer.held(last, time.Now(), true); len(held) > 1 {
		e.note(cookieTwice, true, held[0].describe()+" and "+held[1].describe())
	}
	private := isLoopback(last)
	e.note(cookieSecure, !c.secure && !private, "")
	e.note(cookieHTTPOnly, !c.httpOnly, "")
	e.note(cookieStrict, c.sameSite == "strict", "")
	e.note(cookieSameSite, c.sameSite != "strict" && c.sameSite != "lax", "")
	e.note(cookieSession, !c.persistent, "")
	if !c.persistent {
		e.skip("the cookie has no lifetime", cookieLifetime)
	} else {
		lifetime := c.lifetime.Round(time.Minute)
		e.note(cookieLifetime, lifetime < minLifetime || lifetime > maxLifetime, fmt.Sprintf("%.1f days", lifetime.Hours()/24))
	}
	e.note(cookiePrefix, c.name == e.Cookie && !private, c.name)
	e.note(cookiePath, c.path != "" && c.path != "/" || c.path == "" && defaultPath(last) != "/", c.describe())
	e.note(cookiePlain, c.value == e.click, "")
	return ""
}
