package databases_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// TestGuide_snippets checks that the code in the guide is the code of these
// tests.
func TestGuide_snippets(t *testing.T) {
	t.Parallel()
	var code strings.Builder
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		code.Write(text)
	}
	guide, err := os.ReadFile("../../docs/databases.md")
	require.NoError(t, err)
	blocks := goBlock.FindAllStringSubmatch(string(guide), -1)
	require.NotEmpty(t, blocks)
	placed := 0
	for _, block := range blocks {
		require.Contains(t, code.String(), block[1])
		placed += strings.Count(block[1], "func placeWith")
	}
	require.Equal(t, strings.Count(code.String(), "\nfunc placeWith"), placed, "the guide has every library")
}
