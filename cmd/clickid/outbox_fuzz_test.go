package main

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/interchange"
	"github.com/clickid/clickid/outbox"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
	"github.com/stretchr/testify/require"
)

// FuzzOutbox runs the commands of an outbox that has one dead letter, whose ID
// moves the cursor of a terminal. Only the dead letter's own ID changes it, and
// no output has a control character of an event or of an argument.
func FuzzOutbox(f *testing.F) {
	f.Setenv("CLICKID_API_KEY", "")
	path := filepath.Join(f.TempDir(), "outbox.db")
	ob, err := sqliteoutbox.Open(path, sqliteoutbox.Config{Delivery: outbox.Config{
		Destination: outbox.Administration("shop"), Logger: slog.New(slog.DiscardHandler),
	}})
	require.NoError(f, err)
	require.NoError(f, ob.Migrate(f.Context()))
	key, err := outbox.KeyHash(clickid.OrderKey("\x1b[2Jorder"))
	require.NoError(f, err)
	records := []outbox.Record{{
		Identity: strings.Repeat("a", 64), Refused: "the \x1b[0mreason", QueuedAt: time.Now(), Keys: []string{key},
		Payload: []byte(`{"v":1,"event":{"type":"\u001b[1mtype","id":"\u001b[2Jorder"}}`),
	}}
	_, err = ob.Enqueue(f.Context(), records)
	require.NoError(f, err)
	_, err = ob.Drain(f.Context())
	require.NoError(f, err)
	dead := func(t testing.TB) []outbox.DeadLetter {
		letters, err := ob.DeadLetters(context.WithoutCancel(t.Context()), outbox.Page{})
		require.NoError(t, err)
		return letters
	}
	require.Len(f, dead(f), 1)
	f.Cleanup(func() { require.NoError(f, ob.Close()) })

	for _, id := range []string{"", "\x1b[2Jorder", "1", "01", "+1", "1 ", "-1", "--all", "99999999999999999999", "0x1", "%", "\x00", "\xff", "' OR 1=1 --", "a,b", "{}", "sha256:0123456789ab", strings.Repeat("9", 600)} {
		for command := range 5 {
			f.Add(command, id)
		}
	}
	commands := []string{"show", "failed", "replay", "discard", "erase"}
	f.Fuzz(func(t *testing.T, number int, id string) {
		command := commands[uint(number)%uint(len(commands))]
		args := []string{"clickid", "outbox", command, "--outbox=" + path, "--destination=shop"}
		switch command {
		case "erase":
			if args = append(args, "--order="+id, "--customer="+id); id == "\x1b[2Jorder" {
				return
			}
		case "show", "replay", "discard":
			if n := strings.TrimLeft(id, "+0"); (n == "1" && command != "show") || strings.HasPrefix(id, "-") {
				return // the ID of the dead letter, or a flag
			}
			args = append(args, "--", id)
		}
		var stdout, stderr bytes.Buffer
		code := run(context.Background(), args, &stdout, &stderr)
		if code < 0 || code > exitUsage || code == exitUsage && stdout.Len() > 0 {
			t.Fatalf("%q has the exit code %d: %s", args, code, &stderr)
		}
		if i := strings.IndexFunc(stdout.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
			t.Fatalf("%q prints %q", args, &stdout)
		}
		if code == 0 != (command == "erase" && id != "" || command == "failed" || command == "show" && id == "\x1b[2Jorder") {
			t.Fatalf("%q has the exit code %d: %s%s", args, code, &stdout, &stderr)
		}
		if letters := dead(t); len(letters) != 1 {
			t.Fatalf("%q left %d dead letters", args, len(letters))
		}
	})
}

// TestPrintHealth_hostile covers a server in the platform's place.
func TestPrintHealth_hostile(t *testing.T) {
	t.Parallel()
	const hostile = "\x1b[2J\n\u202e"
	var printed bytes.Buffer
	require.NoError(t, printHealth(&printed, []interchange.RegisteredSource{{
		EventSource: interchange.EventSource{ID: hostile},
		Health:      interchange.Health{Status: hostile, LastEventType: hostile, LastError: hostile},
	}}))
	require.Equal(t, 2, strings.Count(printed.String(), "\n"))
	require.False(t, strings.ContainsFunc(printed.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }), "%q", &printed)
}
