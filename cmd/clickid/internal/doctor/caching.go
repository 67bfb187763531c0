package doctor

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// judgeCaching notes whether shared caches may store the responses that set the
// cookie.
func (e *exam) judgeCaching(context.Context) (stop string) {
	for _, name := range []Name{cacheShared, cacheOverridden, cacheSilent} {
		e.note(name, false, "")
	}
	for _, h := range e.landing.hops {
		if len(h.set) == 0 {
			continue
		}
		browser, cdn := readCaching(h.header["Cache-Control"]), readCaching(h.header["Cdn-Cache-Control"])
		if browser == cachingUnknown && h.header.Get("Expires") != "" {
			browser = cachingAllowed
		}
		seen := "Cache-Control: " + strings.Join(h.header["Cache-Control"], ", ")
		if cdn != cachingUnknown {
			seen += "; CDN-Cache-Control: " + strings.Join(h.header["Cdn-Cache-Control"], ", ")
		}
		switch {
		case cdn == cachingAllowed, cdn == cachingUnknown && browser == cachingAllowed:
			e.note(cacheShared, true, seen)
		case cdn == cachingForbidden && browser != cachingForbidden:
			e.note(cacheOverridden, true, seen)
		case browser == cachingUnknown:
			e.note(cacheSilent, true, "")
		}
	}
	return ""
}

// caching is what a field permits shared caches.
type caching int

const (
	cachingUnknown caching = iota
	cachingAllowed
	cachingForbidden
)

// readCaching reads the values of Cache-Control or CDN-Cache-Control. A
// directive that forbids takes precedence, as in caches.
func readCaching(values []string) caching {
	result := cachingUnknown
	for directive := range strings.SplitSeq(strings.ToLower(strings.Join(values, ",")), ",") {
		name, argument, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name {
		case "private", "no-store", "no-cache":
			return cachingForbidden
		case "public":
			result = cachingAllowed
		case "max-age", "s-maxage":
			if seconds, err := strconv.Atoi(strings.Trim(argument, `"`)); err == nil && seconds > 0 {
				result = cachingAllowed
			} else if result == cachingUnknown {
				result = cachingForbidden
			}
		}
	}
	return result
}

// judgeHits notes whether a cache served a page with a click.
func (e *exam) judgeHits(v visit) {
	for _, h := range v.hops {
		if e.hasClick(h.url) {
			hit := cacheHitOf(h.header)
			e.note(cacheHit, hit != "", hit)
		}
	}
}

// cacheHitOf returns the header field with which a cache tells that it served
// the response, or "".
func cacheHitOf(h http.Header) string {
	if age, err := strconv.Atoi(h.Get("Age")); err == nil && age > 0 {
		return "Age: " + h.Get("Age")
	}
	for _, name := range []string{"X-Cache", "Cf-Cache-Status", "Cache-Status"} {
		if value := h.Get(name); strings.Contains(strings.ToLower(value), "hit") {
			return name + ": " + value
		}
	}
	return ""
}

// compareVisitors lands as further visitors: with the same link, with another
// click, and without one.
func (e *exam) compareVisitors(ctx context.Context) (stop string) {
	param := e.Params[0]
	e.judgeHits(e.newVisitor().open(ctx, e.landingURL(param, e.click)))

	second := e.newVisitor().open(ctx, e.landingURL(param, newClick()))
	if reason := second.conclusive(); reason != "" {
		e.skip(reason, cacheLeak)
	} else {
		e.note(cacheLeak, slices.ContainsFunc(second.cookies(), func(c cookie) bool { return c.value == e.found.value }), "")
	}
	organic := e.newVisitor().open(ctx, e.withoutClick(e.URL))
	if reason := organic.conclusive(); reason != "" {
		e.skip(reason, cookieOrganic)
	} else {
		e.note(cookieOrganic, len(organic.cookies()) > 0, place(organic.last().url))
	}
	if e.bad[cacheLeak] || e.bad[cookieOrganic] {
		return "the landing's cookie does not depend on the click"
	}
	return ""
}
