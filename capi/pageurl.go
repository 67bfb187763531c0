package capi

import (
	"net/url"

	"github.com/clickid/clickid/internal/personaldata"
	"github.com/clickid/clickid/internal/text"
)

// sentURL returns the page's URL as it may be sent: without query and
// fragment unless keep is set, and without credentials. It is "" when nothing
// fit to be sent is left, and warning says what was left out unasked.
func sentURL(raw string, keep bool) (sent, warning string) {
	if raw == "" {
		return "", ""
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || text.HasControl(raw) {
		return "", "page_url was left out: it is no absolute http or https URL"
	}
	u.User = nil
	if keep {
		if personaldata.Problem(u.String()) == "" && personaldata.Problem(decoded(u.RawQuery)) == "" {
			return u.String(), ""
		}
		warning = "the query of page_url was left out: it holds personal data"
	}
	u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = "", false, "", ""
	if personaldata.Problem(u.Path) != "" {
		return "", "page_url was left out: it holds personal data"
	}
	return u.String(), warning
}

// decoded returns the query with its escapes resolved, or as it is.
func decoded(query string) string {
	if s, err := url.QueryUnescape(query); err == nil {
		return s
	}
	return query
}
