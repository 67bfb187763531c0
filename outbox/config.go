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

// Config says how events are delivered. It is the part that the
// configurations of all queues share. Destination is required; the zero value
// of every other field is its default.
type Config struct {
	// Destination is where the events go, usually a capi.Client. Required.
	Destination Destination
	// MaxAge is how old an event may get in the queue, counted from when it was
	// queued or replayed, before it becomes a dead letter: no platform
	// attributes it any more. Defaults to [DefaultMaxAge].
	MaxAge time.Duration
	// MaxAttempts is after how many failed deliveries an event becomes a dead
	// letter. Only failures of the application's own code count, such as a panic.
	// Defaults to 10.
	MaxAttempts int
	// MinSnooze and MaxSnooze bound the waits of our own choosing, which grow
	// from one to the other. What the platform asks to wait (Retry-After) is
	// honoured beyond them, up to an hour. An unavailable platform is probed at least every
	// 20 seconds all the same, so that a backlog leaves soon after its return.
	// Default to 1 second and 5 minutes.
	MinSnooze, MaxSnooze time.Duration
	// Linger is the longest that an event waits for others to share its
	// request. It does not wait when no request is under way and the latest one
	// is longer ago than that. Negative sends every event in a request of its
	// own. Defaults to 30 milliseconds, at most
	// 5 seconds.
	Linger time.Duration
	// Consent returns the present consent of the user of an event, and
	// is asked at each delivery, concurrently. Only an event for which it
	// returns [clickid.ConsentGranted] is sent; the others are done with, and
	// not sent. While it fails, the events wait. It must return within five
	// seconds. Defaults to none: what was known when the event was queued
	// counts.
	Consent func(ctx context.Context, e clickid.Event) (clickid.Consent, error)
	// Metadata returns what travels with an event through the queue, such as the
	// trace context of ctx, the context of Send. [MetadataFromContext] returns it
	// at delivery. It must hold no personal data. Defaults to none.
	Metadata func(ctx context.Context) map[string]string
	// ForgetSkips keeps nothing of a skipped event. By default its ID, type,
	// reason and time are kept for the deduplication window, so that an operator
	// finds out why an order was not sent. Defaults to false.
	ForgetSkips bool
	// HideEventIDs leaves the events' IDs out of logs, observations and what is
	// kept of skipped events. Defaults to false.
	HideEventIDs bool
	// RecheckClick resolves the token of an event again at delivery, although
	// its click is known, so that a click which was deleted meanwhile is not
	// sent. Only events that [clickid.Convert] filled in from a visitor's
	// request carry both. A click that has expired meanwhile still counts: it
	// was valid when the event happened. Defaults to false.
	RecheckClick bool
	// Logger receives alerts (Error: a refused configuration, a dead letter),
	// outages and their end (Warn, Info), and every delivery (Debug). Defaults
	// to slog.Default(); slog.New(slog.DiscardHandler) switches logging off.
	Logger *slog.Logger
	// Hook is called with everything that is logged, concurrently, and must
	// not block. Defaults to none.
	Hook func(context.Context, Observation)
}

// Defaults and bounds of [Config].
const (
	defaultMaxAttempts = 10
	defaultMinSnooze   = time.Second
	defaultMaxSnooze   = 5 * time.Minute
	defaultLinger      = 30 * time.Millisecond
	maxLinger          = 5 * time.Second
)

// checkDestination refuses a missing destination, a nil pointer included.
func checkDestination(d Destination) error {
	if nilcheck.IsNil(d) || d.Name() == "" {
		return errors.New("outbox: Destination is required, such as the client of capi.New, and must have a Name")
	}
	return nil
}

// problems returns everything that is wrong with cfg.
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

// fillIn replaces zero values by their defaults.
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

// checked returns cfg with its defaults, or every problem at once.
func (cfg Config) checked() (Config, error) {
	if err := errors.Join(cfg.problems()...); err != nil {
		return Config{}, err
	}
	cfg.fillIn()
	return cfg, nil
}
