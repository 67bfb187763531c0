package capi

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/text"
)

// Dialect is an encoder of events for one endpoint of the platform: [ECAPI] or
// [LogEvent]. Changing it is one line of a client's configuration; the events
// stay as they are.
type Dialect interface {
	// problems returns what is wrong with the dialect's own fields.
	problems() []error
	// name returns the dialect's own name.
	name() string
	// advertiser returns the advertiser or account, or "".
	advertiser() string
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
	check(e *clickid.Event, add func(field, problem string))
	// identified reports whether the dialect carries anything of e that it can
	// be attributed by.
	identified(e *clickid.Event) bool
	// encode returns the event for the wire. It is deterministic.
	encode(e *clickid.Event, pageURL string) (wireEvent, error)
	// request returns the body of one request. It is deterministic.
	// responses counts the verdicts that the platform has given on its events,
	// which makes it another request although its events are the same.
	request(events [][]byte, responses int) []byte
	// respondsPerEvent reports whether a 2xx has a documented body, which can
	// hide failures.
	respondsPerEvent() bool
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
	if env == EnvironmentStaging {
		return stagingPing
	}
	return productionPing
}

// checkSetting reports a dialect's field that is missing or cannot be sent.
func checkSetting(field, value string, required bool, limit int) error {
	switch {
	case value == "" && required:
		return fmt.Errorf("capi: %s is required", field)
	case utf8.RuneCountInString(value) > limit:
		return fmt.Errorf("capi: %s must not be longer than %d characters", field, limit)
	case text.HasControl(value) || strings.TrimSpace(value) != value:
		return fmt.Errorf("capi: %s must have no control characters and no spaces around it", field)
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
		return fmt.Errorf(`capi: %s must be a path such as "/agentic/v1/capi", without query and fragment`, field)
	}
	return nil
}

// amountNumber returns the amount as a JSON number literal, or nil.
func amountNumber(a clickid.Amount) *json.Number {
	if a.IsZero() {
		return nil
	}
	n := json.Number(a.Number())
	return &n
}
