//go:build unix

package main

import (
	"bufio"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

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
