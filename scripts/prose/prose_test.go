package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const samplePhrases = "" +
	"# comment\n\n" +
	`\bengines?\b` + "\tname\tqueue\n" +
	`\bwindows?\b` + "\ttext\tdeduplication window\n" +
	`\bis none\b` + "\ttext\tis not a\n" +
	`(?:^\s*|[.?!] )(?-i:What)\b` + "\ttext\tsubject first\n"

const sampleAllowed = "" +
	"# comment\n\n" +
	"*\t" + `storage engine` + "\n" +
	"docs/\t" + `browser windows?` + "\n"

// write fills a new folder with files and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		name = filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func lintSample(t *testing.T, files map[string]string, whole bool) []string {
	t.Helper()
	texts, err := read(write(t, files), nil)
	if err != nil {
		t.Fatal(err)
	}
	findings, err := lint(texts, samplePhrases, sampleAllowed, whole)
	if err != nil {
		t.Fatal(err)
	}
	return findings
}

func TestLint(t *testing.T) {
	tests := map[string]struct {
		file, content string
		want          []string // beginnings of the findings
	}{
		"comment":                      {"a.go", "package a\n\n// The engine runs.\nvar x int\n", []string{`a.go:3: comment: "The engine runs."`}},
		"comment over two lines":       {"a.go", "package a\n\n// This\n// is\n// none.\nvar x int\n", []string{`a.go:4: comment: "This is none."`}},
		"sentence that begins comment": {"a.go", "package a\n\n// What it is.\nvar x int\n", []string{`a.go:3: comment: "What it is."`}},
		"later sentence":               {"a.go", "package a\n\n// One.\n// What it is.\nvar x int\n", []string{`a.go:4: comment: "One. What it is."`}},
		"block comment":                {"a.go", "package a\n\n/*\nThe engine\n*/\nvar x int\n", []string{`a.go:4: comment: "The engine"`}},
		"directive":                    {"a.go", "package a\n\n//go:generate engine\nvar x int\n", nil},
		"string":                       {"a.go", "package a\n\nvar x = \"one \\n engine\"\n", []string{`a.go:3: string: "one engine"`}},
		"raw string":                   {"a.go", "package a\n\nvar x = `one\nengine`\n", []string{`a.go:4: string: "one engine"`}},
		"import path":                  {"a.go", "package a\n\nimport _ \"engine\"\n", nil},
		"import name":                  {"a.go", "package a\n\nimport engine \"b\"\n", []string{`a.go:3: name: "engine"`}},
		"type":                         {"a.go", "package a\n\ntype QueueEngine int\n", []string{`a.go:3: name: "Queue Engine"`}},
		"function":                     {"a_test.go", "package a\n\nfunc TestEngine_failed() {}\n", []string{`a_test.go:3: name: "Test Engine failed"`}},
		"parameter and result":         {"a.go", "package a\n\nfunc f(engine int) (engines int) { return 0 }\n", []string{"a.go:3: name:", "a.go:3: name:"}},
		"variables":                    {"a.go", "package a\n\nfunc f() {\n\tvar engine int\n\tmyEngine := 1\n\tfor engine := range 3 {\n\t}\n}\n", []string{"a.go:4:", "a.go:5:", "a.go:6:"}},
		"use of a foreign name":        {"a.go", "package a\n\nvar x = b.Engine\n", nil},
		"phrase for text in a name":    {"a.go", "package a\n\nvar window int\n", nil},
		"part of a word":               {"a.go", "package a\n\n// Engineers.\nvar x int\n", nil},
		"Markdown":                     {"docs/a.md", "# A\n\nThe window\n", []string{`docs/a.md:3: file: "# A The window"`}},
		"allowed everywhere":           {"a.go", "package a\n\n// The storage\n// engine.\nvar x int\n", nil},
		"allowed there":                {"docs/a.md", "The browser windows.\n", nil},
		"allowed elsewhere":            {"README.md", "The browser window.\n", []string{"README.md:1: file:"}},
		"shell script":                 {"scripts/run", "#!/bin/sh\n# the engine\n", []string{"scripts/run:2: file:"}},
		"Makefile":                     {"Makefile", "all: # engine\n", []string{"Makefile:1: file:"}},
		"licence":                      {"LICENSE", "engine\n", nil},
		"page":                         {"a.html", "<p>\nengine</p>\n", []string{"a.html:2: file:"}},
		"data":                         {"testdata/a.md", "engine\n", nil},
		"phrases of this command":      {"scripts/prose/a.go", "package main // engine\n", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			findings := lintSample(t, map[string]string{test.file: test.content}, false)
			ok := slices.EqualFunc(findings, test.want, strings.HasPrefix)
			if !ok {
				t.Errorf("got %q, want %q", findings, test.want)
			}
		})
	}
}

func TestLint_wholeRepository(t *testing.T) {
	findings := lintSample(t, map[string]string{
		"a.go":      "package a\n\n// A says that B said so.\nvar x int\n",
		"docs/a.md": "The browser window.\n",
	}, true)
	want := []string{
		`scripts/prose/allowed.txt: "*\tstorage engine" covers nothing`,
		`"say" is in 2 comments, 3333.3 for each 10,000 words, limit 2.7`,
	}
	if !slices.EqualFunc(findings, want, strings.HasPrefix) {
		t.Errorf("got %q, want %q", findings, want)
	}
}

func TestLint_faultyFiles(t *testing.T) {
	tests := map[string]struct{ phrases, allowed string }{
		"phrase without columns":     {"engine\n", ""},
		"phrase with unknown place":  {"engine\tcode\tqueue\n", ""},
		"phrase with faulty pattern": {"(\ttext\tqueue\n", ""},
		"allowance without path":     {"", "engine\n"},
		"allowance, faulty pattern":  {"", "*\t(\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := lint(nil, test.phrases, test.allowed, true); err == nil {
				t.Error("got no error")
			}
		})
	}
}

func TestCountComments(t *testing.T) {
	texts, err := read(write(t, map[string]string{
		"a.go":   "package a\n\n// What is it? It says, which is no news.\nvar x = \"says\"\n",
		"b/b.go": "package b\n\n// Alone, and nobody\n// said so.\nvar x int\n",
		"c.md":   "What nobody says alone.\n",
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	folders, total := countComments(texts)
	if got, want := folders["."], (count{9, []int{1, 1, 0, 1, 1, 0}}); got.words != want.words || !slices.Equal(got.found, want.found) {
		t.Errorf("root: got %v, want %v", got, want)
	}
	if got, want := folders["b"], (count{5, []int{1, 0, 1, 0, 0, 1}}); got.words != want.words || !slices.Equal(got.found, want.found) {
		t.Errorf("b: got %v, want %v", got, want)
	}
	if got, want := total, (count{14, []int{2, 1, 1, 1, 1, 1}}); got.words != want.words || !slices.Equal(got.found, want.found) {
		t.Errorf("total: got %v, want %v", got, want)
	}
	if got := folders["b"].frequency(0); got != 2000 {
		t.Errorf("frequency: got %v, want 2000", got)
	}
}

func TestWords(t *testing.T) {
	for name, want := range map[string]string{
		"lastHTTPAnswers": "last HTTP Answers",
		"TestX_isDown":    "Test X is Down",
		"shutdown":        "shutdown",
		"ID":              "ID",
	} {
		if got := words(name); got != want {
			t.Errorf("words(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestRun(t *testing.T) {
	root := write(t, map[string]string{
		"good/a.go":   "package a\n\n// Good.\nvar x int\n",
		"bad/a.go":    "package a\n\n// The horizon.\nvar x int\n",
		"broken/a.go": "package\n",
	})
	tests := map[string]struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		"no findings":    {[]string{"-root", root, "good"}, 0, "", ""},
		"findings":       {[]string{"-root", root, "bad"}, 1, `bad/a.go:3: comment: "The horizon."`, ""},
		"count":          {[]string{"-root", root, "-count", "good"}, 0, "total", ""},
		"unknown folder": {[]string{"-root", root, "other"}, 2, "", "prose: "},
		"faulty Go file": {[]string{"-root", root, "broken"}, 2, "", "prose: parse Go file"},
		"unknown flag":   {[]string{"-other"}, 2, "", "flag provided but not defined"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(test.args, &stdout, &stderr); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if !strings.Contains(stdout.String(), test.stdout) || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("got %q and %q, want %q and %q", stdout.String(), stderr.String(), test.stdout, test.stderr)
			}
		})
	}
}
