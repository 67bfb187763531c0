package clickid_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

var (
	link    = regexp.MustCompile(`\]\(([^)#\s]*)(?:#([^)\s]+))?\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	fence   = regexp.MustCompile("(?s)```.*?```")
)

// TestDocs_links follows every link to a file or heading.
func TestDocs_links(t *testing.T) {
	t.Parallel()
	guides, err := filepath.Glob(filepath.Join("docs", "*.md"))
	require.NoError(t, err)
	first, err := filepath.Glob(filepath.Join("docs", "*", "*.md"))
	require.NoError(t, err)
	for _, document := range slices.Concat(guides, first, []string{"README.md", "CHANGELOG.md"}) {
		for _, l := range link.FindAllStringSubmatch(prose(t, document), -1) {
			if strings.Contains(l[1], "://") {
				continue
			}
			target := filepath.Join(filepath.Dir(document), filepath.FromSlash(l[1]))
			if l[1] == "" {
				target = document
			}
			_, err := os.Stat(target)
			require.NoError(t, err, "%s links to %s", document, target)
			if l[2] != "" {
				require.Contains(t, anchors(t, target), l[2], "%s links to %s", document, target)
			}
		}
	}
}

// prose returns a document without its code.
func prose(t *testing.T, document string) string {
	t.Helper()
	text, err := os.ReadFile(document)
	require.NoError(t, err)
	return fence.ReplaceAllString(string(text), "")
}

// anchors returns what a link to a heading of the document is called on GitHub.
func anchors(t *testing.T, document string) (names []string) {
	t.Helper()
	for _, h := range heading.FindAllStringSubmatch(prose(t, document), -1) {
		names = append(names, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, h[1]))
	}
	return names
}
