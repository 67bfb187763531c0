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

// documents returns the guides and the documents of the repository.
func documents(t *testing.T) []string {
	t.Helper()
	guides, err := filepath.Glob(filepath.Join("docs", "*.md"))
	require.NoError(t, err)
	first, err := filepath.Glob(filepath.Join("docs", "*", "*.md"))
	require.NoError(t, err)
	return slices.Concat(guides, first, []string{"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"})
}

// TestDocs_links follows every link to a file or heading.
func TestDocs_links(t *testing.T) {
	t.Parallel()
	for _, document := range documents(t) {
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

// TestDocs_code checks that the tests that a document names exist in the folder
// that it names before them, and the guides that a comment names.
func TestDocs_code(t *testing.T) {
	t.Parallel()
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	mention := regexp.MustCompile(`\bdocs/[\w/-]+\.md`)
	folders := make(map[string][]string) // by test
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
			folders[string(test[1])] = append(folders[string(test[1])], filepath.ToSlash(filepath.Dir(path)))
		}
		for _, guide := range mention.FindAllString(string(code), -1) {
			_, err := os.Stat(guide)
			require.NoError(t, err, "%s names %s", path, guide)
		}
		return nil
	}))
	commands := regexp.MustCompile(`go test ((?:\./[\w/]+ )+)(.*)`)
	pattern := regexp.MustCompile(`-(?:run|bench) ('[^']+'|[\w^$|]+)`)
	const test = "`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)`"
	one := regexp.MustCompile(test)
	placed := regexp.MustCompile("((?:`[\\w/]+`,\\s+)*`[\\w/]+`)\\s+(" + test + "(?:,\\s+" + test + ")*)")
	for _, document := range documents(t) {
		all, err := os.ReadFile(document)
		require.NoError(t, err)
		for _, command := range commands.FindAllStringSubmatch(string(all), -1) {
			for _, argument := range pattern.FindAllStringSubmatch(command[2], -1) {
				chosen := regexp.MustCompile(strings.Trim(argument[1], "'"))
				for _, folder := range strings.Fields(command[1]) {
					require.True(t, chosen.String() == "^$" || declares(folders, strings.TrimPrefix(folder, "./"), chosen), "%s: %s matches no function in %s", document, chosen, folder)
				}
			}
		}
		text := prose(t, document)
		for _, name := range one.FindAllStringSubmatch(text, -1) {
			require.True(t, folders[name[1]] != nil || name[1] == "TestEventCode", "%s names %s", document, name[1])
		}
		for _, group := range placed.FindAllStringSubmatch(text, -1) {
			for _, folder := range strings.FieldsFunc(one.ReplaceAllString(group[1], ""), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '/' }) {
				if folder == "clickid" {
					folder = "."
				}
				for _, name := range one.FindAllStringSubmatch(group[2], -1) {
					require.Contains(t, folders[name[1]], folder, "%s names %s", document, name[1])
				}
			}
		}
	}
}

// TestDocs_figures checks that each table of the benchmarks has one command above it,
// that each section names its machine, and that the figures of the README are in the
// first of them or the tested faults.
func TestDocs_figures(t *testing.T) {
	t.Parallel()
	var sources strings.Builder
	for _, document := range []string{"docs/benchmarks.md", "docs/benchmarks-storage.md"} {
		all, err := os.ReadFile(document)
		require.NoError(t, err)
		if sources.Len() == 0 {
			sources.Write(all)
		}
		for _, section := range strings.Split(string(all), "\n## ")[1:] {
			title, _, _ := strings.Cut(section, "\n")
			if title == "Summary" {
				continue
			}
			require.Contains(t, section, "Machine:", "%s, section %s", document, title)
			above := 0 // commands since the last table
			for part := range strings.SplitSeq(section, "\n\n") {
				switch {
				case strings.HasPrefix(part, "```sh\n"):
					require.Equal(t, 2, strings.Count(part, "\n"), "%s, section %s: a command is one line", document, title)
					above++
				case strings.HasPrefix(part, "| "):
					require.Equal(t, 1, above, "%s, section %s: commands above the table\n%s", document, title, part)
					above = 0
				}
			}
			require.Zero(t, above, "%s, section %s: a command without a table", document, title)
		}
	}
	faults, err := os.ReadFile("docs/reliability.md")
	require.NoError(t, err)
	sources.Write(faults)
	measured := regexp.MustCompile(`(?s)\n## Measured\n(.*?)\n## `).FindString(prose(t, "README.md"))
	cells := regexp.MustCompile(`\| ([\d.,]+(?: to [\d.,]+)?) (?:\|)`).FindAllStringSubmatch(strings.ReplaceAll(measured, "|", "| |"), -1)
	require.NotEmpty(t, cells)
	for _, cell := range cells {
		require.Regexp(t, `(^|[^\d.,])`+regexp.QuoteMeta(cell[1])+`($|[^\d])`, sources.String(), "README.md, a measured figure")
	}
}

// declares reports whether a folder has a function whose name matches.
func declares(folders map[string][]string, folder string, name *regexp.Regexp) bool {
	for test, in := range folders {
		if name.MatchString(test) && slices.Contains(in, folder) {
			return true
		}
	}
	return false
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
