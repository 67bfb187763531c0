package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/clickid/clickid/clickidtest"
	"github.com/stretchr/testify/require"
)

// manySales returns a file of two batches.
func manySales() []byte {
	var b bytes.Buffer
	b.WriteString("id,time,value,currency,clkid\n")
	for i := range 2 * batchOfEvents {
		fmt.Fprintf(&b, "%d,2026-11-20T14:03:00Z,1.99,EUR,%s\n", i, click)
	}
	return b.Bytes()
}

// uploadHeld starts an upload whose first request waits for release. wait returns
// its result.
func uploadHeld(t *testing.T, platform *clickidtest.Server, path string) (release func(), wait func() result) {
	t.Helper()
	held := make(chan struct{})
	platform.Next(clickidtest.Fault{Hold: held})
	cmd := sending(t, platform, "", "upload", path)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Start())
	_, err := platform.WaitRequests(t.Context(), 1)
	require.NoError(t, err)
	return func() { close(held) }, func() result {
		_ = cmd.Wait()
		return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	}
}

// TestUpload_changed changes a file between its check and its last row. No row is
// sent that was not checked, and none is lost without a word.
func TestUpload_changed(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(path string) error{
		"longer": func(path string) error {
			file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			for i := range batchOfEvents + 1 {
				_, _ = fmt.Fprintf(file, "unchecked%d,2026-11-20T14:03:00Z,1.99,EUR,%s\n", i, click)
			}
			return file.Close()
		},
		"shorter": func(path string) error { return os.Truncate(path, int64(len(manySales())*3/4)) },
		"other bytes": func(path string) error {
			file, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, _ = file.WriteAt([]byte("unchecked"), int64(len(manySales())-9))
			return file.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			platform := clickidtest.NewServer(t)
			path := write(t, manySales())
			release, wait := uploadHeld(t, platform, path)
			require.NoError(t, change(path))
			release()
			r := wait()
			require.Equal(t, exitFailed, r.code, r.stdout)
			require.Contains(t, r.stderr, "the file changed while it was sent")
			require.NotContains(t, acceptedIDs(platform), "unchecked0")

			r = callSending(t, platform, "", "upload", path)
			require.Equal(t, exitFailed, r.code, "the progress is that of the earlier content")
			require.NoError(t, os.WriteFile(path, manySales(), 0o600))
			r = callSending(t, platform, "", "upload", path)
			require.Equal(t, 0, r.code, r.stderr)
			require.Len(t, acceptedIDs(platform), 2*batchOfEvents)
		})
	}
}

// TestUpload_twice starts an upload beside another one that writes the same files.
func TestUpload_twice(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	path := write(t, []byte(sales))
	release, wait := uploadHeld(t, platform, path)
	for _, args := range [][]string{nil, {"-checkpoint", path + ".other"}, {"-rejects", path + ".other", "-restart"}} {
		r := callSending(t, platform, "", append(append([]string{"upload"}, args...), path)...)
		require.Equal(t, exitFailed, r.code, r.stdout)
		require.Contains(t, r.stderr, "another upload uses "+path)
	}
	release()
	r := wait()
	require.Equal(t, 0, r.code, r.stderr)
	require.Len(t, acceptedIDs(platform), 2)
	for _, left := range []string{".checkpoint.lock", ".rejects.csv.lock", ".other", ".other.lock"} {
		require.NoFileExists(t, path+left)
	}
}

// TestUpload_noRows has the export of a day without sales. The next one has the same
// name.
func TestUpload_noRows(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	header, _, _ := strings.Cut(sales, "\n")
	path := write(t, []byte(header+"\n"))
	for range 2 {
		r := callSending(t, platform, "", "upload", path)
		require.Equal(t, 0, r.code, r.stderr)
		require.Equal(t, "0 rows: 0 accepted, 0 rejected by the platform, 0 invalid, 0 with a warning\n", r.stdout)
	}
	require.NoError(t, os.WriteFile(path, []byte(sales), 0o600))
	r := callSending(t, platform, "", "upload", path)
	require.Equal(t, 0, r.code, r.stderr)
	require.Len(t, acceptedIDs(platform), 2)
}
