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

// Config configures an [Outbox]. Delivery.Destination is required. The zero
// values of the other fields are their defaults. Later changes have no effect.
type Config struct {
	// Delivery configures the delivery of events. Its Destination is required.
	Delivery outbox.Config
	// Schema is the PostgreSQL schema of the outbox's own tables, which
	// Migrate creates. It must not be one in which the application runs River
	// itself: whichever River client leads a schema deletes jobs of kinds
	// that it does not know. Outboxes of several destinations can share it. Up
	// to 46 characters of [a-zA-Z0-9_]. Defaults to "clickid"; on SQLite, which
	// has no schemas, it must be empty.
	Schema string
	// Workers is the number of events that this instance delivers at once. A
	// LogEvent request has at most as many events as there are waiting workers,
	// and each worker is a goroutine with one event. Defaults to 2,000: this
	// delivers a backlog three times as fast as 500.
	Workers int
	// DeduplicationWindow is how long the identity of a delivered event is
	// kept, so that an event of the same identity is not sent again. Defaults
	// to [outbox.DefaultDeduplicationWindow].
	DeduplicationWindow time.Duration
	// KeepDeadLetters is how long dead letters are kept. By default they are kept
	// until they are replayed or discarded.
	KeepDeadLetters time.Duration
	// JobTimeout limits a delivery. A shorter time than the default interrupts
	// deliveries and is for tests. Defaults to [outbox.MaxDuration] plus 10
	// seconds.
	JobTimeout time.Duration
	// RescueAfter is the time after the beginning of a delivery from which an
	// event of a killed process is delivered by another instance. River checks
	// every 30 seconds. It must be longer than JobTimeout; otherwise two instances
	// could send an event at the same time. Defaults to 2 minutes.
	RescueAfter time.Duration
	// PollInterval is the interval in which an instance looks for new events
	// without a notification. It was lost, or the event was stored up to 10
	// milliseconds after another one of its process, in a transaction that
	// committed more than 20 milliseconds after the other one. Defaults to 1
	// second.
	PollInterval time.Duration
	// Hooks are River's hooks, such as for metrics. They run for the jobs of this
	// outbox. See Middleware for their failures. Optional.
	Hooks []rivertype.Hook
	// Middleware is River's middleware, the outermost first, such as that of
	// otelriver. It wraps the insertion and the delivery of the jobs of this
	// outbox. It must not change a job's arguments, metadata, queue or unique key.
	//
	// Hooks and middleware observe and do not decide, so that their failures lose
	// no event. A panic, an error or a missing call of doInner
	//
	//   - at the insertion is an error of Send, and nothing is stored;
	//   - before a delivery makes the event wait for 1 second to 5 minutes, without
	//     an attempt, and is observed as [outbox.KindMiddlewareFailing];
	//   - after a delivery is observed in the same way. The event keeps the outcome
	//     of its delivery, and what middleware returns has no effect.
	//
	// Optional.
	Middleware []rivertype.Middleware
	// PollOnly disables LISTEN. PgBouncer in transaction mode needs it. New
	// events then wait for the next poll.
	PollOnly bool
}

// The defaults of [Config].
const (
	DefaultSchema       = "clickid"
	DefaultWorkers      = 2000
	DefaultJobTimeout   = outbox.MaxDuration + 10*time.Second
	DefaultRescueAfter  = 2 * time.Minute
	DefaultPollInterval = time.Second
)

const (
	// fetchCooldown is River's pause between two fetches. River's default of
	// 100 ms leaves workers idle.
	fetchCooldown = 10 * time.Millisecond
	// forever disables River's cleaner.
	forever = -1
	// maxAttempts is River's maximum. Delivery decides when an event is dead,
	// not River.
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

// problems returns the problems of cfg, except those of Delivery.
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
func (cfg *Config) river(queue string, workers *river.Workers) *river.Config {
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
		Hooks:                       cfg.Hooks,
		JobTimeout:                  cfg.JobTimeout,
		Logger:                      logger,
		MaxAttempts:                 maxAttempts,
		Middleware:                  cfg.Middleware,
		PollOnly:                    cfg.PollOnly,
		Queues:                      map[string]river.QueueConfig{queue: {MaxWorkers: cfg.Workers}},
		RescueStuckJobsAfter:        cfg.RescueAfter,
		Schema:                      cfg.Schema,
		Workers:                     workers,
	}
}

var errNoDriver = errors.New("riveroutbox: a River driver is required, such as riverpgxv5.New(pool)")

// waiting returns the states of queued events.
func waiting() []rivertype.JobState {
	return []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateScheduled,
	}
}

// dead returns the states of dead letters. River cancels a job if the worker
// requests it, and discards a job that has used its attempts.
func dead() []rivertype.JobState {
	return []rivertype.JobState{rivertype.JobStateCancelled, rivertype.JobStateDiscarded}
}
