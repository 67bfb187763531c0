package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

// raise writes a new version into modules.txt and every go.mod, and gives the
// unreleased changes of the changelog a section of their own.
func (r *repository) raise(version string, now time.Time) error {
	if !semver.IsValid(version) || semver.Canonical(version) != version {
		return fmt.Errorf("%q is not a version such as v0.2.0", version)
	}
	if semver.Compare(version, r.version) < 0 {
		return fmt.Errorf("%s is lower than the present version, %s", version, r.version)
	}
	log, err := r.changelog(version, now)
	if err != nil {
		return err
	}
	list, err := os.ReadFile(filepath.Join(r.root, listFile))
	if err != nil {
		return err
	}
	files := map[string]string{
		"CHANGELOG.md": log,
		listFile:       strings.Replace(string(list), "\nversion "+r.version+"\n", "\nversion "+version+"\n", 1),
	}
	for _, m := range r.modules {
		for _, line := range m.file.Require {
			if isOurs(line.Mod.Path) {
				if err := m.file.AddRequire(line.Mod.Path, version); err != nil {
					return err
				}
			}
		}
		text, err := m.file.Format()
		if err != nil {
			return err
		}
		files[filepath.Join(m.folder, "go.mod")] = string(text)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(r.root, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

const unreleased = "## [Unreleased]\n"

// changelog returns CHANGELOG.md with a section for the version.
func (r *repository) changelog(version string, now time.Time) (string, error) {
	data, err := os.ReadFile(filepath.Join(r.root, "CHANGELOG.md"))
	if err != nil {
		return "", err
	}
	head, rest, found := strings.Cut(string(data), unreleased)
	if !found {
		return "", errors.New("CHANGELOG.md has no section [Unreleased]")
	}
	name := strings.TrimPrefix(version, "v")
	if strings.Contains(rest, "## ["+name+"]") {
		return "", fmt.Errorf("CHANGELOG.md has a section [%s] already", name)
	}
	changes, _, _ := strings.Cut(rest, "\n## [")
	if strings.TrimSpace(changes) == "" {
		return "", errors.New("CHANGELOG.md names no change in [Unreleased]")
	}
	return head + unreleased + "\n## [" + name + "] - " + now.UTC().Format(time.DateOnly) + "\n" + rest, nil
}
