package clickid_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// TestGuidesCompile builds the snippets of the guides that are whole
// declarations.
func TestGuidesCompile(t *testing.T) {
	t.Parallel()
	const header = `package guide

import (
	"context"
	"errors"
	"log"
	"net/http"

	"github.com/clickid/clickid"
)

var (
	_ context.Context
	_ = errors.Is
	_ = log.Print
	_ http.Handler
	_ clickid.Store
)
`
	for _, guide := range []string{"consent.md", "browsers-and-cdn.md"} {
		text, err := os.ReadFile(filepath.Join("docs", guide))
		require.NoError(t, err)
		source := header
		for _, block := range goBlock.FindAllStringSubmatch(string(text), -1) {
			source += "\n" + block[1]
		}
		require.Greater(t, len(source), len(header), guide)
		file := filepath.Join(t.TempDir(), strings.ReplaceAll(guide, ".md", ".go"))
		require.NoError(t, os.WriteFile(file, []byte(source), 0o600))
		out, err := exec.Command("go", "vet", file).CombinedOutput()
		require.NoError(t, err, "%s: %s", guide, out)
	}
}
