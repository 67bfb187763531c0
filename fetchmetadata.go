package clickid

import (
	"net/http"
	"strings"
)

// captureRefusal returns why a request must not store the click it carries, or
// returns "". The evidence is the method and what the browser tells about the
// request (W3C Fetch Metadata). Without that evidence (older browsers, sites
// on plain HTTP) a GET is taken for a visit: a lost click costs more than one
// that somebody forged with much effort.
func captureRefusal(r *http.Request) Reason {
	if r.Method != http.MethodGet {
		return ReasonMethod
	}
	mode, dest := first(r.Header, "Sec-Fetch-Mode"), first(r.Header, "Sec-Fetch-Dest")
	if mode == "navigate" || mode == "" {
		switch dest {
		case "document":
			// Speculation-rules prefetches and prerenders look like this, and
			// are stored: if the visitor comes, no other request may follow.
			return ""
		case "empty":
			// A service worker that answers a navigation with
			// fetch(event.request) sends "navigate" and "empty". A script's
			// own fetch() cannot send that mode.
			if mode == "navigate" {
				return ""
			}
		case "":
			if !isPrefetch(r.Header) {
				return ""
			}
		}
	}
	if isPrefetch(r.Header) {
		return ReasonPrefetch
	}
	return ReasonDestination
}

// isPrefetch reports whether the browser says that nobody is looking at the
// page yet. Sec-Purpose is the standard's header; Purpose and X-Moz are what
// browsers sent before it.
func isPrefetch(h http.Header) bool {
	return strings.HasPrefix(first(h, "Sec-Purpose"), "prefetch") ||
		first(h, "Purpose") == "prefetch" || first(h, "X-Moz") == "prefetch"
}

// isPage reports whether the request asks for a page rather than for a part of
// one. Parts of a landing page (styles, images) carry its URL as their Referer.
func isPage(r *http.Request) bool {
	if captureRefusal(r) != "" {
		return false
	}
	if first(r.Header, "Sec-Fetch-Dest") != "" {
		return true
	}
	return strings.Contains(first(r.Header, "Accept"), "text/html")
}
