package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/sqldb"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	asynqoutbox "github.com/clickid/clickid/outbox_asynq"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"
)

// shop is the outbox of a shop with the flags that address it.
type shop struct {
	outbox.Outbox
	flags []string
}

// onEachOutbox runs a test with each kind of outbox.
func onEachOutbox(t *testing.T, test func(t *testing.T, open func(t *testing.T, cfg outbox.Config) shop)) {
	newAsynq := func(t *testing.T, cfg outbox.Config) (*asynqoutbox.Outbox, []string) {
		address := testserver.Redis(t)
		options, err := redis.ParseURL(address)
		require.NoError(t, err)
		options.ContextTimeoutEnabled = true
		client := redis.NewClient(options)
		t.Cleanup(func() { _ = client.Close() })
		name := testserver.Name()
		ob, err := asynqoutbox.New(asynqoutbox.Config{Delivery: cfg, Redis: client, Queue: name, AcceptLoss: true, PollInterval: 50 * time.Millisecond, EnqueueTimeout: time.Minute})
		require.NoError(t, err)
		return ob, []string{"-outbox", address, "-queue", name}
	}
	for name, open := range map[string]func(t *testing.T, cfg outbox.Config) shop{
		"sqlite": func(t *testing.T, cfg outbox.Config) shop {
			path := filepath.Join(t.TempDir(), "outbox.db")
			ob, err := sqliteoutbox.Open(path, sqliteoutbox.Config{Delivery: cfg})
			require.NoError(t, err)
			t.Cleanup(func() { _ = ob.Close() })
			require.NoError(t, ob.Migrate(t.Context()))
			return shop{ob, []string{"-outbox", path}}
		},
		"river": func(t *testing.T, cfg outbox.Config) shop {
			address := testserver.Postgres(t)
			pool, err := pgxpool.New(t.Context(), address)
			require.NoError(t, err)
			t.Cleanup(pool.Close)
			ob, err := riveroutbox.New(riverpgxv5.New(pool), riveroutbox.Config{Delivery: cfg})
			require.NoError(t, err)
			require.NoError(t, ob.Migrate(t.Context()))
			return shop{ob, []string{"-outbox", address}}
		},
		"asynq": func(t *testing.T, cfg outbox.Config) shop {
			ob, flags := newAsynq(t, cfg)
			return shop{ob, flags}
		},
		"table": func(t *testing.T, cfg outbox.Config) shop {
			queue, flags := newAsynq(t, cfg)
			address := testserver.MySQL(t)
			db, err := sql.Open("mysql", address)
			require.NoError(t, err)
			t.Cleanup(func() { _ = db.Close() })
			table, err := outbox.NewTable(outbox.TableConfig{Database: outbox.DatabaseMySQL, Destination: cfg.Destination})
			require.NoError(t, err)
			ob, err := outbox.NewTableOutbox(queue, outbox.RelayConfig{DB: db, Table: table, Interval: 20 * time.Millisecond})
			require.NoError(t, err)
			require.NoError(t, ob.Migrate(t.Context()))
			return shop{ob, append(flags, "-table", address)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open)
		})
	}
}

func newOutboxClient(t *testing.T, platform *clickidtest.Server) *capi.Client {
	t.Helper()
	client, err := capi.New(capi.Config{
		APIKey: clickidtest.APIKey, BaseURL: platform.URL, Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	return client
}

func conversion(id string) clickid.Event {
	return clickid.Event{
		Type: clickid.Purchase, ID: id, Time: time.Now(), Value: clickid.Minor(14999, "USD"),
		Source: clickid.SourceApp, Click: clickid.Click{ID: click},
	}
}

// callOutbox calls a command with the flags of the shop, and without an API key.
func callOutbox(t *testing.T, s shop, platform *clickidtest.Server, command string, args ...string) result {
	t.Helper()
	flags := append([]string{"-base-url", platform.URL, "-event-source", clickidtest.EventSourceID}, s.flags...)
	cmd, _ := prepare(t, append(append([]string{"outbox", command}, flags...), args...)...)
	cmd.Env = append(cmd.Env, "CLICKID_API_KEY=")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// await waits until the numbers of the outbox satisfy a condition.
func await(t *testing.T, s shop, what string, condition func(outbox.Stats) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		stats, err := s.Stats(ctx)
		require.NoError(t, err, what)
		if condition(stats) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestOutbox_show(t *testing.T) {
	t.Parallel()
	onEachOutbox(t, func(t *testing.T, open func(*testing.T, outbox.Config) shop) {
		platform := clickidtest.NewServer(t)
		platform.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"rejected"}})
		s := open(t, outbox.Config{
			Destination: newOutboxClient(t, platform), Logger: slog.New(slog.DiscardHandler), MinSnooze: 20 * time.Millisecond,
			Consent: func(_ context.Context, e clickid.Event) (clickid.Consent, error) {
				if e.ID == "withdrawn" {
					return clickid.ConsentDenied, nil
				}
				return clickid.ConsentGranted, nil
			},
		})
		require.NoError(t, s.Start(t.Context()))
		stopped := false
		stop := func() {
			if !stopped {
				stopped = true
				_, err := s.Stop(context.WithoutCancel(t.Context()))
				require.NoError(t, err)
			}
		}
		defer stop()
		organic, denied, invalid, corrected := conversion("organic"), conversion("denied"), conversion("invalid"), conversion("corrected")
		organic.Click = clickid.Click{}
		denied.Consent = clickid.ConsentDenied
		invalid.Value = clickid.Minor(-1, "USD")
		identified := conversion("identified")
		identified.Click, identified.User.IDs = clickid.Click{}, []clickid.UserID{clickid.RampID("XY1")}
		warned := conversion("warned")
		warned.Items = []clickid.Item{{Name: "without an ID"}}
		badlyNamed := corrected
		badlyNamed.Value = clickid.Minor(-1, "USD")
		_, err := s.Send(t.Context(), organic, denied, invalid, badlyNamed, conversion("delivered"), conversion("rejected"), conversion("withdrawn"), identified, warned)
		require.NoError(t, err)
		await(t, s, "everything is settled", func(stats outbox.Stats) bool { return stats.Queued == 0 })
		_, err = s.Send(t.Context(), corrected, conversion("delivered"))
		require.NoError(t, err)
		await(t, s, "the corrected event is delivered", func(stats outbox.Stats) bool { return stats.Queued == 0 })
		lift := platform.Always(clickidtest.Fault{Status: http.StatusInternalServerError})
		defer lift()
		before := len(platform.Requests())
		_, err = s.Send(t.Context(), conversion("retried"))
		require.NoError(t, err)
		_, err = platform.WaitRequests(t.Context(), before+1)
		require.NoError(t, err)
		stop()
		_, err = s.Send(t.Context(), conversion("queued"))
		require.NoError(t, err)

		for id, want := range map[string]string{
			"organic":    `(?s)purchase organic: skipped\n.*reason +there is no click and no user identity.*next +find out where the click was lost`,
			"denied":     `(?s)purchase denied: skipped\n.*reason +the user has not consented\n.*next +send it again if the user consents`,
			"withdrawn":  `(?s)purchase withdrawn: skipped\n.*reason +the user's consent is denied\n`,
			"invalid":    `(?s)purchase invalid: dead letter\n.*attributed by +click\n.*reason +.*value must not be negative.*next +fix the reason, then: clickid outbox replay \S+;`,
			"corrected":  `(?s)purchase corrected: (dead letter|delivered)\n.*purchase corrected: (dead letter|delivered)\n`,
			"delivered":  `(?s)purchase delivered: delivered\n.*delivered +20.*next +nothing; the platform has accepted it`,
			"rejected":   `(?s)purchase rejected: dead letter\n.*attempt +\S+ +200 VALIDATION_ERROR\n`,
			"warned":     `(?s)purchase warned: delivered\n.*warning +items\[0\].*next +nothing`,
			"identified": `(?s)purchase identified: delivered\n`,
			"retried":    `(?s)purchase retried: queued\n.*attributed by +click\n.*next +wait; `,
			"queued":     `(?s)purchase queued: queued\n.*queued +20\S+ \(\S+ ago\)\n.*next +wait; `,
		} {
			r := callOutbox(t, s, platform, "show", id)
			require.Equal(t, 0, r.code, "%s: %s", id, r.stderr)
			require.Regexp(t, want, r.stdout, id)
			require.NotContains(t, r.stdout, click)
			require.Empty(t, r.stderr)
		}
		r := callOutbox(t, s, platform, "show", "unknown")
		require.Equal(t, exitFailed, r.code)
		require.Contains(t, r.stderr, "the outbox does not know the event")
		r = callOutbox(t, s, platform, "show", "-json", "delivered")
		require.Equal(t, 0, r.code, r.stderr)
		var entries []struct{ State string }
		require.NoError(t, json.Unmarshal([]byte(r.stdout), &entries))
		require.Equal(t, "delivered", entries[0].State)
	})
}

// TestOutbox_others mistypes the event source, or the queue of asynq.
func TestOutbox_others(t *testing.T) {
	t.Parallel()
	onEachOutbox(t, func(t *testing.T, open func(*testing.T, outbox.Config) shop) {
		platform := clickidtest.NewServer(t)
		client := newOutboxClient(t, platform)
		s := open(t, outbox.Config{Destination: client, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, s.Start(t.Context()))
		_, err := s.Send(t.Context(), conversion("1"))
		require.NoError(t, err)
		await(t, s, "the event is delivered", func(stats outbox.Stats) bool { return stats.Delivered == 1 })
		_, err = s.Stop(context.WithoutCancel(t.Context()))
		require.NoError(t, err)

		r := callOutbox(t, s, platform, "stats")
		require.Equal(t, 0, r.code, r.stderr)
		require.Empty(t, r.stderr)
		mistyped, kind, right := []string{"-event-source", "shpo"}, "destination", client.Name()
		if i := slices.Index(s.flags, "-queue"); i >= 0 {
			mistyped, kind, right = []string{"-queue", "shpo"}, "queue", s.flags[i+1]
		}
		r = callOutbox(t, s, platform, "stats", append(mistyped, "-json")...)
		require.Equal(t, 0, r.code, r.stderr)
		require.Regexp(t, `^The `+kind+` of the flags has no events. Others: .*"`+right+`".*; -`+kind+` chooses one.\n$`, r.stderr)
		require.NotContains(t, r.stderr, "-dead")
		require.True(t, json.Valid([]byte(r.stdout)))
	})
}

func TestOutbox_deadLetters(t *testing.T) {
	t.Parallel()
	onEachOutbox(t, func(t *testing.T, open func(*testing.T, outbox.Config) shop) {
		platform := clickidtest.NewServer(t)
		s := open(t, outbox.Config{Destination: newOutboxClient(t, platform), Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, s.Start(t.Context()))
		var invalid []clickid.Event
		for _, id := range []string{"1", "2", "3"} {
			e := conversion(id)
			e.OrderID, e.Value = "order-"+id, clickid.Minor(-1, "USD")
			invalid = append(invalid, e)
		}
		_, err := s.Send(t.Context(), invalid...)
		require.NoError(t, err)
		await(t, s, "dead letters", func(stats outbox.Stats) bool { return stats.DeadLetters == 3 })
		_, err = s.Stop(context.WithoutCancel(t.Context()))
		require.NoError(t, err)

		r := callOutbox(t, s, platform, "stats")
		require.Equal(t, 0, r.code, r.stderr)
		require.Regexp(t, `queued +0 .*\n.*\n.*\ndead letters +3\n`, r.stdout)
		r = callOutbox(t, s, platform, "failed")
		require.Equal(t, 0, r.code, r.stderr)
		require.Regexp(t, `ID +EVENT +TYPE +FAILED +STATUS +REASON\n`, r.stdout)
		ids := make(map[string]string)
		for _, line := range regexp.MustCompile(`(?m)^(\S+) +"(\d)" +purchase +20\S+ +- +.*value must not be negative`).FindAllStringSubmatch(r.stdout, -1) {
			ids[line[2]] = line[1]
		}
		require.Len(t, ids, 3, r.stdout)

		r = callOutbox(t, s, platform, "replay", ids["1"])
		require.Equal(t, 0, r.code, r.stderr)
		require.Equal(t, "1 replayed\n", r.stdout)
		r = callOutbox(t, s, platform, "discard", "-json", ids["2"])
		require.Equal(t, 0, r.code, r.stderr)
		require.JSONEq(t, `{"discarded":1}`, r.stdout)
		r = callOutbox(t, s, platform, "discard", ids["2"])
		require.Equal(t, exitFailed, r.code)
		require.Contains(t, r.stderr, "1 of 1 IDs: no such dead letter")
		r = callOutbox(t, s, platform, "erase", "-order", "order-3")
		require.Equal(t, 0, r.code, r.stderr)
		require.Equal(t, "1 erased\n", r.stdout)
		r = callOutbox(t, s, platform, "stats", "-json")
		require.Contains(t, strings.Join(strings.Fields(r.stdout), ""), `{"queued":1,`)
	})
}

// TestOutbox_sqlitePath opens files whose names mean something else in a data
// source name. The command creates no file and leaves the shop's journal mode.
func TestOutbox_sqlitePath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "100%25 of the shop? #1 a b.db")
	db, err := sql.Open("sqlite", sqldb.SQLiteSource(path, nil))
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	destination := newOutboxClient(t, clickidtest.NewServer(t))
	ob, err := sqliteoutbox.New(db, sqliteoutbox.Config{Delivery: outbox.Config{Destination: destination, Logger: slog.New(slog.DiscardHandler)}})
	require.NoError(t, err)
	require.NoError(t, ob.Migrate(t.Context()))
	table, err := outbox.NewTable(outbox.TableConfig{Database: outbox.DatabaseSQLite, Destination: destination})
	require.NoError(t, err)
	require.NoError(t, table.Migrate(t.Context(), db))
	_, err = ob.Send(t.Context(), conversion("1"))
	require.NoError(t, err)
	for _, flags := range [][]string{{"-outbox", path}, {"-outbox", path, "-table", path}} {
		r := call(t, append([]string{"outbox", "stats", "-destination", destination.Name()}, flags...)...)
		require.Equal(t, 0, r.code, r.stderr)
		require.Contains(t, r.stdout, "queued        1 ")
	}
	var mode string
	require.NoError(t, db.QueryRowContext(t.Context(), "PRAGMA journal_mode").Scan(&mode))
	require.Equal(t, "delete", mode)

	missing := filepath.Join(dir, "missing?.db")
	for _, row := range []struct {
		flags []string
		code  int
		text  string
	}{
		{[]string{"-outbox", missing}, exitFailed, "missing?.db does not exist"},
		{[]string{"-outbox", path, "-table", missing}, exitFailed, "missing?.db does not exist"},
		{[]string{"-outbox", path, "-table", "file:" + path}, exitUsage, "the address of a SQLite file is its path, without file: and options"},
		{[]string{"-outbox", path, "-table", dir}, exitFailed, "is not a SQLite file"},
	} {
		r := call(t, append([]string{"outbox", "stats", "-destination", destination.Name()}, row.flags...)...)
		require.Equal(t, row.code, r.code, r.stderr)
		require.Contains(t, r.stderr, row.text)
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "no file was created: %v", entries)
}

// TestOutbox_hostileIDs finds, replays and discards dead letters whose IDs a shop
// would not choose. The terminal gets no control character.
func TestOutbox_hostileIDs(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	path := filepath.Join(t.TempDir(), "outbox.db")
	ob, err := sqliteoutbox.Open(path, sqliteoutbox.Config{Delivery: outbox.Config{Destination: newOutboxClient(t, platform), Logger: slog.New(slog.DiscardHandler)}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = ob.Close() })
	require.NoError(t, ob.Migrate(t.Context()))
	s := shop{ob, []string{"-outbox", path}}
	ids := []string{"order-\xff\xfe-1", "a\nb\x1b[2J\r", "-17", "--json", "help", " ", strings.Repeat("long", 10_000), "anna@example.com", "'\"; DROP TABLE river_job"}
	for _, id := range ids {
		e := conversion(id)
		e.Value = clickid.Minor(-1, "USD")
		_, err := ob.Send(t.Context(), e)
		require.NoError(t, err)
	}
	drained, err := ob.Drain(t.Context())
	require.NoError(t, err)
	require.Zero(t, drained.Remaining)
	letterOf := func(id string) string {
		r := callOutbox(t, s, platform, "show", "--", id)
		require.Equal(t, 0, r.code, "%q: %s", id, r.stderr)
		letter := regexp.MustCompile(`clickid outbox replay (\S+);`).FindStringSubmatch(r.stdout)
		require.NotNil(t, letter, r.stdout)
		require.NotContains(t, r.stdout, "anna")
		require.NotRegexp(t, `[\x00-\x09\x0b-\x1f\x7f]`, r.stdout)
		return letter[1]
	}
	for _, id := range ids {
		r := callOutbox(t, s, platform, "replay", letterOf(id))
		require.Equal(t, 0, r.code, r.stderr)
	}
	drained, err = ob.Drain(t.Context())
	require.NoError(t, err)
	require.Zero(t, drained.Remaining)
	for _, id := range ids {
		r := callOutbox(t, s, platform, "discard", letterOf(id))
		require.Equal(t, 0, r.code, r.stderr)
	}
	r := callOutbox(t, s, platform, "show", "a\x1b[2J")
	require.Equal(t, exitFailed, r.code)
	require.NotContains(t, r.stderr, "\x1b")
}

func TestOutbox_usage(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"stats":                                 "-outbox or CLICKID_OUTBOX must have the address of the queue",
		"stats -outbox x.db":                    "logevent needs -event-source",
		"show -outbox x.db -event-source a b c": `unexpected argument "c"`,
		"failed -outbox x.db -event-source a -limit 0":                                              "must be at least 1",
		"stats -outbox redis://127.0.0.1:1/0 -event-source a -queue a{b":                            "Queue must be 1 to 64 characters",
		"stats -outbox postgres://127.0.0.1:1/x -event-source a -schema a-b":                        "Schema must be up to 46 characters",
		"stats -outbox redis://127.0.0.1:1/0 -table u@tcp(127.0.0.1:1)/x -event-source a -prefix A": "Prefix must be 1 to 32 characters",
	} {
		r := call(t, append([]string{"outbox"}, strings.Fields(args)...)...)
		require.Equal(t, exitUsage, r.code, args)
		require.Contains(t, r.stderr, want)
	}
	for address, want := range map[string]struct {
		code int
		text string
	}{
		"ftp://user:secret@host/x":               {exitUsage, "the address must begin with postgres://, mysql:// or redis://"},
		"postgres://user:secret@host:port/x":     {exitUsage, "the address of PostgreSQL cannot be read"},
		"postgres://user:secret@127.0.0.1:1/x":   {exitFailed, "the outbox cannot be read; check the address"},
		"redis://user:secret@127.0.0.1:1/x/y":    {exitUsage, "the address of Redis cannot be read"},
		"redis://user:secret@127.0.0.1:1/0":      {exitFailed, "the outbox cannot be read; check the address"},
		"mysql://user:secret@127.0.0.1:1/x":      {exitUsage, "name them with -table"},
		"user:secret@tcp(127.0.0.1:1)/x":         {exitUsage, "name them with -table"},
		filepath.Join(t.TempDir(), "missing.db"): {exitFailed, "missing.db does not exist"},
	} {
		r := call(t, "outbox", "stats", "-event-source", "shop", "-outbox", address)
		require.Equal(t, want.code, r.code, address)
		require.Contains(t, r.stderr, want.text)
		require.NotContains(t, r.stderr, "secret")
		if want.code == exitFailed {
			require.Equal(t, 1, strings.Count(r.stderr, "\n"), "one line for one reason: %s", r.stderr)
		}
	}
}
