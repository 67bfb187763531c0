package doctor

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// judgeReferrer notes what the landing's Referrer-Policy does to the click.
func (e *exam) judgeReferrer(context.Context) (stop string) {
	seen := ""
	if e.policy != "" {
		seen = "Referrer-Policy: " + e.policy
	}
	e.note(referrerHidden, hidesQuery(e.policy), seen)
	e.note(referrerLeak, e.policy == "unsafe-url" || e.policy == "no-referrer-when-downgrade", seen)
	return ""
}

// hidesQuery reports whether a policy removes the query also within an origin.
func hidesQuery(policy string) bool {
	return slices.Contains([]string{"no-referrer", "origin", "strict-origin"}, policy)
}

// referrerPolicy returns the policy of a page, or "". Of several the last known
// one counts, and <meta> replaces the header.
func referrerPolicy(h http.Header, p page) (policy string) {
	list := strings.Join(h["Referrer-Policy"], ",") + "," + p.referrer
	for value := range strings.SplitSeq(strings.ToLower(list), ",") {
		switch value = strings.TrimSpace(value); value {
		case "no-referrer", "origin", "strict-origin", "same-origin", "origin-when-cross-origin",
			"strict-origin-when-cross-origin", "unsafe-url", "no-referrer-when-downgrade":
			policy = value
		}
	}
	return policy
}

// refererOf returns the Referer of a request from a page with a policy, or "".
func refererOf(from, to *url.URL, policy string) string {
	origin := from.Scheme + "://" + from.Host + "/"
	page := *from
	page.Fragment = ""
	switch downgrade := trustworthy(from) && !trustworthy(to); {
	case policy == "no-referrer", downgrade && policy != "unsafe-url" && policy != "origin" && policy != "origin-when-cross-origin",
		policy == "same-origin" && !sameOrigin(from, to):
		return ""
	case policy == "unsafe-url", policy == "no-referrer-when-downgrade", sameOrigin(from, to) && !hidesQuery(policy):
		return page.String()
	}
	return origin
}
