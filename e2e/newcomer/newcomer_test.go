// Package newcomer_test follows the documentation like a new user: it copies a
// program into an empty directory, builds and runs it, requests a landing page
// and, with the README's program, runs the README's commands.
package newcomer_test

import (
	"bufio"
	"encoding/json"
	"go/format"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	clickID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	module  = "github.com/clickid/clickid"
	// patience limits the waits of a test that fails.
	patience = 30 * time.Second
)

// TestPastedProgram tests every complete program of the documentation. The test
// finds a program by its imports, so that it fails if one is missing.
func TestPastedProgram(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	readme := programs(t, filepath.Join(root, "README.md"))
	require.Len(t, readme, 1)
	routers := programs(t, filepath.Join(root, "docs", "routers.md"))
	require.Len(t, routers, 5)

	for _, tt := range []struct {
		name    string
		sources []string
		imports string
		orders  bool
	}{
		{name: "net/http", sources: readme, imports: module, orders: true},
		{name: "chi", sources: routers, imports: "github.com/go-chi/chi/v5"},
		{name: "gin", sources: routers, imports: module + "/adapter_gin"},
		{name: "echo v4", sources: routers, imports: module + "/adapter_echo"},
		{name: "echo v5", sources: routers, imports: module + "/adapter_echo5"},
		{name: "fiber", sources: routers, imports: module + "/adapter_fiber"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var found []string
			for _, source := range tt.sources {
				if strings.Contains(source, `"`+tt.imports+`"`) {
					found = append(found, source)
				}
			}
			require.Len(t, found, 1, "programs that import %s", tt.imports)
			try(t, root, found[0], tt.orders)
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

// try builds the program in an empty directory, runs it against the command's
// receiver, requests a landing page and, if asked to, follows the README's order.
func try(t *testing.T, root, source string, orders bool) {
	dir := t.TempDir()
	goCommand(t, dir, "mod", "init", "example.com/shop")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600))
	goCommand(t, dir, append([]string{"mod", "edit"}, unpublished(t, root, source)...)...)
	goCommand(t, dir, "mod", "tidy")
	goCommand(t, dir, "build", "-o", "shop", ".")

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	cmd := exec.Command(filepath.Join(dir, "shop"))
	cmd.Env = append(os.Environ(), "PORT="+port, "CLICKID_COOKIE_KEY=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	if orders {
		cmd.Env = append(cmd.Env, receive(t, root)...)
	}
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

	shop := "http://127.0.0.1:" + port
	landing := landWhenReady(t, shop+"/?clkid="+clickID, ended)
	require.Equal(t, http.StatusOK, landing.StatusCode)
	require.Len(t, landing.Header["Set-Cookie"], 1)
	require.Regexp(t, `^__Host-clkid=[A-Za-z0-9._~-]+; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Lax$`, landing.Header.Get("Set-Cookie"))
	if orders {
		follow(t, root, cmd.Env, shop)
	}
}

var (
	console = regexp.MustCompile("(?s)```console\n(.*?)```\n")
	script  = regexp.MustCompile("(?s)```sh\n(cat >sources.yaml.*?)```\n")
)

// follow runs the README's commands against the shop and the receiver of the
// environment, and compares their output with the README.
func follow(t *testing.T, root string, environment []string, shop string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	journeys := console.FindAllSubmatch(text, -1)
	require.Len(t, journeys, 1)
	registrations := script.FindAllSubmatch(text, -1)
	require.Len(t, registrations, 1)

	var commands []string
	var expected strings.Builder
	for line := range strings.Lines(string(journeys[0][1])) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			commands = append(commands, strings.ReplaceAll(command, "localhost:8080", strings.TrimPrefix(shop, "http://")))
		} else {
			expected.WriteString(line)
		}
	}
	require.Len(t, commands, 2)
	dir := t.TempDir()
	require.Equal(t, expected.String(), shell(t, dir, environment, strings.Join(commands, "")))
	shell(t, dir, environment, string(registrations[0][1]))
	registered := shell(t, dir, environment, "clickid sources sync -advertiser 12345 sources.yaml")
	require.Equal(t, "= \"my-shop\" is registered as in the file\n", registered)
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

// shell runs a script and returns its standard output.
func shell(t *testing.T, dir string, environment []string, script string) string {
	t.Helper()
	cmd := exec.Command("bash", "-eu", "-c", script)
	cmd.Dir, cmd.Env = dir, environment
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	require.NoError(t, err, "%s\n%s", script, &problems)
	return string(out)
}

var variable = regexp.MustCompile(`(?m)^  export (\w+=\S+)$`)

// receive starts "clickid receive" and returns the variables that it prints, and
// a PATH with the command.
func receive(t *testing.T, root string) []string {
	t.Helper()
	binary := buildCommand(t, root)
	command := exec.Command(binary, "receive", "-addr", "127.0.0.1:0")
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		require.NoError(t, command.Process.Kill())
		_ = command.Wait() // returns an error because the command was killed
	})
	var printed strings.Builder
	for lines := bufio.NewScanner(stdout); lines.Scan() && !strings.HasPrefix(lines.Text(), "Press"); {
		printed.WriteString(lines.Text() + "\n")
	}
	var variables []string
	for _, match := range variable.FindAllStringSubmatch(printed.String(), -1) {
		variables = append(variables, match[1])
	}
	require.Len(t, variables, 2, printed.String())
	return append(variables, "PATH="+filepath.Dir(binary)+string(filepath.ListSeparator)+os.Getenv("PATH"))
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
