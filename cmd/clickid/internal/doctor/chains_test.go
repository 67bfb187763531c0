package doctor_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// TestConfig_chains follows the redirects of the guide's table, whose outcomes
// are those of a browser. The tracker is around all hosts.
func TestConfig_chains(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile(filepath.FromSlash("../../../../docs/browsers-and-cdn.md"))
	require.NoError(t, err)
	_, table, found := strings.Cut(string(guide), "| redirects | query | configuration | the click |\n| --- | --- | --- | --- |\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	rows := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		chain := strings.Split(strings.Trim(cells[0], "` "), " → ")
		outcome := strings.TrimSpace(cells[3])
		if strings.Contains(outcome, "returns an error") {
			continue
		}
		rows++
		site := tracked(t, chained(chain, strings.TrimSpace(cells[1]) == "kept"), configured(t, cells[2]))
		hosts := sites{}
		for _, origin := range chain {
			hosts[origin] = site
		}
		report := examine(t, hosts, from(t, chain[0]+"/0"))
		losses := []string{}
		for _, name := range names(problems(report)) {
			if strings.HasPrefix(name, "redirect-") || name == "cookie" || name == "cookie-refused" || name == "second-page" {
				losses = append(losses, name)
			}
		}
		require.Equal(t, outcome == "kept", len(losses) == 0, "%s%v", line, losses)
	}
	require.Greater(t, rows, 20)
}

// chained redirects from one page of a chain to the next.
func chained(chain []string, keep bool) http.Handler {
	mux := http.NewServeMux()
	for i, origin := range chain[1:] {
		mux.Handle("/"+strconv.Itoa(i), redirect(origin+"/"+strconv.Itoa(i+1), keep))
	}
	mux.Handle("/", page("landing"))
	return mux
}

// configured returns the configuration that a cell of the table names.
func configured(t *testing.T, cell string) func(*clickid.Config) {
	return func(c *clickid.Config) {
		for field := range strings.SplitSeq(strings.TrimSpace(cell), ", ") {
			switch name, value, _ := strings.Cut(strings.Trim(field, "`"), " = "); name {
			case "":
			case "StripParam":
				c.StripParam = true
			case "Insecure":
				c.Cookie.Insecure = true
			case "Domain":
				c.Cookie.Domain = value
			case "Hosts":
				c.Hosts = []string{value}
			default:
				t.Fatalf("unknown field %q", name)
			}
		}
	}
}
