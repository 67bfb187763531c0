package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	modpath "golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// proxy writes the working tree's tagged modules as a module proxy, in the
// version that their siblings require. Files that git ignores are left out.
func (r *repository) proxy(folder string) error {
	for _, m := range r.modules {
		if !m.tagged() {
			continue
		}
		if err := r.serve(m, folder); err != nil {
			return fmt.Errorf("serving %s: %w", m.folder, err)
		}
	}
	return nil
}

func (r *repository) serve(m *module, folder string) error {
	versions := filepath.Join(folder, filepath.FromSlash(m.path()), "@v")
	if err := os.MkdirAll(versions, 0o755); err != nil {
		return err
	}
	files, err := r.files(m)
	if err != nil {
		return err
	}
	archive, err := os.Create(filepath.Join(versions, r.version+".zip"))
	if err != nil {
		return err
	}
	defer archive.Close()
	if err := zip.Create(archive, modpath.Version{Path: m.path(), Version: r.version}, files); err != nil {
		return err
	}
	if err := archive.Close(); err != nil {
		return err
	}
	info, err := json.Marshal(map[string]any{"Version": r.version, "Time": time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	goMod, err := os.ReadFile(filepath.Join(r.root, m.folder, "go.mod"))
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"list":              []byte(r.version + "\n"),
		r.version + ".info": info,
		r.version + ".mod":  goMod,
	} {
		if err := os.WriteFile(filepath.Join(versions, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// files returns a module's files. The zip leaves out those of modules within it.
func (r *repository) files(m *module) ([]zip.File, error) {
	command := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	command.Dir = filepath.Join(r.root, m.folder)
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	var files []zip.File
	licensed := false
	for _, name := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		file := treeFile{name, filepath.Join(command.Dir, filepath.FromSlash(name))}
		if info, err := file.Lstat(); err != nil || !info.Mode().IsRegular() {
			continue // deleted in the working tree, or a link
		}
		licensed = licensed || name == "LICENSE"
		files = append(files, file)
	}
	if !licensed {
		// As the go command does for a module in a folder of a repository.
		files = append(files, treeFile{"LICENSE", filepath.Join(r.root, "LICENSE")})
	}
	return files, nil
}

// treeFile is a zip.File of the working tree.
type treeFile struct{ name, file string }

func (f treeFile) Path() string                 { return f.name }
func (f treeFile) Lstat() (os.FileInfo, error)  { return os.Lstat(f.file) }
func (f treeFile) Open() (io.ReadCloser, error) { return os.Open(f.file) }
