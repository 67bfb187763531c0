package main

import (
	"errors"
	"fmt"
	"go/version"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	modpath "golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// findings collects problems.
type findings []string

func (f *findings) addf(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

// check compares the list, go.work and the go.mod files with each other.
func (r *repository) check() []string {
	var f findings
	for _, folder := range r.unlisted {
		f.addf("%s/go.mod: %s does not list the module", folder, listFile)
	}
	for i, m := range r.modules {
		f.checkModule(r, m, r.modules[:i])
	}
	f.checkWorkspace(r)
	f.checkShared(r)
	return f
}

// checkModule checks the requirements of a go.mod on its siblings.
func (f *findings) checkModule(r *repository, m *module, before []*module) {
	name := m.folder + "/go.mod"
	if slices.ContainsFunc(before, func(b *module) bool { return b.folder == m.folder }) {
		f.addf("%s: %s lists the module twice", name, listFile)
	}
	if m.file.Module.Mod.Path != m.path() {
		f.addf("%s: the module path must be %s", name, m.path())
	}
	if m.file.Toolchain != nil {
		f.addf("%s: remove the toolchain line", name)
	}

	replaced := make(map[string]bool)
	for _, line := range m.file.Replace {
		switch sibling := r.sibling(line.Old.Path); {
		case m.kind == kindCommand:
			f.addf("%s: remove the replace line of %s, which go install refuses", name, line.Old.Path)
		case sibling == nil || line.Old.Version != "" || line.New.Version != "" || !leadsTo(m, line.New.Path, sibling):
			f.addf("%s: the replace line of %s does not lead to a sibling's folder", name, line.Old.Path)
		}
		replaced[line.Old.Path] = true
	}
	for _, line := range m.file.Require {
		if !isOurs(line.Mod.Path) {
			continue
		}
		sibling := r.sibling(line.Mod.Path)
		if sibling == nil {
			f.addf("%s: %s does not list the required module %s", name, listFile, line.Mod.Path)
			continue
		}
		if line.Mod.Version != r.version {
			f.addf("%s: requires %s at %s instead of %s", name, line.Mod.Path, line.Mod.Version, r.version)
		}
		if m.tagged() && !slices.Contains(before, sibling) {
			f.addf("%s: %s must list the required module %s before this one", name, listFile, sibling.folder)
		}
		if m.tagged() && !sibling.tagged() {
			f.addf("%s: requires %s, which no release tags", name, line.Mod.Path)
		}
		if m.kind != kindCommand && !replaced[line.Mod.Path] {
			f.addf("%s: needs a replace line for %s, or it does not build outside of the workspace", name, line.Mod.Path)
		}
		delete(replaced, line.Mod.Path)
	}
	if m.kind != kindCommand {
		for _, unused := range slices.Sorted(maps.Keys(replaced)) {
			if !m.tagged() && r.commandRequires(unused) {
				continue // for the workspace, since the command has no replace lines
			}
			f.addf("%s: remove the replace line of %s, which nothing requires", name, unused)
		}
	}
}

// commandRequires reports whether a command requires a module.
func (r *repository) commandRequires(path string) bool {
	return slices.ContainsFunc(r.modules, func(m *module) bool {
		return m.kind == kindCommand && slices.ContainsFunc(m.file.Require, func(line *modfile.Require) bool { return line.Mod.Path == path })
	})
}

// leadsTo reports whether a path in m's go.mod is the sibling's folder.
func leadsTo(m *module, target string, sibling *module) bool {
	return modfile.IsDirectoryPath(target) && filepath.Join(m.folder, target) == filepath.Join(sibling.folder)
}

func (f *findings) checkWorkspace(r *repository) {
	used := make(map[string]bool)
	for _, use := range r.work.Use {
		used[filepath.ToSlash(filepath.Clean(use.Path))] = true
	}
	highest := r.goVersion
	for _, m := range r.modules {
		if m.folder == "scripts" { // tools, which the tests must not share versions with
			continue
		}
		if !used[m.folder] {
			f.addf("go.work: add %s", m.folder)
		}
		delete(used, m.folder)
		highest = laterGo(highest, m.file.Go.Version)
	}
	for _, folder := range slices.Sorted(maps.Keys(used)) {
		f.addf("go.work: %s is not in %s", folder, listFile)
	}
	if r.work.Go == nil || r.work.Go.Version != highest {
		f.addf("go.work: the go line must be %s", highest)
	}
}

// requirement is one line of a go.mod.
type requirement struct {
	module   *module
	version  string
	indirect bool
}

// requirements returns who requires what of others.
func (r *repository) requirements() map[string][]requirement {
	all := make(map[string][]requirement)
	for _, m := range r.modules {
		if m.folder == "scripts" {
			continue
		}
		for _, line := range m.file.Require {
			if !isOurs(line.Mod.Path) {
				all[line.Mod.Path] = append(all[line.Mod.Path], requirement{m, line.Mod.Version, line.Indirect})
			}
		}
	}
	return all
}

// checkShared checks that modules which require the same have it at the same
// version, so that the workspace tests the versions that users get.
func (f *findings) checkShared(r *repository) {
	all := r.requirements()
	for _, required := range slices.Sorted(maps.Keys(all)) {
		users := all[required]
		highest := highestVersion(users)
		for _, use := range users {
			if use.version == highest {
				continue
			}
			// A version that needs a newer Go release would raise the module's own.
			if use.indirect {
				needs, err := r.goVersionOf(required, highest)
				if err != nil {
					f.addf("%s %s: %v", required, highest, err)
					continue
				}
				if laterGo(needs, use.module.file.Go.Version) != use.module.file.Go.Version {
					continue
				}
			}
			f.addf("%s/go.mod: requires %s at %s, and other modules at %s", use.module.folder, required, use.version, highest)
		}
	}
}

func highestVersion(users []requirement) (highest string) {
	for _, use := range users {
		if highest == "" || semver.Compare(use.version, highest) > 0 {
			highest = use.version
		}
	}
	return highest
}

// laterGo returns the later of two Go versions such as 1.25.0.
func laterGo(a, b string) string {
	if version.Compare("go"+a, "go"+b) < 0 {
		return b
	}
	return a
}

// goVersionOf reads the go line of a third-party module in the module cache. The
// go command downloads every go.mod of the workspace for its graph.
func (r *repository) goVersionOf(modulePath, moduleVersion string) (string, error) {
	escaped, err := modpath.EscapePath(modulePath)
	if err != nil {
		return "", err
	}
	escapedVersion, err := modpath.EscapeVersion(moduleVersion)
	if err != nil {
		return "", err
	}
	cache, err := goCommand("", "env", "GOMODCACHE")
	if err != nil {
		return "", err
	}
	file := filepath.Join(strings.TrimSpace(cache), "cache", "download", escaped, "@v", escapedVersion+".mod")
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := goCommand(r.root, "mod", "graph"); err != nil {
			return "", err
		}
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return "", fmt.Errorf("reading its go.mod in the module cache: %w", err)
	}
	parsed, err := modfile.ParseLax(file, data, nil)
	if err != nil || parsed.Go == nil {
		return "1.16", err
	}
	return parsed.Go.Version, nil
}
