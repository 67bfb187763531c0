package newcomer_test

import (
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	goBlock  = regexp.MustCompile("(?s)```go\n(.*?)```")
	selector = regexp.MustCompile(`\b([a-z]\w*)\.[A-Z]`)
	harmless = regexp.MustCompile(`declared and not used|imported and not used|imported as \w+ and not used|^#|^\s*$`)
)

// imported is the packages that the blocks of the guides use.
var imported = map[string]string{
	"asynqoutbox":  module + "/outbox_asynq",
	"capi":         module + "/capi",
	"clickid":      module,
	"clickidotel":  module + "/otel",
	"context":      "context",
	"errors":       "errors",
	"fmt":          "fmt",
	"http":         "net/http",
	"log":          "log",
	"os":           "os",
	"outbox":       module + "/outbox",
	"outboxtest":   module + "/outbox/outboxtest",
	"riveroutbox":  module + "/outbox_river",
	"riverpgxv5":   "github.com/riverqueue/river/riverdriver/riverpgxv5",
	"rivertype":    "github.com/riverqueue/river/rivertype",
	"sql":          "database/sql",
	"sqliteoutbox": module + "/outbox_sqlite",
	"strings":      "strings",
	"subtle":       "crypto/subtle",
	"testing":      "testing",
	"time":         "time",
}

// TestDocs_compile compiles every code block of the README and the guides but
// those that other tests hold to code that runs: complete programs, and the
// blocks of databases.md. A folder of testdata/guides declares the names that the
// blocks of a guide take from the shop.
func TestDocs_compile(t *testing.T) {
	for _, guide := range documents(t) {
		if filepath.Base(guide) == "databases.md" {
			continue
		}
		t.Run(filepath.Base(guide), func(t *testing.T) {
			t.Parallel()
			compile(t, guide)
		})
	}
}

// documents returns the README and all guides.
func documents(t *testing.T) []string {
	t.Helper()
	found := []string{"../../README.md"}
	for _, pattern := range []string{"../../docs/*.md", "../../docs/*/*.md"} {
		guides, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, guides)
		found = append(found, guides...)
	}
	return found
}

func compile(t *testing.T, guide string) {
	text, err := os.ReadFile(guide)
	require.NoError(t, err)
	dir := t.TempDir()
	var files []string
	add := func(source string) {
		files = append(files, filepath.Join(dir, "block"+strconv.Itoa(len(files)+1)+".go"))
		require.NoError(t, os.WriteFile(files[len(files)-1], []byte(source), 0o600))
	}
	for _, block := range goBlock.FindAllStringSubmatch(string(text), -1) {
		if !strings.HasPrefix(block[1], "package main\n") {
			add(completed(t, block[1]))
		}
	}
	if len(files) == 0 {
		return
	}
	shop, err := os.ReadFile(filepath.Join("testdata", "guides", strings.TrimSuffix(filepath.Base(guide), ".md"), "shop.go"))
	if !os.IsNotExist(err) {
		require.NoError(t, err)
		add(string(shop))
	}
	out, err := exec.Command("go", append([]string{"build", "-gcflags=-e", "-o", os.DevNull}, files...)...).CombinedOutput()
	if err == nil {
		return
	}
	// A block that shows a result need not use it.
	faults := slices.DeleteFunc(strings.Split(string(out), "\n"), harmless.MatchString)
	require.Empty(t, faults)
}

// completed returns a block, which has declarations or statements, as a file.
func completed(t *testing.T, block string) string {
	t.Helper()
	used := map[string]bool{}
	for _, match := range selector.FindAllStringSubmatch(block, -1) {
		if path, ok := imported[match[1]]; ok {
			used[path] = true
		}
	}
	header := "package guide\n"
	for _, path := range slices.Sorted(maps.Keys(used)) {
		header += "import " + strconv.Quote(path) + "\n"
	}
	source := header + block
	if _, err := parser.ParseFile(token.NewFileSet(), "", source, parser.SkipObjectResolution); err == nil {
		return source
	}
	return header + "func _() (_ error) {\n" + block + "\nreturn\n}\n"
}
