package clickid

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// Dialect is an encoder of events for one endpoint of the platform: [ECAPI] or
// [LogEvent]. Changing it is one line of a client's configuration; the events
// stay as they are.
type Dialect interface {
	// problems returns what is wrong with the dialect's own fields.
	problems() []error
	// destination returns the data set or event source.
	destination() string
	// origin returns scheme and host in an environment, or "" where none is
	// documented.
	origin(Environment) string
	// path returns the endpoint's path.
	path() string
	// published returns the endpoint's published rate limit.
	published() RateLimit
	// maxEvents returns how many events one request may carry.
	maxEvents() int
	// check reports what is wrong with an event that is valid in general.
	check(e *Event, p properties, add func(field, problem string))
	// identified reports whether the dialect carries anything of e that it can
	// be attributed by.
	identified(e *Event) bool
	// encode returns the event for the wire. It is deterministic.
	encode(e *Event, p properties, pageURL string) (wireEvent, error)
	// request returns the body of one request. It is deterministic.
	// replays is how often its events have been replayed, which makes it
	// another request although its bytes are the same.
	request(events [][]byte, replays int) []byte
	// answersPerEvent reports whether a 2xx has a documented body, which can
	// hide failures.
	answersPerEvent() bool
}

// wireEvent is an event as a dialect sends it.
type wireEvent struct {
	kind, id string // under which the platform counts it
	data     []byte
}

const (
	productionPing = "https://ping.scope3.com"
	stagingPing    = "https://ping.staging.scope3.com"
)

// pingOrigin is where the tracking endpoints of both dialects are.
func pingOrigin(env Environment) string {
	if env == Staging {
		return stagingPing
	}
	return productionPing
}

// checkSetting reports a dialect's field that is missing or cannot be sent.
func checkSetting(field, value string, required bool, limit int) error {
	switch {
	case value == "" && required:
		return fmt.Errorf("clickid: %s is required", field)
	case utf8.RuneCountInString(value) > limit:
		return fmt.Errorf("clickid: %s must not be longer than %d characters", field, limit)
	case hasControl(value) || strings.TrimSpace(value) != value:
		return fmt.Errorf("clickid: %s must have no control characters and no spaces around it", field)
	}
	return nil
}

// checkPath reports a path that does not name one endpoint; an empty one is
// the default.
func checkPath(field, path string) error {
	if path == "" {
		return nil
	}
	u, err := url.Parse(path)
	if err != nil || u.Scheme != "" || u.Host != "" || path[0] != '/' || strings.ContainsAny(path, "?#\\") ||
		strings.Contains(path, "//") || slices.Contains(strings.Split(u.Path, "/"), "..") {
		return fmt.Errorf(`clickid: %s must be a path such as "/agentic/v1/capi", without query and fragment`, field)
	}
	return nil
}

// sentURL returns the page's URL as it may be sent: without query and
// fragment unless keep is set, and without credentials. It is "" when nothing
// fit to be sent is left, and warning says what was left out unasked.
func sentURL(raw string, keep bool) (sent, warning string) {
	if raw == "" {
		return "", ""
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || hasControl(raw) {
		return "", "page_url was left out: it is no absolute http or https URL"
	}
	u.User = nil
	if keep {
		if personalData(u.String()) == "" && personalData(decoded(u.RawQuery)) == "" {
			return u.String(), ""
		}
		warning = "the query of page_url was left out: it holds personal data"
	}
	u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = "", false, "", ""
	if personalData(u.Path) != "" {
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

// amountNumber returns the amount as a JSON number literal, or nil.
func amountNumber(a Amount) *json.Number {
	if a.IsZero() {
		return nil
	}
	n := json.Number(a.number)
	return &n
}

// truncate returns the first limit characters of s.
func truncate(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	count := 0
	for i := range s {
		if count == limit {
			return s[:i]
		}
		count++
	}
	return s
}
