package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/clickid/clickid/internal/testserver"
	"github.com/stretchr/testify/require"
)

// startReceive starts "clickid receive -json" and returns its URL. It is killed
// when the test ends.
func startReceive(t *testing.T, args ...string) string {
	t.Helper()
	cmd, _ := prepare(t, append([]string{"receive", "-addr", "127.0.0.1:0", "-json"}, args...)...)
	cmd.Env = append(cmd.Env, "CLICKID_API_KEY=scope3_the_only_key")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait() // returns an error because the command was killed
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.NotContains(t, line, "the_only_key")
	var printed struct{ URL string }
	require.NoError(t, json.Unmarshal([]byte(line), &printed))
	return printed.URL
}

const purchase = `{"data_set_id":"ds_1","event_type":"purchase","timestamp":1732356930,"id":"1"}`

// send sends an event and returns the status.
func send(t *testing.T, url, key, body string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

func TestReceive_accounts(t *testing.T) {
	t.Parallel()
	const path = "/agentic/v1/events"
	anything := startReceive(t)
	require.Equal(t, http.StatusOK, send(t, anything+path, "scope3_whatever", purchase))
	require.Equal(t, http.StatusUnauthorized, send(t, anything+path, "whatever", purchase))
	chosen := startReceive(t, "-check-key", "-data-set", "ds_2", "-data-set", "ds_1", "-event-source", "shop", "-advertiser", "1", "-iab")
	require.Equal(t, http.StatusUnauthorized, send(t, chosen+path, "scope3_whatever", purchase))
	require.Equal(t, http.StatusOK, send(t, chosen+path, "scope3_the_only_key", purchase))
	require.Equal(t, http.StatusOK, send(t, chosen+path, "scope3_the_only_key", strings.Replace(purchase, `"purchase"`, `"refund"`, 1)), "a type of the IAB standard")
	require.Equal(t, http.StatusForbidden, send(t, chosen+path, "scope3_the_only_key", strings.Replace(purchase, "ds_1", "ds_3", 1)))
	for source, want := range map[string]int{"shop": http.StatusOK, "other": http.StatusBadRequest} {
		event := `{"event_source_id":"` + source + `","idempotency_key":"0123456789abcdef-` + source + `","events":[{"event_id":"1","event_type":"lead","event_time":"2026-01-31T12:00:00Z"}]}`
		require.Equal(t, want, send(t, chosen+"/api/v2/buyer/advertisers/1/log-event", "scope3_the_only_key", event), source)
		require.Equal(t, http.StatusForbidden, send(t, chosen+"/api/v2/buyer/advertisers/2/log-event", "scope3_the_only_key", event), source)
	}
}

// TestReceive_database checks that the file outlives the process, even if that
// is killed.
func TestReceive_database(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "events.db")
	t.Run("first", func(t *testing.T) {
		url := startReceive(t, "-db", file)
		require.Equal(t, http.StatusOK, send(t, url+"/agentic/v1/events", "scope3_a", purchase))
	})
	t.Run("second", func(t *testing.T) {
		url := startReceive(t, "-db", file)
		require.Contains(t, get(t, url+"/api/v1/assert?verdict=accepted&count=1"), `"id":"1"`)
	})
}

func TestReceive_failures(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inUse := strings.TrimPrefix(startReceive(t), "http://")
	for _, row := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-check-key"}, exitUsage, "clickid: -check-key needs an API key that begins with scope3_ in CLICKID_API_KEY\n"},
		{[]string{"-addr", inUse}, exitFailed, "clickid: receive: cannot listen; choose another address with -addr: "},
		{[]string{"-db", dir, "-addr", "127.0.0.1:0"}, exitFailed, "clickid: receive: " + dir + " is not a usable database, or another receiver uses it; choose another file with -db: "},
	} {
		cmd, _ := prepare(t, append([]string{"receive"}, row.args...)...)
		cmd.Env = append(cmd.Env, "CLICKID_API_KEY=sk_secret")
		output, err := cmd.CombinedOutput()
		require.Error(t, err)
		require.Equal(t, row.code, cmd.ProcessState.ExitCode(), row.args)
		require.True(t, strings.HasPrefix(string(output), row.want), string(output))
		require.NotContains(t, string(output), "sk_secret")
	}
}

// TestReceive_script runs the script of the documentation.
func TestReceive_script(t *testing.T) {
	t.Parallel()
	testserver.Program(t, "curl")
	document, err := os.ReadFile(filepath.Join("..", "..", "docs", "testing.md"))
	require.NoError(t, err)
	scripts := regexp.MustCompile("(?s)```sh\n(#!/bin/sh\n.*?)```").FindAllSubmatch(document, -1)
	require.Len(t, scripts, 1)
	url := startReceive(t)
	for range 2 { // it leaves nothing behind
		script := exec.Command("sh", "-c", string(scripts[0][1]))
		script.Env = append(os.Environ(), "CLICKID_BASE_URL="+url, "CLICKID_API_KEY=scope3_script")
		output, err := script.CombinedOutput()
		require.NoError(t, err, string(output))
		require.Contains(t, string(output), `"attempt":3,"attempts":3`)
	}
	require.NotContains(t, get(t, url+"/api/v1/events?kind=all"), "scope3_script")

	// The assertions of the script can fail.
	broken := exec.Command("sh", "-c", strings.Replace(string(scripts[0][1]), "verdict=refused count=0", "verdict=refused count=1", 1))
	broken.Env = append(os.Environ(), "CLICKID_BASE_URL="+url, "CLICKID_API_KEY=scope3_script")
	output, err := broken.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(output), "count is 0 instead of 1")
}
