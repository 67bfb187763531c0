package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/nilcheck"
)

// Config configures the delivery of events. The configurations of all queues
// contain it. Destination is required. The zero values of the other fields are
// their defaults.
type Config struct {
	// Destination receives the events. It is usually a capi.Client. Required.
	Destination Destination
	// MaxAge is the maximum event age: the time from queueing or replay after
	// which an event becomes a dead letter, since platforms do not attribute
	// older events. Defaults to [DefaultMaxAge].
	MaxAge time.Duration
	// MaxAttempts is the number of failed deliveries after which an event
	// becomes a dead letter. Only failures of the application's code count,
	// such as a panic. Defaults to 10.
	MaxAttempts int
	// MinSnooze and MaxSnooze are the first and the longest wait after a
	// failure. Waits that the platform asks for (Retry-After) may be longer, up
	// to an hour. An unavailable platform is probed at least every 20 seconds.
	// Default to 1 second and 5 minutes.
	MinSnooze, MaxSnooze time.Duration
	// Linger is the longest time that an event waits for others to share its
	// request. It does not wait if no request is in progress and the last one
	// was longer ago. With a negative value every event has its own request.
	// Defaults to 30 milliseconds, at most 5 seconds.
	Linger time.Duration
	// Consent returns the current consent of the user of an event. It is called
	// concurrently at each delivery and must return within five seconds. Only
	// events with [clickid.ConsentGranted] are sent; others are skipped. If it
	// fails, the event waits. Without it, the consent at the time of queueing
	// counts, and an event whose consent is unknown may lose its user
	// identities before it is stored; see [clickid.Event].Consent.
	Consent func(ctx context.Context, e clickid.Event) (clickid.Consent, error)
	// Metadata returns metadata for the events of a Send with the context ctx,
	// such as its trace context. It is stored with the event, and
	// [MetadataFromContext] returns it at delivery. It must not contain
	// personal data. Optional.
	Metadata func(ctx context.Context) map[string]string
	// ForgetSkips keeps nothing of a skipped event. By default its ID, type,
	// reason and time are kept for the deduplication window, so that an
	// operator can find out why an order was not sent. Each organic order then
	// costs a record in the queue.
	ForgetSkips bool
	// HideEventIDs omits event IDs from logs, observations and the records of
	// skipped events, which Find then does not find. Defaults to false.
	HideEventIDs bool
	// RecheckClick resolves the token of an event again at delivery, and skips
	// the event if the click was deleted. Only events that [clickid.Convert]
	// filled from a visitor's request have both. A click that has expired still
	// counts, since it was valid at the time of the event. Defaults to false.
	RecheckClick bool
	// Logger logs alerts at level Error (a refused configuration, a dead
	// letter), outages and recoveries at Warn and Info, and deliveries at
	// Debug. Defaults to slog.Default(). slog.New(slog.DiscardHandler) disables
	// logging.
	Logger *slog.Logger
	// Hook is called concurrently with every observation that is logged. It
	// must not block. Optional.
	Hook func(context.Context, Observation)
}

// Defaults and limits of [Config].
const (
	defaultMaxAttempts = 10
	defaultMinSnooze   = time.Second
	defaultMaxSnooze   = 5 * time.Minute
	defaultLinger      = 30 * time.Millisecond
	maxLinger          = 5 * time.Second
)

// checkDestination returns an error for a missing destination or a nil pointer.
func checkDestination(d Destination) error {
	if nilcheck.IsNil(d) || d.Name() == "" {
		return errors.New("outbox: Destination is required, such as the client of capi.New, and must have a Name")
	}
	return nil
}

// problems returns the problems of cfg.
func (cfg *Config) problems() []error {
	var problems []error
	report := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("outbox: "+format, args...))
	}
	if err := checkDestination(cfg.Destination); err != nil {
		problems = append(problems, err)
	}
	if cfg.MaxAge < 0 {
		report("MaxAge must not be negative")
	}
	if cfg.MaxAttempts < 0 {
		report("MaxAttempts must not be negative")
	}
	if cfg.MinSnooze < 0 || cfg.MaxSnooze < 0 {
		report("MinSnooze and MaxSnooze must not be negative")
	}
	if cfg.Linger > maxLinger {
		report("Linger must be at most %v", maxLinger)
	}
	filled := *cfg
	filled.fillIn()
	if filled.MaxSnooze < filled.MinSnooze {
		report("MaxSnooze must not be less than MinSnooze")
	}
	return problems
}

// fillIn replaces zero values with their defaults.
func (cfg *Config) fillIn() {
	if cfg.MaxAge == 0 {
		cfg.MaxAge = DefaultMaxAge
	}
	if cfg.MaxAttempts == 0 {
		cfg.MaxAttempts = defaultMaxAttempts
	}
	if cfg.MinSnooze == 0 {
		cfg.MinSnooze = defaultMinSnooze
	}
	if cfg.MaxSnooze == 0 {
		cfg.MaxSnooze = max(defaultMaxSnooze, cfg.MinSnooze)
	}
	if cfg.Linger == 0 {
		cfg.Linger = defaultLinger
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
}

// checked returns cfg with its defaults. The error joins all problems.
func (cfg Config) checked() (Config, error) {
	if err := errors.Join(cfg.problems()...); err != nil {
		return Config{}, err
	}
	cfg.fillIn()
	return cfg, nil
}
