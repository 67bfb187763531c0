package clickidtest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The management API (Interchange, buyer API v2): whose key it is, the event
// sources of an advertiser with their health, and what was counted.
//
// The receiver decides what the contract leaves open: a sync replaces the whole
// declaration of a source, and the summary counts each accepted log_event once,
// in the hour of its event time, unless it has a test_event_code.

// routeInterchange returns the endpoint of a path of Interchange.
func routeInterchange(path string) (e endpoint, advertiser string) {
	if path == "/api/v2/accounts/current" {
		return endpointAccount, ""
	}
	rest, ok := strings.CutPrefix(path, "/api/v2/buyer/advertisers/")
	if !ok {
		return endpointNone, ""
	}
	advertiser, rest, _ = strings.Cut(rest, "/")
	if advertiser == "" {
		return endpointNone, ""
	}
	switch rest {
	case "log-event":
		return endpointInterchange, advertiser
	case "event-sources":
		return endpointSources, advertiser
	case "event-sources/sync":
		return endpointSync, advertiser
	case "events/summary":
		return endpointSummary, advertiser
	}
	return endpointNone, ""
}

// isManagement reports whether the endpoint belongs to the management API.
func (e endpoint) isManagement() bool { return e >= endpointAccount }

// method returns the method that the endpoint takes.
func (e endpoint) method() string {
	if e.isManagement() && e != endpointSync {
		return http.MethodGet
	}
	return http.MethodPost
}

// refuseManagement returns an error in the form of the management API: the path
// of an issue is a list.
func (x *exchange) refuseManagement(status int, e Error) response {
	type issue struct {
		Path    []any  `json:"path"`
		Message string `json:"message"`
	}
	object := map[string]any{"code": e.Code, "message": e.Message}
	if e.Field != "" {
		object["field"] = e.Field
	}
	if len(e.Issues) > 0 {
		issues := make([]issue, 0, len(e.Issues))
		for _, p := range e.Issues {
			var path []any
			for _, part := range strings.Split(strings.TrimPrefix(p.Field, "/"), "/") {
				if n, err := strconv.Atoi(part); err == nil {
					path = append(path, n)
				} else {
					path = append(path, part)
				}
			}
			issues = append(issues, issue{path, p.Message})
		}
		object["details"] = map[string]any{"issues": issues}
	}
	return x.reply(status, map[string]any{"data": nil, "error": object})
}

// manage handles a request of the management API.
func (x *exchange) manage() response {
	switch x.endpoint {
	case endpointAccount:
		return x.currentAccount()
	case endpointSync:
		return x.syncSources()
	case endpointSources:
		return x.listSources()
	}
	return x.summary()
}

func (x *exchange) data(v any) response {
	return x.reply(http.StatusOK, map[string]any{"data": v})
}

func (x *exchange) currentAccount() response {
	if _, resp, ok := x.query(); !ok {
		return resp
	}
	return x.data(map[string]any{"id": "account_test", "company": "Test company", "name": "Test account", "role": "ADMIN"})
}

// query returns the parameters of the request if it has only those that are
// known, each once.
func (x *exchange) query(known ...string) (values url.Values, resp response, ok bool) {
	var p problems
	values, err := url.ParseQuery(x.http.URL.RawQuery)
	if err != nil {
		p.add("", "the query is malformed")
	}
	for name, list := range values {
		switch {
		case !slices.Contains(known, name):
			p.add("/"+name, "is not a parameter of the contract")
		case len(list) != 1 || list[0] == "":
			p.add("/"+name, "must have one value")
		}
	}
	if len(x.body) > 0 {
		p.add("", "a GET request must not have a body")
	}
	if len(p.found) > 0 {
		return nil, x.invalid(p.found), false
	}
	return values, response{}, true
}

// number returns an integer of the query.
func number(p *problems, values url.Values, name string, low, high, missing int) int {
	if !values.Has(name) {
		return missing
	}
	n, err := strconv.Atoi(values.Get(name))
	if err != nil || n < low || n > high {
		p.add("/"+name, "must be an integer from %d to %d", low, high)
	}
	return n
}

func timeOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}

func textOrNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
