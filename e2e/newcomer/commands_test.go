package newcomer_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/stretchr/testify/require"
)

var (
	shellBlock  = regexp.MustCompile("(?s)```sh\n(.*?)```")
	commandLine = regexp.MustCompile(`(?m)(?:^| )clickid ((?:outbox |sources )?[a-z]+)\b([^|#\n]*)`)
	flagName    = regexp.MustCompile(`(?:^| )--?([a-z][a-z-]*)`)
)

// TestDocs_commands checks that the commands of the documentation and their
// flags exist.
func TestDocs_commands(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	binary := buildCommand(t, root)
	checked := 0
	for _, document := range documents(t) {
		text, err := os.ReadFile(document)
		require.NoError(t, err)
		for _, block := range shellBlock.FindAllStringSubmatch(string(text), -1) {
			script := strings.ReplaceAll(block[1], "\\\n", " ")
			for _, command := range commandLine.FindAllStringSubmatch(script, -1) {
				help, err := exec.Command(binary, append(strings.Fields(command[1]), "-h")...).CombinedOutput()
				require.NoError(t, err, "%s: %s\n%s", document, command[0], help)
				for _, name := range flagName.FindAllStringSubmatch(command[2], -1) {
					require.Regexp(t, `--`+name[1]+`\b`, string(help), "%s: %s", document, command[0])
				}
				checked++
			}
		}
	}
	require.Greater(t, checked, 20)
}

// TestTroubleshooting_messages checks that the guide quotes the messages as the
// library writes them.
func TestTroubleshooting_messages(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/troubleshooting.md")
	require.NoError(t, err)
	guide := string(text)
	for _, kind := range []clickid.Kind{
		clickid.KindLostClick, clickid.KindClickAtRisk, clickid.KindRefused,
		clickid.KindInvalidCookie, clickid.KindStoreError, clickid.KindLongToken,
	} {
		require.Contains(t, guide, "`clickid: "+string(kind)+"`")
	}

	client, err := capi.New(capi.Config{APIKey: "scope3_local", Dialect: capi.LogEvent{EventSourceID: "my-shop"}})
	require.NoError(t, err)
	for _, ctx := range []context.Context{
		t.Context(), // a job
		context.WithValue(t.Context(), http.ServerContextKey, &http.Server{}), // a handler without a tracker
	} {
		result, err := clickid.Convert(ctx, client, clickid.Event{
			Type: clickid.Purchase, ID: "order-1001", Time: time.Now(), Value: clickid.Decimal("149.99", "USD"),
		})
		require.NoError(t, err)
		reason, cause, found := strings.Cut(result.Reason, ": ")
		require.True(t, found, result.Reason)
		require.Contains(t, guide, "  reason         "+reason+"\n")
		require.Contains(t, guide, "`… "+cause+"`")
	}
}

// TestReadme_demo compares the README with the steps that the demo prints.
func TestReadme_demo(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	out, err := exec.Command(buildCommand(t, root), "demo", "-once").CombinedOutput()
	require.NoError(t, err, string(out))
	steps := func(printed string) string {
		found := strings.Join(regexp.MustCompile(`(?m)^✓.*\n`).FindAllString(printed, -1), "")
		return regexp.MustCompile(`\b01[0-9A-Z]{24}\b`).ReplaceAllString(found, clickID)
	}
	require.NotEmpty(t, steps(string(out)))
	require.Equal(t, steps(string(out)), steps(string(text)))
}
