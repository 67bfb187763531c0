package doctor

import (
	"context"
	"net/http"
	"slices"
	"strings"
)

// stores notes whether a visit stores its click where it must not.
func (e *exam) stores(name Name, v visit, seen string) {
	if reason := v.conclusive(); reason != "" {
		e.skip(reason, name)
		return
	}
	e.note(name, len(v.cookies()) > 0, seen)
}

// visitWithGPC lands with Global Privacy Control.
func (e *exam) visitWithGPC(ctx context.Context) (stop string) {
	v := e.newVisitor()
	v.gpc = true
	e.stores(requestGPC, v.open(ctx, e.newLanding().url), "")
	return ""
}

// newLanding returns a navigation to the landing with a new click.
func (e *exam) newLanding() request {
	return request{url: e.landingURL(e.Params[0], newClick()), purpose: navigation()}
}

// requestParts requests the landing in ways that are not the visit of a page.
func (e *exam) requestParts(ctx context.Context) (stop string) {
	head := e.newLanding()
	head.method = http.MethodHead
	e.stores(requestHead, e.newVisitor().visit(ctx, head), "")
	if !trustworthy(e.URL) || !trustworthy(e.landing.last().url) {
		e.skip("browsers send no fetch metadata over plain HTTP", requestPrefetch, prefetchCache, requestPrerender, requestEmbedded)
		return ""
	}
	as := func(p purpose) visit {
		r := e.newLanding()
		r.purpose = p
		return e.newVisitor().visit(ctx, r)
	}
	e.stores(requestEmbedded, as(image()), "image")
	e.stores(requestEmbedded, as(frame()), "frame")

	prefetched := as(prefetch())
	e.stores(requestPrefetch, prefetched, "")
	if reason := prefetched.conclusive(); reason != "" {
		e.skip(reason, prefetchCache)
	} else {
		e.note(prefetchCache, !slices.ContainsFunc(prefetched.hops, forbidsReuse), "")
	}

	prerendered := as(prerender())
	if reason := prerendered.conclusive(); reason != "" {
		e.skip(reason, requestPrerender)
	} else {
		e.note(requestPrerender, len(prerendered.cookies()) == 0, "")
	}
	return ""
}

// forbidsReuse reports whether the browser must request a prefetched page again.
func forbidsReuse(h hop) bool {
	return strings.Contains(strings.ToLower(strings.Join(h.header["Cache-Control"], ",")), "no-store")
}

// tryOtherParameters lands with the further names of the parameter.
func (e *exam) tryOtherParameters(ctx context.Context) (stop string) {
	if len(e.Params) == 1 {
		e.skip("there is one name", otherParameter)
	}
	for _, param := range e.Params[1:] {
		v := e.newVisitor().open(ctx, e.landingURL(param, newClick()))
		if reason := v.conclusive(); reason != "" {
			e.skip(reason, otherParameter)
			continue
		}
		e.note(otherParameter, len(v.cookies()) == 0, param)
	}
	return ""
}
