package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/clickid/clickid/clickidtest"
	"github.com/stretchr/testify/require"
)

// sending prepares a call that sends to a receiver.
func sending(t *testing.T, platform *clickidtest.Server, stdin string, args ...string) *exec.Cmd {
	t.Helper()
	cmd, _ := prepare(t, args...)
	cmd.Env = append(cmd.Env, "CLICKID_API_KEY="+clickidtest.APIKey, "CLICKID_BASE_URL="+platform.URL, "CLICKID_EVENT_SOURCE="+clickidtest.EventSourceID)
	cmd.Stdin = strings.NewReader(stdin)
	return cmd
}

// callSending calls the command and checks that the API key is not printed.
func callSending(t *testing.T, platform *clickidtest.Server, stdin string, args ...string) result {
	t.Helper()
	cmd := sending(t, platform, stdin, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	require.NotContains(t, stdout.String()+stderr.String(), clickidtest.APIKey)
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func TestSend(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	r := callSending(t, platform, "", "send", "-json", "-id", "1", "-click", click, "-value", "149.99", "-currency", "EUR", "-email", "Anna@Example.com")
	require.Equal(t, 0, r.code, r.stderr)
	var printed struct{ Verdict, ID string }
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &printed))
	require.Equal(t, "accepted", printed.Verdict)

	r = callSending(t, platform, `{"type":"lead","id":"2","time":"2026-11-20T14:03:00Z","click":{"id":"`+click+`"}}`, "send")
	require.Equal(t, 0, r.code, r.stderr)
	require.Equal(t, "lead 2: accepted\n", r.stdout)
	r = callSending(t, platform, "", "send", "-dialect", "ecapi", "-data-set", clickidtest.DataSetID, "-id", "3", "-click", click)
	require.Equal(t, 0, r.code, r.stderr)
	require.Equal(t, []string{"1", "2", "3"}, acceptedIDs(platform))

	r = callSending(t, platform, "", "send", "-dry-run", "-id", "4", "-click", click)
	require.Equal(t, 0, r.code, r.stderr)
	require.Contains(t, r.stdout, `"event_id": "4"`)
	require.NotContains(t, r.stdout, click)
	r = callSending(t, platform, "", "send", "-id", "5")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.stdout, "purchase 5: skipped: organic\n")
	r = callSending(t, platform, "", "send", "-dry-run", "-id", "6", "-click", click, "-name", "x")
	require.Equal(t, 0, r.code, r.stderr)
	require.Equal(t, 1, strings.Count(r.stdout, "warning: custom_name was left out"), r.stdout)
	for _, flags := range [][]string{nil, {"-json"}} {
		r = callSending(t, platform, "", append([]string{"send", "-id", "anna@example.com", "-click", click}, flags...)...)
		require.Equal(t, exitFailed, r.code)
		require.NotContains(t, r.stdout+r.stderr, "anna")
		require.Contains(t, r.stdout, "sha256:")
	}
	for _, id := range []string{"null", "N/A", "{{click_id}}"} {
		r = callSending(t, platform, "", "send", "-id", "8", "-click", id, "-ramp-id", "NULL")
		require.Equal(t, exitFailed, r.code)
		require.Contains(t, r.stdout, "purchase 8: skipped: organic\n")
		r = callSending(t, platform, "\ufeff"+`{"type":"purchase","id":"8","time":"2026-11-20T14:03:00Z","click":{"id":"`+id+`"}}`, "send")
		require.Equal(t, exitFailed, r.code)
		require.Contains(t, r.stdout, "purchase 8: skipped: organic\n")
	}
	r = callSending(t, platform, "{", "send")
	require.Equal(t, exitFailed, r.code)
	require.Equal(t, "clickid: standard input is not an event in JSON\n", r.stderr)
	r = callSending(t, platform, `{"type":"purchase","id":"7","click":{"id":"`+click+`"},"valeu":{"number":1,"currency":"EUR"}}`, "send")
	require.Equal(t, exitFailed, r.code)
	require.Equal(t, "clickid: standard input: \"valeu\" is not a field of an event\n", r.stderr)
	require.Len(t, platform.Requests(), 3)
}

func TestSending_usage(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	for args, want := range map[string]string{
		"upload":                                             "upload needs the name of a file",
		"upload -map id x.csv":                               "-map must have the form FIELD=COLUMN",
		"upload -map colour=x x.csv":                         `unknown field "colour"`,
		"upload -map id=a -map id=b x.csv":                   "the field id has two columns",
		"upload -timezone Berlin x.csv":                      "must be a time zone such as Europe/Berlin",
		"upload -encoding ebcdic x.csv":                      "must be one of",
		"upload -delimiter ;; x.csv":                         "must be one character",
		"upload -dialect ecapi x.csv":                        "ecapi needs -data-set",
		"upload x.csv y.csv":                                 `unexpected argument "y.csv"`,
		"send -id 1 -dialect ecapi -data-set a -test-code b": "-test-code is for logevent",
		"send -id 1 -staging":                                "-staging and -base-url exclude each other",
		"sources list -staging":                              "-staging and -base-url exclude each other",
		"doctor -staging https://shop.example":               "-staging and -base-url exclude each other",
		"send":                                               "send needs the flags of an event",
		"send -id 1 -value 1,5 -currency EUR":                "-value has a comma",
		"send -id 1 -value 1.5":                              "-currency is missing",
		"send -id 1 -time today":                             "-time is not a time",
		"send -id 1 -email anna":                             "-email must have the form name@domain",
		"send -id 1 -phone 030123456":                        "-phone has no country code",
	} {
		r := callSending(t, platform, "", strings.Fields(args)...)
		require.Equal(t, exitUsage, r.code, args)
		require.Contains(t, r.stderr, want, args)
		require.Empty(t, r.stdout)
	}
	cmd, _ := prepare(t, "send", "-id", "1")
	cmd.Env = append(os.Environ(), "CLICKID_API_KEY=", "CLICKID_EVENT_SOURCE=shop")
	output, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(output), "the environment variable CLICKID_API_KEY must have the API key")
	require.Empty(t, platform.Requests())
}
