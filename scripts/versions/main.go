// Versions keeps the versions of the repository's modules together, and
// rehearses their release.
//
//	versions check ROOT            report go.mod files that disagree
//	versions list ROOT KINDS       print the folders of modules: release, command, private
//	versions version ROOT          print the version of the siblings
//	versions tags ROOT             print the tags of a release
//	versions readme ROOT           print the program of README.md
//	versions proxy ROOT FOLDER     serve the working tree as a module proxy
//	versions raise ROOT VERSION    prepare the release of a version
//
// The modules are listed in modules.txt.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "versions:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: versions check|list|version|tags|readme|proxy|raise ROOT [ARGUMENT]")

func run(args []string, out io.Writer) error {
	if len(args) < 2 {
		return errUsage
	}
	command, root, args := args[0], args[1], args[2:]
	repo, err := load(root)
	if err != nil {
		return err
	}
	switch {
	case command == "check" && len(args) == 0:
		return report(repo)
	case command == "list" && len(args) == 1:
		for _, m := range repo.modules {
			if slices.Contains(strings.Split(args[0], ","), m.kind) {
				fmt.Fprintln(out, m.folder)
			}
		}
		return nil
	case command == "version" && len(args) == 0:
		fmt.Fprintln(out, repo.version)
		return nil
	case command == "tags" && len(args) == 0:
		for _, tag := range repo.tags() {
			fmt.Fprintln(out, tag)
		}
		return nil
	case command == "readme" && len(args) == 0:
		program, err := repo.readme()
		fmt.Fprint(out, program)
		return err
	case command == "proxy" && len(args) == 1:
		return repo.proxy(args[0])
	case command == "raise" && len(args) == 1:
		return repo.raise(args[0], time.Now())
	}
	return errUsage
}

// report runs all checks and joins what they find.
func report(repo *repository) error {
	problems := repo.check()
	if len(problems) == 0 {
		// The go command refuses to load files that are wrong in themselves.
		problems = repo.checkBuilds()
	}
	if len(problems) > 0 {
		return errors.New("the modules disagree:\n" + strings.Join(problems, "\n"))
	}
	return nil
}

// readme returns the first complete program of README.md.
func (r *repository) readme() (string, error) {
	text, err := os.ReadFile(filepath.Join(r.root, "README.md"))
	if err != nil {
		return "", err
	}
	_, program, found := strings.Cut(string(text), "```go\npackage main\n")
	program, _, closed := strings.Cut(program, "\n```")
	if !found || !closed {
		return "", errors.New("README.md has no complete program")
	}
	return "package main\n" + program + "\n", nil
}
