package riveroutbox

import (
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid/outbox"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"
)

func TestConfig_river(t *testing.T) {
	var cfg Config
	cfg.fillIn(riverdriver.DatabaseNamePostgres)
	got := cfg.river("queue", nil)
	for _, row := range []struct {
		what        string
		ours, stock any
		want        any
	}{
		{"schema", got.Schema, "", "clickid"},
		{"rescue after a crash", got.RescueStuckJobsAfter, time.Hour, 2 * time.Minute},
		{"delivered events remembered", got.CompletedJobRetentionPeriod, 24 * time.Hour, 14 * 24 * time.Hour},
		{"dead letters kept", got.CancelledJobRetentionPeriod, 24 * time.Hour, time.Duration(forever)},
		{"dead letters of River kept", got.DiscardedJobRetentionPeriod, 7 * 24 * time.Hour, time.Duration(forever)},
		{"pause between fetches", got.FetchCooldown, river.FetchCooldownDefault, 10 * time.Millisecond},
		{"attempts before River gives up", got.MaxAttempts, river.MaxAttemptsDefault, 32767},
		{"workers", got.Queues["queue"].MaxWorkers, 0, 2000},
	} {
		if row.ours != row.want {
			t.Errorf("%s: %v, want %v (River's default: %v)", row.what, row.ours, row.want, row.stock)
		}
	}
	if got.JobTimeout <= outbox.MaxDuration {
		t.Errorf("River interrupts a delivery after %v, but it may take %v", got.JobTimeout, outbox.MaxDuration)
	}
	if got.RescueStuckJobsAfter <= got.JobTimeout {
		t.Errorf("a delivery of %v is rescued after %v", got.JobTimeout, got.RescueStuckJobsAfter)
	}
}

func TestJobArgs_uniqueStates(t *testing.T) {
	opts := jobArgs{}.InsertOpts().UniqueOpts
	if !opts.ByArgs || len(opts.ByState) != len(rivertype.JobStates()) {
		t.Fatalf("an event is unique only in the states %v", opts.ByState)
	}
}

func TestConfig_problems(t *testing.T) {
	cfg := Config{
		Schema:              "no schema",
		Workers:             -1,
		DeduplicationWindow: time.Millisecond,
		KeepDeadLetters:     -time.Hour,
		JobTimeout:          time.Hour,
		PollInterval:        time.Microsecond,
	}
	problems := cfg.problems(riverdriver.DatabaseNamePostgres)
	for i, field := range []string{"Schema", "Workers", "DeduplicationWindow", "KeepDeadLetters", "RescueAfter", "PollInterval"} {
		if i >= len(problems) || !strings.HasPrefix(problems[i].Error(), "riveroutbox: "+field+" must ") {
			t.Fatalf("problem %d is not about %s: %v", i, field, problems)
		}
	}
	if len(problems) != 6 {
		t.Errorf("%d problems: %v", len(problems), problems)
	}
	cfg = Config{Schema: "clickid"}
	if problems := cfg.problems(riverdriver.DatabaseNameSQLite); len(problems) != 1 {
		t.Errorf("a schema on SQLite: %v", problems)
	}
}

func TestReadJob(t *testing.T) {
	for _, row := range []struct {
		metadata string
		ok, bad  bool
	}{
		{`{"clickid":{"identity":"a","payload":"e30=","queued_at":"2026-01-02T03:04:05Z"},"snoozes":3}`, true, false},
		{`{"clickid":null,"output":{}}`, false, false}, // delivered or erased
		{`{}`, false, false},
		{`{"clickid":7}`, false, true},
		{`[]`, false, true},
	} {
		s, err := readJob(&rivertype.JobRow{Metadata: []byte(row.metadata)})
		if s.ok != row.ok || (err != nil) != row.bad {
			t.Errorf("%s: %+v, %v", row.metadata, s, err)
		}
	}
}
