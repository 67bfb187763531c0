package clickid

import (
	"net/http"
	"strings"

	"github.com/clickid/clickid/internal/origin"
)

// captureRefusal returns the reason why a request must not store its click, or
// "". The evidence is the method and the browser's fetch metadata (W3C Fetch
// Metadata). Without fetch metadata (older browsers, sites on plain HTTP) a GET
// counts as a visit, since a lost click costs more than a forged one.
func captureRefusal(r *http.Request) Reason {
	if r.Method != http.MethodGet {
		return ReasonMethod
	}
	mode, dest := origin.First(r.Header, "Sec-Fetch-Mode"), origin.First(r.Header, "Sec-Fetch-Dest")
	if mode == "navigate" || mode == "" {
		switch dest {
		case "document":
			// Prefetches and prerenders of speculation rules. They are stored,
			// since the visit itself may send no request.
			return ""
		case "empty":
			// A service worker that responds to a navigation with
			// fetch(event.request) sends "navigate" and "empty". A script's
			// fetch() cannot send this mode.
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

// isPrefetch reports whether the page may not be shown to the visitor.
// Sec-Purpose is the standard header; Purpose and X-Moz are older ones.
func isPrefetch(h http.Header) bool {
	return strings.HasPrefix(origin.First(h, "Sec-Purpose"), "prefetch") ||
		origin.First(h, "Purpose") == "prefetch" || origin.First(h, "X-Moz") == "prefetch"
}

// isPart reports whether the browser tells that the request is for a part of a
// page, such as an image.
func isPart(r *http.Request) bool {
	switch origin.First(r.Header, "Sec-Fetch-Dest") {
	case "", "document", "empty":
		return false
	}
	return true
}

// isPage reports whether the request is for a page and not for a part of one,
// such as an image. The parts of a landing page have its URL as their Referer.
func isPage(r *http.Request) bool {
	if captureRefusal(r) != "" {
		return false
	}
	if origin.First(r.Header, "Sec-Fetch-Dest") != "" {
		return true
	}
	return strings.Contains(origin.First(r.Header, "Accept"), "text/html")
}
