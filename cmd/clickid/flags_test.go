package main

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/clickid/clickid/clickidtest"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v3"
)

// TestFlags_wrongValue gives flags what they cannot take. The error states what
// they take, without Go's own text.
func TestFlags_wrongValue(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ args, want string }{
		{"keygen -n x", `"x" for flag -n: must be a whole number, such as 10`},
		{"keygen -n 1.5", `"1.5" for flag -n: must be a whole number, such as 10`},
		{"keygen -n 1,000", `must be a whole number, such as 10`},
		{"keygen -n 0x2", `must be a whole number, such as 10`},
		{"keygen -n=", `"" for flag -n: must be a whole number, such as 10`},
		{"keygen -n 99999999999999999999", "must have fewer digits"},
		{"demo -refuse x", "must be a whole number"},
		{"demo -once=maybe", "must be true or false"},
		{"demo -once=", `"" for flag -once: must be true or false`},
		{"sources sync --yes= sources.yaml", `"" for flag -yes: must be true or false`},
		{"upload sales.csv -restart=", `"" for flag -restart: must be true or false`},
		{"demo -timeout 5", `"5" for flag -timeout: must be a duration with its unit, such as 30s or 36h`},
		{"doctor -timeout 5x https://shop.example", "must be a duration with its unit"},
		{"receive -keep many", "must be a whole number"},
		{"outbox failed -limit 1e3", "must be a whole number"},
		{"reconcile -threshold 1,5", "must be a number, such as 2.5"},
		{"reconcile -threshold NaN", "must be from 0 to 100"},
		{"reconcile -deduplication-window 30d", "must be a duration with its unit"},
		{"send -id -dry-run", `"-dry-run" for flag -id: must be a value, not the next flag`},
		{"upload -rejects --dry-run x.csv", `"--dry-run" for flag -rejects: must be a value, not the next flag`},
		{"upload -ignore -skip-invalid=true x.csv", "for flag -ignore: must be a value, not the next flag"},
	} {
		r := call(t, strings.Fields(row.args)...)
		require.Equal(t, exitUsage, r.code, row.args)
		require.Empty(t, r.stdout, row.args)
		require.Contains(t, r.stderr, row.want, row.args)
		require.NotContains(t, r.stderr, "strconv", row.args)
		require.NotContains(t, r.stderr, "time: ", row.args)
	}
}

func TestFlags_decimal(t *testing.T) {
	t.Parallel()
	r := call(t, "keygen", "-n", "010")
	require.Equal(t, 0, r.code, r.stderr)
	require.Equal(t, 10, strings.Count(r.stdout, "\n"))
}

// TestFlags_emptyBool checks all of them: none takes an empty value for true.
func TestFlags_emptyBool(t *testing.T) {
	t.Parallel()
	flags := 0
	var walk func(cmd *cli.Command, path []string)
	walk = func(cmd *cli.Command, path []string) {
		for _, f := range cmd.Flags {
			if _, ok := f.(*cli.BoolFlag); !ok {
				continue
			}
			flags++
			for _, name := range f.Names() {
				var stdout, stderr bytes.Buffer
				require.Equal(t, exitUsage, run(t.Context(), append(path, "-"+name+"="), &stdout, &stderr), name)
				require.Contains(t, stderr.String(), `invalid value "" for flag -`+name+`: must be true or false`, path)
			}
		}
		for _, sub := range cmd.Commands {
			walk(sub, append(slices.Clip(path), sub.Name))
		}
	}
	walk(newCommand(io.Discard, io.Discard), []string{"clickid"})
	require.Greater(t, flags, 30)
	r := call(t, "send", "-dry-run", "-event-source", "shop", "--", "-json=")
	require.Contains(t, r.stderr, `unexpected argument "-json="`, "an argument")
}

// TestFlags_comma has a column whose name has a comma.
func TestFlags_comma(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	path := write(t, []byte("\"Order, number\",click_id,\"Total, net\",currency,time\n1,"+click+",9.99,USD,2026-05-04T15:00:00Z\n"))
	r := callSending(t, platform, "", "upload", "-dry-run", "-map", "id=Order, number", "-ignore", "Total, net", path)
	require.Equal(t, 0, r.code, r.stderr)
}

func TestRun_suggestion(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"sned":             `unknown command "sned"; did you mean "send"?`,
		"uplaod":           `unknown command "uplaod"; did you mean "upload"?`,
		"outbox stat":      `unknown command "stat"; did you mean "stats"?`,
		"upload -rejcts":   `flag provided but not defined: -rejcts; did you mean "-rejects"?`,
		"outbox show -A17": "flag provided but not defined: -A17; write -- before an argument that begins with a dash",
		"keygen -m":        "flag provided but not defined: -m\n",
		"statistics":       "unknown command \"statistics\"\n",
		"x":                "unknown command \"x\"\n",
	} {
		r := call(t, strings.Fields(args)...)
		require.Equal(t, exitUsage, r.code, args)
		require.Contains(t, r.stderr, want)
	}
}

// TestRun_argumentHelp names a file and an event like the command help.
func TestRun_argumentHelp(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"upload help", "outbox show help", "outbox discard -- h", "sources sync h"} {
		r := call(t, strings.Fields(args)...)
		require.NotEqual(t, 0, r.code, args)
		require.Empty(t, r.stdout, args)
	}
}
