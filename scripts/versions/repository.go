package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

const (
	rootModule = "github.com/clickid/clickid"
	listFile   = "scripts/versions/modules.txt"
)

// The kinds of modules in modules.txt.
const (
	kindRelease = "release"
	kindCommand = "command"
	kindPrivate = "private"
)

// repository is the list and the go.mod files that it names.
type repository struct {
	root      string
	version   string // of siblings
	goVersion string // the lowest that a module may declare
	modules   []*module
	work      *modfile.WorkFile
	unlisted  []string // folders with a go.mod that the list lacks
}

type module struct {
	kind, folder string
	file         *modfile.File
}

// path is the module path that the folder must have.
func (m *module) path() string { return path.Join(rootModule, m.folder) }

// tagged reports whether a release has a tag for the module.
func (m *module) tagged() bool { return m.kind != kindPrivate }

func load(root string) (*repository, error) {
	r := &repository{root: root}
	if err := r.readList(); err != nil {
		return nil, err
	}
	for _, m := range r.modules {
		file := filepath.Join(root, m.folder, "go.mod")
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s names the module %s: %w", listFile, m.folder, err)
		}
		if m.file, err = modfile.Parse(file, data, nil); err != nil {
			return nil, err
		}
		if m.file.Module == nil || m.file.Go == nil {
			return nil, fmt.Errorf("%s needs the lines module and go", file)
		}
	}
	data, err := os.ReadFile(filepath.Join(root, "go.work"))
	if err != nil {
		return nil, err
	}
	if r.work, err = modfile.ParseWork("go.work", data, nil); err != nil {
		return nil, err
	}
	return r, r.findUnlisted()
}

func (r *repository) readList() error {
	data, err := os.ReadFile(filepath.Join(r.root, listFile))
	if err != nil {
		return err
	}
	for i, line := range strings.Split(string(data), "\n") {
		if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) == "" {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) != 2 {
			return fmt.Errorf("%s:%d: want a word and its value", listFile, i+1)
		}
		switch kind, value := fields[0], fields[1]; kind {
		case "version":
			r.version = value
		case "go":
			r.goVersion = value
		case kindRelease, kindCommand, kindPrivate:
			r.modules = append(r.modules, &module{kind: kind, folder: value})
		default:
			return fmt.Errorf("%s:%d: unknown word %q", listFile, i+1, kind)
		}
	}
	if !semver.IsValid(r.version) || r.goVersion == "" {
		return fmt.Errorf("%s needs the lines version and go", listFile)
	}
	return nil
}

func (r *repository) findUnlisted() error {
	listed := make(map[string]bool)
	for _, m := range r.modules {
		listed[m.folder] = true
	}
	return filepath.WalkDir(r.root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); name == "testdata" || name == "bin" || file != r.root && strings.HasPrefix(name, ".") {
				return fs.SkipDir
			}
			return nil
		}
		if entry.Name() != "go.mod" {
			return nil
		}
		folder, err := filepath.Rel(r.root, filepath.Dir(file))
		if folder = filepath.ToSlash(folder); err == nil && !listed[folder] {
			r.unlisted = append(r.unlisted, folder)
		}
		return err
	})
}

// sibling returns the module of a path, or nil for a third-party module.
func (r *repository) sibling(modulePath string) *module {
	if i := slices.IndexFunc(r.modules, func(m *module) bool { return m.path() == modulePath }); i >= 0 {
		return r.modules[i]
	}
	return nil
}

// isOurs reports whether a path is this repository's, listed or not.
func isOurs(modulePath string) bool {
	return modulePath == rootModule || strings.HasPrefix(modulePath, rootModule+"/")
}

// tags returns the tags of a release, one for each tagged module.
func (r *repository) tags() (tags []string) {
	for _, m := range r.modules {
		if m.tagged() {
			tags = append(tags, path.Join(m.folder, r.version))
		}
	}
	return tags
}
