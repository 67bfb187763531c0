package clickidtest_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

var index = regexp.MustCompile(`/\d+`)

// knownMembers returns the members that the receiver looks for in the objects
// of a request, such as "events[].user_match.click_id".
func knownMembers(t *testing.T, iab bool, path, body string) []string {
	t.Helper()
	known := make(map[string]bool)
	receiver := clickidtest.New(clickidtest.Config{IAB: iab})
	receiver.OnMember(func(field string) {
		known[strings.ReplaceAll(strings.TrimPrefix(index.ReplaceAllString(field, "[]"), "/"), "/", ".")] = true
	})
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+clickidtest.APIKey)
	serve(receiver, r)
	require.NotEmpty(t, known, "%s", path)
	return slices.Sorted(maps.Keys(known))
}

// TestReceiver_documentedMembers compares the members that the receiver knows
// with the tables of the guide, both ways.
func TestReceiver_documentedMembers(t *testing.T) {
	t.Parallel()
	const event = `{"user_data":{"uids":[{}],"address":[{}]},"properties":{"items":[{}]}}`
	for heading, known := range map[string][]string{
		"Members of log_event": knownMembers(t, false, "/agentic/v1/capi",
			`{"event_source_id":"`+clickidtest.EventSourceID+`","events":[{"user_match":{"uids":[{}]},"custom_data":{"contents":[{}]},"surface":{}}]}`),
		"Members of ECAPI": knownMembers(t, true, "/agentic/v1/events", event),
		"Members of an event source": knownMembers(t, false, "/api/v2/buyer/advertisers/"+clickidtest.AdvertiserID+"/event-sources/sync",
			`{"account":{},"event_sources":[{"mapping":{}}]}`),
	} {
		var documented []string
		for _, m := range platformtest.DocumentedMembers(t, heading) {
			documented = append(documented, m.Name)
		}
		slices.Sort(documented)
		require.Equal(t, known, documented, heading)
	}
	var scope3 []string
	for _, m := range platformtest.DocumentedMembers(t, "Members of ECAPI") {
		if m.Note != "IAB" && !strings.HasPrefix(m.Name, "properties.") {
			scope3 = append(scope3, m.Name)
		}
	}
	slices.Sort(scope3)
	known := slices.DeleteFunc(knownMembers(t, false, "/agentic/v1/events", event), func(name string) bool {
		return name == "currency_code" // refused by name
	})
	require.Equal(t, known, scope3, "members without IAB are those that Scope3 documents")
}
