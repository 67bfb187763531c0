package clickid_test

import (
	"io/fs"
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
	for _, document := range slices.Concat(guides, first, []string{"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"}) {
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

// TestDocs_code checks that the tests that a guide names exist, and the guides
// that a comment names.
func TestDocs_code(t *testing.T) {
	t.Parallel()
	declaration := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	mention := regexp.MustCompile(`\bdocs/[\w/-]+\.md`)
	tests := make(map[string]bool)
	require.NoError(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || path == "scripts"):
			return fs.SkipDir
		case filepath.Ext(path) != ".go":
			return nil
		}
		code, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, test := range declaration.FindAllSubmatch(code, -1) {
			tests[string(test[1])] = true
		}
		for _, guide := range mention.FindAllString(string(code), -1) {
			_, err := os.Stat(guide)
			require.NoError(t, err, "%s names %s", path, guide)
		}
		return nil
	}))
	guides, err := filepath.Glob(filepath.Join("docs", "*.md"))
	require.NoError(t, err)
	for _, guide := range guides {
		for _, test := range regexp.MustCompile("`(Test[A-Z]\\w*)`").FindAllStringSubmatch(prose(t, guide), -1) {
			require.True(t, tests[test[1]] || test[1] == "TestEventCode", "%s names %s", guide, test[1])
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
