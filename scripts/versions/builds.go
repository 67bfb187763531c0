package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// testOnly are the modules that a library may require for its tests. Others
// belong to the tests in e2e.
var testOnly = []string{"github.com/stretchr/testify"}

// checkBuilds checks what only the go command knows: which versions the
// workspace selects, which Go release the dependencies need, and what the
// packages import.
func (r *repository) checkBuilds() []string {
	var f findings
	selected, err := r.selected()
	if err != nil {
		f.addf("%v", err)
		return f
	}
	all := r.requirements()
	for _, required := range slices.Sorted(maps.Keys(all)) {
		if highest := highestVersion(all[required]); selected[required] != highest {
			f.addf("go.work: selects %s at %s instead of %s; add a replace line", required, selected[required], highest)
		}
	}
	for _, m := range r.modules {
		if m.folder == "scripts" {
			continue
		}
		f.checkGo(r, m)
		if m.kind == kindRelease {
			f.checkDirect(r, m)
		}
	}
	return f
}

// selected returns the versions that the workspace selects.
func (r *repository) selected() (map[string]string, error) {
	listed, err := goCommand(r.root, "list", "-m", "-json", "all")
	if err != nil {
		return nil, err
	}
	versions := make(map[string]string)
	for decoder := json.NewDecoder(strings.NewReader(listed)); ; {
		var m struct {
			Path, Version string
			Replace       *struct{ Version string }
		}
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			return versions, nil
		} else if err != nil {
			return nil, err
		}
		if m.Replace != nil {
			m.Version = m.Replace.Version
		}
		versions[m.Path] = m.Version
	}
}

// checkGo checks that a module declares the Go release that its requirements
// need, and no later one.
func (f *findings) checkGo(r *repository, m *module) {
	need, because := r.goVersion, listFile
	for _, line := range m.file.Require {
		if sibling := r.sibling(line.Mod.Path); sibling != nil {
			if needs := sibling.file.Go.Version; laterGo(need, needs) != need {
				need, because = needs, line.Mod.Path
			}
			continue
		}
		needs, err := r.goVersionOf(line.Mod.Path, line.Mod.Version)
		if err != nil {
			f.addf("%s %s: %v", line.Mod.Path, line.Mod.Version, err)
			continue
		}
		if laterGo(need, needs) != need {
			need, because = needs, line.Mod.Path
		}
	}
	if m.file.Go.Version != need {
		f.addf("%s/go.mod: declares Go %s, and needs %s because of %s", m.folder, m.file.Go.Version, need, because)
	}
}

// checkDirect checks that a library requires nothing that only its tests need:
// its users would get it.
func (f *findings) checkDirect(r *repository, m *module) {
	imported, err := goCommand(filepath.Join(r.root, m.folder), "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./...")
	if err != nil {
		f.addf("%s: %v", m.folder, err)
		return
	}
	for _, line := range m.file.Require {
		if !line.Indirect && !slices.Contains(testOnly, line.Mod.Path) && !slices.Contains(strings.Fields(imported), line.Mod.Path) {
			f.addf("%s/go.mod: requires %s for tests only; move those to e2e", m.folder, line.Mod.Path)
		}
	}
}

// goCommand runs the go command in a folder and returns what it prints.
func goCommand(folder string, args ...string) (string, error) {
	command := exec.Command("go", args...)
	command.Dir = folder
	// This program's own module is outside of the workspace.
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "GOWORK=") {
			command.Env = append(command.Env, variable)
		}
	}
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return string(out), nil
}
