package main

import (
	"archive/zip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// repositoryRoot is the folder of the repository.
const repositoryRoot = "../.."

// The modules of this repository agree with each other.
func TestCheck_repository(t *testing.T) {
	repo, err := load(repositoryRoot)
	if err != nil {
		t.Fatal(err)
	}
	if problems := repo.check(); problems != nil {
		t.Errorf("%s", strings.Join(problems, "\n"))
	}
}

// edit changes a file of a copy: it replaces a text, or adds to the end where
// the text is empty.
type edit struct{ file, from, to string }

// copyWith returns a folder with the repository's go.mod files, list and
// workspace, after the edits.
func copyWith(t *testing.T, edits ...edit) string {
	t.Helper()
	repo, err := load(repositoryRoot)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{listFile, "go.work", "CHANGELOG.md"}
	for _, m := range repo.modules {
		names = append(names, filepath.Join(m.folder, "go.mod"))
	}
	root := t.TempDir()
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(repositoryRoot, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range edits {
			if e.file != filepath.ToSlash(name) {
				continue
			}
			if !strings.Contains(string(text), e.from) {
				t.Fatalf("%s does not contain %q", name, e.from)
			}
			if e.from == "" {
				text = append(text, e.to...)
			} else {
				text = []byte(strings.Replace(string(text), e.from, e.to, 1))
			}
		}
		write(t, filepath.Join(root, name), string(text))
	}
	return root
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCheck(t *testing.T) {
	repo, err := load(repositoryRoot)
	if err != nil {
		t.Fatal(err)
	}
	sibling := rootModule + " " + repo.version
	for _, tt := range []struct {
		name string
		edit edit
		want string // part of the only problem
	}{
		{
			"replace line in the command",
			edit{"cmd/clickid/go.mod", "", "\nreplace " + rootModule + " => ../..\n"},
			"cmd/clickid/go.mod: remove the replace line of " + rootModule,
		},
		{
			"sibling at another version",
			edit{"store_sql/go.mod", sibling, rootModule + " v0.0.9"},
			"store_sql/go.mod: requires " + rootModule + " at v0.0.9",
		},
		{
			"sibling of the command at another version",
			edit{"cmd/clickid/go.mod", rootModule + "/store_sql " + repo.version, rootModule + "/store_sql v0.0.9"},
			"cmd/clickid/go.mod: requires " + rootModule + "/store_sql at v0.0.9",
		},
		{
			"module missing from the list",
			edit{listFile, "release adapter_echo5\n", ""},
			"adapter_echo5",
		},
		{
			"module listed twice",
			edit{listFile, "release store_sql\n", "release store_sql\nrelease store_sql\n"},
			"lists the module twice",
		},
		{
			"module listed before one that it requires",
			edit{listFile, "release outbox_river\nrelease outbox_sqlite\n", "release outbox_sqlite\nrelease outbox_river\n"},
			"outbox_sqlite/go.mod: " + listFile + " must list",
		},
		{
			"private module that a release requires",
			edit{listFile, "release store_sql\n", "private store_sql\n"},
			"no release tags",
		},
		{
			"no replace line in a library",
			edit{"store_sql/go.mod", "replace " + rootModule + " => ..", ""},
			"store_sql/go.mod: needs a replace line for " + rootModule,
		},
		{
			"replace line to another folder",
			edit{"store_sql/go.mod", "=> ..", "=> ../store_redis"},
			"does not lead to a sibling's folder",
		},
		{
			"replace line of a third-party module",
			edit{"store_sql/go.mod", "", "\nreplace golang.org/x/net => ../net\n"},
			"does not lead to a sibling's folder",
		},
		{
			"replace line that nothing requires",
			edit{"store_sql/go.mod", "", "\nreplace " + rootModule + "/store_redis => ../store_redis\n"},
			"which nothing requires",
		},
		{
			"direct requirement at another version",
			edit{"store_redis/go.mod", "redis/go-redis/v9 v9.16.0", "redis/go-redis/v9 v9.17.0"},
			"go-redis/v9 at v9.16.0, and other modules at v9.17.0",
		},
		{
			"indirect requirement at another version",
			edit{"store_redis/go.mod", "cespare/xxhash/v2 v2.3.0", "cespare/xxhash/v2 v2.2.0"},
			"store_redis/go.mod: requires github.com/cespare/xxhash/v2 at v2.2.0",
		},
		{
			"toolchain line",
			edit{"store_sql/go.mod", "go 1.25.0\n", "go 1.25.0\n\ntoolchain go1.26.0\n"},
			"remove the toolchain line",
		},
		{
			"another module path",
			edit{"store_sql/go.mod", "module " + rootModule + "/store_sql", "module " + rootModule + "/sqlstore"},
			"the module path must be",
		},
		{
			"module missing from the workspace",
			edit{"go.work", "\t./store_sql\n", ""},
			"go.work: add store_sql",
		},
		{
			"workspace without the latest Go",
			edit{"go.work", "go 1.26.0", "go 1.25.0"},
			"the go line must be 1.26.0",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			repo, err := load(copyWith(t, tt.edit))
			if err != nil {
				t.Fatal(err)
			}
			problems := repo.check()
			if len(problems) == 0 {
				t.Fatal("no problem was found")
			}
			if !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, tt.want) }) {
				t.Errorf("no problem contains %q:\n%s", tt.want, strings.Join(problems, "\n"))
			}
		})
	}
}

func TestCheck_unlistedModule(t *testing.T) {
	root := copyWith(t)
	write(t, filepath.Join(root, "store_new", "go.mod"), "module "+rootModule+"/store_new\n\ngo 1.25.0\n")
	repo, err := load(root)
	if err != nil {
		t.Fatal(err)
	}
	if problems := repo.check(); len(problems) != 1 || !strings.HasPrefix(problems[0], "store_new/go.mod: ") {
		t.Errorf("problems: %q", problems)
	}
}

func TestLoad_errors(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit edit
		want string
	}{
		{"no such module", edit{listFile, "", "private store_old\n"}, "names the module store_old"},
		{"unknown word", edit{listFile, "release store_sql", "publish store_sql"}, `unknown word "publish"`},
		{"no value", edit{listFile, "release store_sql", "release"}, "want a word and its value"},
		{"no version", edit{listFile, "\nversion ", "\n# "}, "needs the lines version and go"},
		{"broken go.mod", edit{"store_sql/go.mod", "require (", "require"}, "store_sql/go.mod"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := load(copyWith(t, tt.edit)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestRaise(t *testing.T) {
	const unreleasedChange = "\n### Added\n\n- A change.\n"
	root := copyWith(t)
	write(t, filepath.Join(root, "CHANGELOG.md"), "# Changelog\n\n"+unreleased+unreleasedChange+"\n## [0.0.1] - 2026-01-01\n")
	repo, err := load(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := repo.raise("v1.998.0", time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}

	raised, err := load(root)
	if err != nil {
		t.Fatal(err)
	}
	if problems := raised.check(); problems != nil {
		t.Errorf("after raising:\n%s", strings.Join(problems, "\n"))
	}
	log, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	want := "# Changelog\n\n" + unreleased + "\n## [1.998.0] - 2026-12-01\n" + unreleasedChange + "\n## [0.0.1] - 2026-01-01\n"
	if string(log) != want {
		t.Errorf("changelog:\n%s", log)
	}
	tags := raised.tags()
	for _, tag := range []string{"v1.998.0", "store_sql/v1.998.0", "outbox_sqlite/v1.998.0", "cmd/clickid/v1.998.0"} {
		if !slices.Contains(tags, tag) {
			t.Errorf("no tag %s in %q", tag, tags)
		}
	}
	if slices.ContainsFunc(tags, func(tag string) bool { return strings.HasPrefix(tag, "e2e/") || strings.HasPrefix(tag, "scripts/") }) {
		t.Errorf("tags of private modules: %q", tags)
	}

	for version, want := range map[string]string{
		"1.999.0":  "is not a version",
		"v1":       "is not a version",
		"v1.997.0": "is lower than the present version",
		"v1.998.0": "has a section [1.998.0] already",
		"v1.999.0": "names no change",
	} {
		if err := raised.raise(version, time.Now()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("raise(%q): got %v, want an error with %q", version, err, want)
		}
	}
}

func TestProxy(t *testing.T) {
	repo, err := load(repositoryRoot)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := repo.proxy(folder); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		module       string
		has, hasNone []string // files and folders in the zip
	}{
		{rootModule, []string{"go.mod", "LICENSE", "README.md", "clickid.go", "capi/"}, []string{"store_sql/", "cmd/", "e2e/", "scripts/", "bin/"}},
		{rootModule + "/store_sql", []string{"go.mod", "LICENSE", "migrations/"}, nil},
		{rootModule + "/cmd/clickid", []string{"go.mod", "LICENSE", "main.go"}, nil},
	} {
		archive, err := zip.OpenReader(filepath.Join(folder, tt.module, "@v", repo.version+".zip"))
		if err != nil {
			t.Fatal(err)
		}
		defer archive.Close()
		contains := func(prefix string) bool {
			return slices.ContainsFunc(archive.File, func(f *zip.File) bool {
				return strings.HasPrefix(f.Name, tt.module+"@"+repo.version+"/"+prefix)
			})
		}
		for _, prefix := range tt.has {
			if !contains(prefix) {
				t.Errorf("%s: no %s", tt.module, prefix)
			}
		}
		for _, prefix := range tt.hasNone {
			if contains(prefix) {
				t.Errorf("%s: contains %s", tt.module, prefix)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(folder, rootModule, "e2e")); !os.IsNotExist(err) {
		t.Errorf("a private module is served: %v", err)
	}
}
