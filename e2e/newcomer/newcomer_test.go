// Package newcomer_test follows the documentation like a new user: it types the
// commands of the README and of the guides for getting started into an empty
// folder, builds and runs every program, and compares what is printed.
package newcomer_test

import (
	"encoding/json"
	"go/format"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid/internal/testserver"
	"github.com/stretchr/testify/require"
)

const (
	clickID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	module  = "github.com/clickid/clickid"
	// patience limits the waits of a test that fails.
	patience = 30 * time.Second
)

// TestRouters_programs builds and runs each program of the guide to routers in an
// empty folder. The test finds a program by its imports, so that it fails if one
// is missing.
func TestRouters_programs(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	routers := programs(t, filepath.Join(root, "docs", "routers.md"))
	require.Len(t, routers, 5)

	for _, tt := range []struct{ name, imports string }{
		{"chi", "github.com/go-chi/chi/v5"},
		{"gin", module + "/adapter_gin"},
		{"echo v4", module + "/adapter_echo"},
		{"echo v5", module + "/adapter_echo5"},
		{"fiber", module + "/adapter_fiber"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var found []string
			for _, source := range routers {
				if strings.Contains(source, `"`+tt.imports+`"`) {
					found = append(found, source)
				}
			}
			require.Len(t, found, 1, "programs that import %s", tt.imports)
			try(t, root, found[0])
		})
	}
}

var fenced = regexp.MustCompile("(?s)```go\n(package main\n.*?)```\n")

// programs returns the complete programs in the code blocks of a document.
func programs(t *testing.T, document string) []string {
	t.Helper()
	text, err := os.ReadFile(document)
	require.NoError(t, err)
	var found []string
	for _, match := range fenced.FindAllSubmatch(text, -1) {
		formatted, err := format.Source(match[1])
		require.NoError(t, err)
		require.Equal(t, string(formatted), string(match[1]), "gofmt would change a program of %s", document)
		found = append(found, string(match[1]))
	}
	return found
}

// try builds a program in an empty directory, runs it and requests a landing
// page.
func try(t *testing.T, root, source string) {
	dir := t.TempDir()
	goCommand(t, dir, "mod", "init", "example.com/shop")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600))
	goCommand(t, dir, append([]string{"mod", "edit"}, unpublished(t, root, source)...)...)
	goCommand(t, dir, "mod", "tidy")
	goCommand(t, dir, "build", "-o", "shop", ".")

	port := strconv.Itoa(testserver.FreePort(t))
	cmd := exec.Command(filepath.Join(dir, "shop"))
	cmd.Env = append(os.Environ(), "PORT="+port, "CLICKID_COOKIE_KEY=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
		if t.Failed() {
			t.Logf("the program printed:\n%s", output.String())
		}
	}()

	landing := landWhenReady(t, "http://127.0.0.1:"+port+"/?clkid="+clickID, ended)
	require.Equal(t, http.StatusOK, landing.StatusCode)
	require.Len(t, landing.Header["Set-Cookie"], 1)
	require.Regexp(t, `^__Host-clkid=[A-Za-z0-9._~-]+; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Lax$`, landing.Header.Get("Set-Cookie"))
}

// buildCommand builds cmd/clickid and returns its path.
func buildCommand(t *testing.T, root string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "clickid")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = filepath.Join(root, "cmd", "clickid")
	// The command has no replace lines, so that it needs the workspace.
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK="+filepath.Join(root, "go.work"))
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))
	return binary
}

// unpublished returns edits of a go.mod that replace the published modules with
// this checkout and require the tested versions of the routers.
func unpublished(t *testing.T, root, source string) []string {
	t.Helper()
	var tested struct {
		Require []struct {
			Path, Version string
			Indirect      bool
		}
	}
	require.NoError(t, json.Unmarshal(goCommand(t, filepath.Join(root, "examples"), "mod", "edit", "-json"), &tested))
	var edits []string
	for _, required := range tested.Require {
		if required.Indirect || !strings.Contains(source, `"`+required.Path) {
			continue
		}
		edits = append(edits, "-require="+required.Path+"@"+required.Version)
		if folder, ours := strings.CutPrefix(required.Path, module); ours {
			edits = append(edits, "-replace="+required.Path+"="+filepath.Join(root, filepath.FromSlash(folder)))
		}
	}
	return edits
}

// goCommand runs go in a directory outside of the workspace.
func goCommand(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "CGO_ENABLED=0")
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	require.NoError(t, err, "go %s\n%s", strings.Join(args, " "), &problems)
	return out
}

// landWhenReady requests a landing page like curl, as soon as the program
// responds.
func landWhenReady(t *testing.T, url string, ended chan error) *http.Response {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		resp, err := http.Get(url)
		if err == nil {
			require.NoError(t, resp.Body.Close())
			return resp
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the program ended: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("the program does not respond: %v", err)
		}
	}
}
