package riveroutbox

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/clickid/clickid/outbox"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"
)

// Config configures an [Outbox]. Delivery.Destination is required; the zero value
// of every other field is its default. Later changes have no effect.
type Config struct {
	// Delivery says how an event is delivered. Its Destination is required.
	Delivery outbox.Config
	// Schema is the PostgreSQL schema of the outbox's own tables, which
	// Migrate creates. It must not be one in which the application runs River
	// itself: whichever River client leads a schema deletes jobs of kinds
	// that it does not know. Several outboxes in one database need different
	// schemas. Up to 46 characters of [a-zA-Z0-9_]. Defaults to "clickid"; on
	// SQLite, which has no schemas, it must be empty.
	Schema string
	// Workers is how many events this instance delivers at once. A request of
	// LogEvent carries as many events as there are workers waiting, and each
	// worker is a goroutine with one event. Defaults to 2,000, which delivers
	// a backlog three times as fast as 500 do.
	Workers int
	// DeduplicationWindow is how long a delivered event is remembered, so that the same one
	// is not sent again. Its payload is not kept. Defaults to
	// [outbox.DefaultDeduplicationWindow].
	DeduplicationWindow time.Duration
	// KeepDeadLetters is how long dead letters are kept. Defaults to until they are
	// replayed or discarded.
	KeepDeadLetters time.Duration
	// JobTimeout bounds one delivery. The default lets every delivery end by
	// itself; a shorter one interrupts it, which is for tests. Defaults to
	// [outbox.MaxDuration] and 10 seconds.
	JobTimeout time.Duration
	// RescueAfter is how long an event whose process was killed waits until
	// another instance takes it over; up to a minute more passes until that is
	// noticed. It must be longer than JobTimeout, or two instances could send
	// an event at once. Defaults to 2 minutes.
	RescueAfter time.Duration
	// PollInterval is how long a new event may be overlooked where the
	// notification of it is lost. Defaults to 1 second.
	PollInterval time.Duration
	// PollOnly does without LISTEN, which PgBouncer in transaction mode does
	// not support. Every new event then waits for the next poll.
	PollOnly bool
}

// Defaults of [Config].
const (
	DefaultSchema       = "clickid"
	DefaultWorkers      = 2000
	DefaultJobTimeout   = outbox.MaxDuration + 10*time.Second
	DefaultRescueAfter  = 2 * time.Minute
	DefaultPollInterval = time.Second
)

const (
	// fetchCooldown is River's pause between two fetches. Its own default of
	// 100 ms leaves workers idle.
	fetchCooldown = 10 * time.Millisecond
	// forever keeps River's cleaner from deleting jobs.
	forever = -1
	// maxAttempts is as many as River can count: the Delivery decides when an
	// event is dead, River never does.
	maxAttempts = 1<<15 - 1
	maxWorkers  = river.QueueNumWorkersMax
	// maxSchema leaves room for the names of River's notifications.
	maxSchema = 46
)

var schemaName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

func (cfg *Config) fillIn(database string) {
	if cfg.Schema == "" && database == riverdriver.DatabaseNamePostgres {
		cfg.Schema = DefaultSchema
	}
	if cfg.Workers == 0 {
		cfg.Workers = DefaultWorkers
	}
	if cfg.DeduplicationWindow == 0 {
		cfg.DeduplicationWindow = outbox.DefaultDeduplicationWindow
	}
	if cfg.KeepDeadLetters == 0 {
		cfg.KeepDeadLetters = forever
	}
	if cfg.JobTimeout == 0 {
		cfg.JobTimeout = DefaultJobTimeout
	}
	if cfg.RescueAfter == 0 {
		cfg.RescueAfter = DefaultRescueAfter
	}
	if cfg.PollInterval == 0 {
		cfg.PollInterval = DefaultPollInterval
	}
}

// problems returns everything that is wrong with cfg, apart from Delivery.
func (cfg *Config) problems(database string) []error {
	var problems []error
	report := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("riveroutbox: "+format, args...))
	}
	switch {
	case cfg.Schema == "":
	case database == riverdriver.DatabaseNameSQLite:
		report("Schema must be empty: SQLite has no schemas")
	case len(cfg.Schema) > maxSchema || !schemaName.MatchString(cfg.Schema):
		report("Schema must be up to %d characters of [a-zA-Z0-9_] and not begin with a digit", maxSchema)
	}
	if cfg.Workers < 0 || cfg.Workers > maxWorkers {
		report("Workers must be from 1 to %d", maxWorkers)
	}
	if cfg.DeduplicationWindow < 0 || cfg.DeduplicationWindow > 0 && cfg.DeduplicationWindow < time.Second {
		report("DeduplicationWindow must be at least a second")
	}
	if cfg.KeepDeadLetters < 0 || cfg.KeepDeadLetters > 0 && cfg.KeepDeadLetters < time.Second {
		report("KeepDeadLetters must be at least a second")
	}
	filled := *cfg
	filled.fillIn(database)
	if cfg.JobTimeout < 0 || cfg.RescueAfter < 0 || filled.RescueAfter <= filled.JobTimeout {
		report("RescueAfter must be longer than JobTimeout, and neither negative: two instances would send an event at once")
	}
	if cfg.PollInterval < 0 || cfg.PollInterval > 0 && cfg.PollInterval < fetchCooldown {
		report("PollInterval must be at least %v", fetchCooldown)
	}
	return problems
}

// river returns the configuration of the River client.
func (cfg *Config) river(workers *river.Workers) *river.Config {
	logger := cfg.Delivery.Logger
	if logger == nil {
		logger = slog.Default()
	}
	return &river.Config{
		CancelledJobRetentionPeriod: cfg.KeepDeadLetters,
		CompletedJobRetentionPeriod: cfg.DeduplicationWindow,
		DiscardedJobRetentionPeriod: cfg.KeepDeadLetters,
		FetchCooldown:               fetchCooldown,
		FetchPollInterval:           cfg.PollInterval,
		JobTimeout:                  cfg.JobTimeout,
		Logger:                      logger,
		MaxAttempts:                 maxAttempts,
		PollOnly:                    cfg.PollOnly,
		Queues:                      map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: cfg.Workers}},
		RescueStuckJobsAfter:        cfg.RescueAfter,
		Schema:                      cfg.Schema,
		Workers:                     workers,
	}
}

var errNoDriver = errors.New("riveroutbox: a River driver is required, such as riverpgxv5.New(pool)")

// waiting are the states of events that wait to be sent.
func waiting() []rivertype.JobState {
	return []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateScheduled,
	}
}

// dead are the states of dead letters. River cancels a job whose worker says
// so, and discards one that it gave up itself.
func dead() []rivertype.JobState {
	return []rivertype.JobState{rivertype.JobStateCancelled, rivertype.JobStateDiscarded}
}
