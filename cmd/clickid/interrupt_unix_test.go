//go:build unix

package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/clickid/clickid/clickidtest"
	"github.com/stretchr/testify/require"
)

// TestRun_interruptedInput interrupts commands that wait for standard input. They
// leave no copy of it.
func TestRun_interruptedInput(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	for _, args := range []string{"upload -", "send", "sources sync -"} {
		for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
			t.Run(args+" "+sig.String(), func(t *testing.T) {
				t.Parallel()
				cmd := sending(t, platform, "", strings.Fields(args)...)
				tmp := t.TempDir()
				cmd.Env = append(cmd.Env, "TMPDIR="+tmp)
				cmd.Stdin = nil
				stdin, err := cmd.StdinPipe()
				require.NoError(t, err)
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				require.NoError(t, cmd.Start())
				_, err = stdin.Write(make([]byte, 256<<10)) // more than a pipe holds: the command reads
				require.NoError(t, err)
				require.NoError(t, cmd.Process.Signal(sig))
				require.Error(t, cmd.Wait())
				require.Equal(t, exitFailed, cmd.ProcessState.ExitCode())
				require.Contains(t, stderr.String(), "interrupted")
				requireEmpty(t, tmp)
			})
		}
	}
	require.Empty(t, platform.Requests())
}

// TestUpload_interruptedRequest prints one reason, the interrupt.
func TestUpload_interruptedRequest(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	held := make(chan struct{})
	t.Cleanup(func() { close(held) })
	platform.Next(clickidtest.Fault{Hold: held})
	cmd := sending(t, platform, "", "upload", write(t, []byte(sales)))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	_, err := platform.WaitRequests(t.Context(), 1)
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.Error(t, cmd.Wait())
	require.Equal(t, exitFailed, cmd.ProcessState.ExitCode())
	require.Contains(t, stderr.String(), "interrupted; the same command continues")
	require.NotContains(t, stderr.String(), "request failed")
}

// TestUpload_pipe has a named pipe without a writer.
func TestUpload_pipe(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	r := callSending(t, platform, "", "upload", path)
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.stderr, "is not a regular file")
}

func TestDemo_interrupt(t *testing.T) {
	t.Parallel()
	cmd, tmp := prepare(t, "demo")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	urls := make(map[string]string)
	lines := bufio.NewScanner(stdout)
	for len(urls) < 3 && lines.Scan() {
		if name, url, ok := strings.Cut(lines.Text(), ": "); ok {
			urls[name] = strings.TrimSpace(url)
		}
	}
	for name, want := range map[string]string{"The ad": "Advertisement", "The shop": "Trail shoe", "The platform": "clickid receive"} {
		require.Contains(t, get(t, urls[name]), want)
	}
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	_, err = io.Copy(io.Discard, stdout)
	require.NoError(t, err)
	require.NoError(t, cmd.Wait(), "the interrupt is not a failure")
	requireEmpty(t, tmp)
}
