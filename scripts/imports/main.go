// Imports checks how the repository's Go files and documents import its own
// packages: under the package's own name, and with that name written out where
// the path ends otherwise.
//
//	sqlstore "github.com/clickid/clickid/store_sql"
//	"github.com/clickid/clickid/outbox"
//
// It prints a line for each import that differs and exits with 1. Its argument
// is the folder of the repository.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

const module = "github.com/clickid/clickid"

var (
	// importLine is an import in a line of its own, in Go or in a document, where
	// it can be part of a diff. Its groups are the name and the folder.
	importLine = regexp.MustCompile(`^[+-]?\s*(?:import\s+)?(?:([\w.]+)\s+)?"` + regexp.QuoteMeta(module) + `((?:/[\w/]+)?)"\s*$`)
	packageOf  = regexp.MustCompile(`(?m)^package (\w+)`)
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: imports FOLDER")
		os.Exit(2)
	}
	findings, err := check(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "imports:", err)
		os.Exit(2)
	}
	for _, finding := range findings {
		fmt.Println(finding)
	}
	if len(findings) > 0 {
		os.Exit(1)
	}
}

// check returns a line for each import that is not written as it should be.
func check(root string) (findings []string, err error) {
	err = filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); name == "testdata" || file != root && strings.HasPrefix(name, ".") {
				return fs.SkipDir
			}
			return nil
		}
		if ext := filepath.Ext(file); ext != ".go" && ext != ".md" {
			return nil
		}
		found, err := checkFile(root, file)
		findings = append(findings, found...)
		return err
	})
	return findings, err
}

func checkFile(root, file string) (findings []string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for i, line := range strings.Split(string(text), "\n") {
		found := importLine.FindStringSubmatch(line)
		if found == nil || found[1] == "_" {
			continue
		}
		name, err := packageName(filepath.Join(root, filepath.FromSlash(found[2])))
		if err != nil {
			return nil, err
		}
		want := name
		if name == path.Base(module+found[2]) {
			want = ""
		}
		if found[1] != want {
			where, _ := filepath.Rel(root, file)
			findings = append(findings, fmt.Sprintf("%s:%d: import it as %s", filepath.ToSlash(where), i+1, strings.TrimLeft(want+` "`+module+found[2]+`"`, " ")))
		}
	}
	return findings, nil
}

// packageName returns the name of the package in a folder.
func packageName(folder string) (string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return "", err
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		if found := packageOf.FindSubmatch(text); found != nil {
			return string(found[1]), nil
		}
	}
	return "", fmt.Errorf("%s has no package, although it is imported", folder)
}
