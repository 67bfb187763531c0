package doctor_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clickid/clickid/cmd/clickid/internal/doctor"
	"github.com/stretchr/testify/require"
)

func requireGolden(t *testing.T, name, got string) {
	t.Helper()
	want, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func TestReport_golden(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]sample{
		"apex":    brokenRedirects(t)["apex to www"],
		"public":  brokenCaches(t)["public"],
		"healthy": healthySites(t)["tracker"],
	} {
		report := examine(t, s.sites, s.edits...)
		var table bytes.Buffer
		require.NoError(t, report.Print(&table))
		requireGolden(t, name+".txt", table.String())
		object, err := json.MarshalIndent(report, "", "  ")
		require.NoError(t, err)
		requireGolden(t, name+".json", string(object)+"\n")
	}
}

// TestKinds_documented compares the table of the guide.
func TestKinds_documented(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile(filepath.FromSlash("../../../../docs/doctor.md"))
	require.NoError(t, err)
	_, table, found := strings.Cut(string(guide), "| finding | severity | meaning | change |\n| --- | --- | --- | --- |\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	want := ""
	for _, k := range doctor.Kinds() {
		want += fmt.Sprintf("| `%s` | %s | %s | %s |\n", k.Name, k.Severity, k.Meaning, k.Change)
	}
	require.Equal(t, strings.TrimSuffix(want, "\n"), strings.TrimSuffix(table, "\n"))
}
