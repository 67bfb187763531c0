package browser

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if commandFolder != "" {
		_ = os.RemoveAll(commandFolder)
	}
	os.Exit(code)
}

var commandFolder string

// buildCommand builds the command clickid, once for all tests.
var buildCommand = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "clickid-browser-")
	if err != nil {
		return "", err
	}
	commandFolder = folder
	binary := filepath.Join(folder, "clickid")
	build := exec.Command("go", "build", "-o", binary, ".")
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return "", err
	}
	build.Dir = filepath.Join(root, "cmd", "clickid")
	// The command has no replace lines, so it builds in the workspace only, also
	// where the tests run outside of it.
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK="+filepath.Join(root, "go.work"))
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the command: %w\n%s", err, output)
	}
	return binary, nil
})

// startCommand starts the command and returns its first lines that have a name
// and a URL, by name. The command is killed when the test ends.
func startCommand(t *testing.T, urls int, args ...string) map[string]string {
	t.Helper()
	binary, err := buildCommand()
	require.NoError(t, err)
	command := exec.Command(binary, args...)
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	command.Stderr = os.Stderr
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		require.NoError(t, command.Process.Kill())
		_ = command.Wait() // returns an error because the command was killed
	})
	found := make(map[string]string)
	for lines := bufio.NewScanner(stdout); len(found) < urls && lines.Scan(); {
		if name, url, ok := strings.Cut(lines.Text(), ": "); ok {
			found[name] = strings.TrimSpace(url)
		}
	}
	require.Len(t, found, urls)
	return found
}
