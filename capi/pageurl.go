package capi

import (
	"net/url"

	"github.com/clickid/clickid/internal/personaldata"
	"github.com/clickid/clickid/internal/text"
)

// sentURL returns the page's URL in the form in which it is sent: without
// credentials, and without query and fragment unless keep is set. It returns ""
// if nothing can be sent. The warning names the parts that were left out
// because of their content.
func sentURL(raw string, keep bool) (sent, warning string) {
	if raw == "" {
		return "", ""
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || text.HasControl(raw) {
		return "", "page_url was left out: it is not an absolute http or https URL"
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

// decoded returns the query with its escapes resolved, or unchanged if they are
// invalid.
func decoded(query string) string {
	if s, err := url.QueryUnescape(query); err == nil {
		return s
	}
	return query
}
