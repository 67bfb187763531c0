package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	"github.com/stretchr/testify/require"
)

// binary is the path of the built command. It is built without cgo, as releases
// are, and with the version "(devel)" everywhere.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndTest(m)) }

func buildAndTest(m *testing.M) int {
	dir, err := os.MkdirTemp("", "clickid-command-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "clickid")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the command: %v\n%s", err, output)
		return 1
	}
	return m.Run()
}

// prepare returns a call of the binary that ends with the test and uses the
// temporary folder tmp.
func prepare(t *testing.T, args ...string) (cmd *exec.Cmd, tmp string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	t.Cleanup(cancel)
	tmp = t.TempDir()
	cmd = exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	cmd.Dir = t.TempDir() // nothing of the repository is needed
	return cmd, tmp
}

// result has the exit code and the output of a call.
type result struct {
	code           int
	stdout, stderr string
}

func call(t *testing.T, args ...string) result {
	t.Helper()
	cmd, tmp := prepare(t, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); !errors.As(err, new(*exec.ExitError)) {
		require.NoError(t, err)
	}
	requireEmpty(t, tmp)
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// requireEmpty checks that the call removed its temporary files.
func requireEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// outcome is the last line of standard output of demo -once.
type outcome struct {
	ClickID  string `json:"click_id"`
	EventID  string `json:"event_id"`
	Accepted *bool  `json:"accepted"`
	Error    string `json:"error"`
}

func (r result) outcome(t *testing.T) outcome {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(r.stdout, "\n"), "\n")
	var o outcome
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &o), r.stdout)
	require.NotNil(t, o.Accepted)
	return o
}

func TestDemo_once(t *testing.T) {
	t.Parallel()
	for _, dialect := range []string{"logevent", "ecapi"} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			r := call(t, "demo", "-once", "-dialect", dialect)
			require.Equal(t, 0, r.code, r.stderr)
			o := r.outcome(t)
			require.True(t, *o.Accepted)
			require.True(t, clickid.IsULID(o.ClickID))
			require.NotEmpty(t, o.EventID)
			require.Empty(t, o.Error)
			require.NotContains(t, r.stderr, "✗")
			for _, passed := range []string{
				"> GET /summer?clkid=" + o.ClickID, "< Set-Cookie: clkid=", "> POST /orders\n", "> Cookie: clkid=",
				`"click_id": "` + o.ClickID + `"`, "< 200 OK\n",
			} {
				require.Contains(t, r.stderr, passed)
			}
			require.NotContains(t, r.stderr, clickidtest.APIKey)
		})
	}
}

func TestDemo_onceFails(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		args []string
		want string
	}{
		"wrong API key":        {[]string{"-refuse", "401"}, "checkout: the receiver has not accepted order-1: the response was 401 Unauthorized"},
		"platform unavailable": {[]string{"-refuse", "503"}, "checkout: the receiver has not accepted order-1: the response was 503 Service Unavailable"},
		"timeout":              {[]string{"-timeout", "1ns"}, "the journey took longer than 1ns; set a longer -timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := call(t, append([]string{"demo", "-once"}, row.args...)...)
			require.Equal(t, exitFailed, r.code, r.stderr)
			o := r.outcome(t)
			require.False(t, *o.Accepted)
			require.Contains(t, o.Error, row.want)
			require.Contains(t, r.stderr, o.Error)
		})
	}
}

func TestDemo_portInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	r := call(t, "demo", "-once", "-addr", l.Addr().String())
	require.Equal(t, exitFailed, r.code)
	require.Empty(t, r.stdout)
	require.Contains(t, r.stderr, "clickid: demo: cannot listen; choose another address with -addr")
	require.Contains(t, r.stderr, l.Addr().String())
}

func TestDemo_database(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "shop.db")
	first := call(t, "demo", "-once", "-db", file)
	require.Equal(t, 0, first.code, first.stderr)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "the file has personal data")
	again := call(t, "demo", "-once", "-db", file)
	require.Equal(t, 0, again.code, again.stderr)
	require.NotEqual(t, first.outcome(t).EventID, again.outcome(t).EventID, "the second run continues the order numbers")
}

func TestDemo_unusableDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	require.NoError(t, os.WriteFile(text, []byte("text that is longer than the header of a SQLite database file, which has 100 bytes; SQLite takes a shorter file for an empty database"), 0o600))
	for name, row := range map[string]struct{ file, want string }{
		"folder":         {dir, "the shop's database cannot be written; choose another file with -db"},
		"missing folder": {filepath.Join(dir, "missing", "shop.db"), "the shop's database cannot be written; choose another file with -db"},
		"other file":     {text, "demo: " + text + " is not a usable database; choose another file with -db"},
	} {
		r := call(t, "demo", "-once", "-db", row.file)
		require.Equal(t, exitFailed, r.code, name)
		require.Empty(t, r.stdout, name)
		require.Contains(t, r.stderr, row.want, name)
	}
}

func TestRun_wrongUsage(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ args, want string }{
		{"bogus", `unknown command "bogus"`},
		{"sources bogus", `unknown command "bogus"`},
		{"-bogus", "bogus"},
		{"demo -bogus", "bogus"},
		{"demo once", `demo: unexpected argument "once"`},
		{"demo -dialect pixel", "must be logevent or ecapi"},
		{"demo -refuse 200", "must be an HTTP status from 300 to 599"},
		{"demo -timeout soon", "timeout"},
		{"demo -once -timeout -1s", "must be positive, such as 30s"},
		{"demo -once -timeout 0", "must be positive, such as 30s"},
		{"demo -once -addr localhost", "must be HOST:PORT, such as 127.0.0.1:8080"},
		{"demo -once -addr 127.0.0.1:99999", "must be HOST:PORT, such as 127.0.0.1:8080"},
		{"demo -once -addr 127.0.0.1:-1", "must be HOST:PORT, such as 127.0.0.1:8080"},
		{"keygen -n 0", "must be from 1 to 100"},
	} {
		r := call(t, strings.Fields(row.args)...)
		require.Equal(t, exitUsage, r.code, row.args)
		require.Empty(t, r.stdout, row.args)
		require.True(t, strings.HasPrefix(r.stderr, "clickid: "), r.stderr)
		require.Contains(t, r.stderr, row.want)
	}
}

func TestRun_help(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"", "help", "-h", "help demo", "demo -h"} {
		r := call(t, strings.Fields(args)...)
		require.Equal(t, 0, r.code, args)
		require.Contains(t, r.stdout, "demo", args)
		require.Empty(t, r.stderr)
	}
}

// TestRun_golden compares help and errors with golden files. CLICKID_UPDATE=1
// writes them.
func TestRun_golden(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		args string
		code int
	}{
		"demo-help":        {"demo -h", 0},
		"demo-flag":        {"demo -bogus", exitUsage},
		"demo-refuse":      {"demo -refuse 200", exitUsage},
		"help":             {"help", 0},
		"unknown-command":  {"bogus", exitUsage},
		"send-help":        {"send -h", 0},
		"upload-help":      {"upload -h", 0},
		"outbox-help":      {"outbox -h", 0},
		"outbox-show-help": {"outbox show -h", 0},
		"reconcile-help":   {"reconcile -h", 0},
		"sources-help":     {"sources -h", 0},
		"sync-help":        {"sources sync -h", 0},
		"keygen-help":      {"keygen -h", 0},
		"receive-help":     {"receive -h", 0},
		"receive-flag":     {"receive -bogus", exitUsage},
		"receive-argument": {"receive events", exitUsage},
		"receive-addr":     {"receive -addr localhost", exitUsage},
		"receive-keep":     {"receive -keep 0", exitUsage},
		"receive-missing":  {"receive -db", exitUsage},
	} {
		r := call(t, strings.Fields(row.args)...)
		require.Equal(t, row.code, r.code, row.args)
		file := filepath.Join("testdata", name+".txt")
		if os.Getenv("CLICKID_UPDATE") == "1" {
			require.NoError(t, os.WriteFile(file, []byte(r.stdout+r.stderr), 0o600))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(want), r.stdout+r.stderr, row.args)
	}
}

func TestRun_version(t *testing.T) {
	t.Parallel()
	r := call(t, "-version")
	require.Equal(t, 0, r.code, r.stderr)
	require.Regexp(t, `^clickid version \S+\n$`, r.stdout)
}

// brokenWriter is a standard output such as a full disk.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestRun_brokenOutput(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"help", "-version", "send -h", "keygen", "outbox"} {
		var stderr bytes.Buffer
		require.Equal(t, exitFailed, run(t.Context(), append([]string{"clickid"}, strings.Fields(args)...), brokenWriter{}, &stderr), args)
		require.Equal(t, "clickid: no space left on device\n", stderr.String(), args)
	}
}

func TestKeygen(t *testing.T) {
	t.Parallel()
	r := call(t, "keygen", "-n", "2")
	require.Equal(t, 0, r.code, r.stderr)
	var keys [][]byte
	for _, line := range strings.Fields(r.stdout) {
		key, err := clickid.ParseCookieKey(line)
		require.NoError(t, err)
		keys = append(keys, key)
	}
	require.Len(t, keys, 2)
	_, err := clickid.NewCookieStore(keys...)
	require.NoError(t, err)
}

// get returns the body of a page.
func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode, url)
	return string(body)
}
