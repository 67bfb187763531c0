package capi

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/rawjson"
	"github.com/clickid/clickid/internal/text"
)

// Dialect encodes events for an endpoint of the platform: [ECAPI] or
// [LogEvent]. Events do not depend on the dialect.
type Dialect interface {
	// problems returns the problems of the dialect's fields.
	problems() []error
	// name returns the name of the dialect.
	name() string
	// advertiser returns the advertiser or account, or "".
	advertiser() string
	// destination returns the data set or event source.
	destination() string
	// origin returns scheme and host of an environment.
	origin(Environment) string
	// path returns the endpoint's path.
	path() string
	// published returns the endpoint's published rate limit.
	published() RateLimit
	// maxEvents returns the maximum number of events in a request.
	maxEvents() int
	// fit changes a clean event into one that the dialect can encode, without
	// changing its maps and slices.
	fit(e *clickid.Event, r *remarks)
	// identified reports whether the encoded event has anything to attribute it
	// by.
	identified(e *clickid.Event) bool
	// encode writes the event as JSON and returns the platform's identity of
	// it. It is deterministic.
	encode(w *rawjson.Writer, e *clickid.Event, pageURL string) (kind, id string)
	// frame returns the body of a request, without its events. It is
	// deterministic.
	frame() *body
	// respondsPerEvent reports whether the body of a 2xx is documented, and can
	// hide refusals.
	respondsPerEvent() bool
	// confirms reports whether an accepting body always counts the events.
	confirms() bool
}

// wireEvent is an encoded event.
type wireEvent struct {
	kind, id string // the platform's identity of the event
	data     []byte
}

const (
	productionPing = "https://ping.scope3.com"
	stagingPing    = "https://ping.staging.scope3.com"
)

// pingOrigin returns the origin of the tracking endpoints of both dialects.
func pingOrigin(env Environment) string {
	if env == EnvironmentStaging {
		return stagingPing
	}
	return productionPing
}

// checkSetting returns an error if a field of a dialect is missing or cannot be
// sent.
func checkSetting(field, value string, required bool, limit int) error {
	switch {
	case value == "" && required:
		return fmt.Errorf("capi: %s is required", field)
	case utf8.RuneCountInString(value) > limit:
		return fmt.Errorf("capi: %s must not be longer than %d characters", field, limit)
	case text.HasControl(value) || strings.TrimSpace(value) != value:
		return fmt.Errorf("capi: %s must not have control characters or surrounding spaces", field)
	}
	return nil
}

// checkPath returns an error unless path is a valid path or empty.
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
