package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/clickid/clickid/clickidtest"
	"github.com/stretchr/testify/require"
)

const sourceFile = `event_sources:
  - id: web
    name: Web shop
    event_types: [purchase, lead]
    allowed_domains: [shop.example]
    mapping:
      order_id: number
  - id: till
`

func callSources(t *testing.T, platform *clickidtest.Server, args ...string) result {
	t.Helper()
	return callSending(t, platform, "", append(strings.Fields("sources "+args[0]), append([]string{"-advertiser", clickidtest.AdvertiserID}, args[1:]...)...)...)
}

func TestSources(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	path := write(t, []byte(sourceFile))
	r := callSources(t, platform, "sync", path)
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.stderr, "nothing was changed; -yes makes the changes")
	require.Equal(t, `+ "web" is new
    name: "Web shop"
    event_types: "lead, purchase"
    allowed_domains: "shop.example"
    mapping: "OrderIDField=number"
+ "till" is new
  "shop" is not in the file and stays as it is
`, r.stdout)
	require.Len(t, platform.EventSources(clickidtest.AdvertiserID), 1)

	r = callSources(t, platform, "sync", "-yes", path)
	require.Equal(t, 0, r.code, r.stderr)
	require.Contains(t, r.stderr, "web: created\ntill: created\n")
	require.Len(t, platform.EventSources(clickidtest.AdvertiserID), 3)

	r = callSources(t, platform, "list")
	require.Equal(t, 0, r.code, r.stderr)
	listed := write(t, []byte(r.stdout))
	r = callSources(t, platform, "sync", listed)
	require.Equal(t, 0, r.code, "the list is in the form of a file without changes: "+r.stdout)

	changed := write(t, []byte(strings.Replace(sourceFile, "Web shop", "Shop", 1)))
	r = callSources(t, platform, "sync", changed)
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.stdout, "~ \"web\" changes\n    name: \"Web shop\" -> \"Shop\"\n= \"till\" is registered as in the file\n")

	r = callSources(t, platform, "sync", "-yes", "-archive-others", path)
	require.Equal(t, 0, r.code, r.stderr)
	require.Contains(t, r.stdout, "- \"shop\" is not in the file and is archived\n")
	require.Contains(t, r.stderr, "shop: deleted\n")
}

func TestSources_health(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	r := callSources(t, platform, "health")
	require.Equal(t, 0, r.code, r.stderr)
	require.Regexp(t, `(?m)^"shop" +not_seen +- +- +- +-$`, r.stdout)
	r = callSending(t, platform, "", "send", "-advertiser", clickidtest.AdvertiserID, "-id", "1", "-time", "2026-11-20T14:03:00Z", "-click", click)
	require.Equal(t, 0, r.code, r.stderr)
	r = callSources(t, platform, "health")
	require.Regexp(t, `"shop" +receiving +2026-11-20T14:03:00Z +purchase `, r.stdout)

	platform.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"2"}})
	r = callSending(t, platform, "", "send", "-advertiser", clickidtest.AdvertiserID, "-id", "2", "-click", click)
	require.Equal(t, exitFailed, r.code, r.stdout)
	r = callSources(t, platform, "health", "-json")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.stderr, `the event source "shop" needs attention`)
	require.True(t, json.Valid([]byte(r.stdout)))
}

// TestSources_none has an advertiser whose source was forgotten. A script that
// watches the health must notice.
func TestSources_none(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t, func(cfg *clickidtest.Config) {
		cfg.Accounts = []clickidtest.Account{{APIKey: clickidtest.APIKey, Advertisers: []string{clickidtest.AdvertiserID}}}
	})
	for _, args := range []string{"health", "health -json"} {
		r := callSources(t, platform, args)
		require.Equal(t, exitFailed, r.code)
		require.Contains(t, r.stderr, "the advertiser has no event source")
	}
	r := callSources(t, platform, "list", "-json")
	require.Equal(t, 0, r.code, r.stderr)
	require.Equal(t, "[]\n", r.stdout)
}

func TestSources_errors(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	for content, want := range map[string]string{
		"":                                       "the file has no event sources",
		"event_sources: [{name: x}]":             "event_sources[0] has no id",
		"event_sources: [{id: a}, {id: a}]":      `event_sources[1] has the id "a" of another one`,
		"event_sources: [{id: a, colour: blue}]": "field colour not found",
		"event_sources: 1":                       "the file is not a list of event sources",
		strings.Repeat("#", 2<<20):               "the file has more than 1 MiB",
	} {
		r := callSources(t, platform, "sync", write(t, []byte(content)))
		require.Equal(t, exitFailed, r.code)
		require.Contains(t, r.stderr, want)
	}
	r := callSources(t, platform, "sync")
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.stderr, "sync needs the name of a file")
	r = callSending(t, platform, "", "sources", "list")
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.stderr, "-advertiser or CLICKID_ADVERTISER")
	require.Empty(t, platform.Requests())

	platform.Always(clickidtest.Fault{Status: 401})
	r = callSources(t, platform, "list")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.stderr, "401 Unauthorized, UNAUTHORIZED; check the API key")
}
