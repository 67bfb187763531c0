package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/clickid/clickid"
)

// Config says how events are delivered. It is the part that the
// configurations of all engines share. Client is required; the zero value of
// every other field is its default.
type Config struct {
	// Client is where the events go. Its Resolver resolves tokens at delivery;
	// its retries are not used, since the engine has its own. Required.
	Client *clickid.Client
	// Horizon is how long an event may wait for its delivery, counted from
	// when it was queued or replayed. After it the event becomes a dead
	// letter: longer ago, no platform attributes it. Defaults to
	// [DefaultHorizon].
	Horizon time.Duration
	// MaxAttempts is after how many failed deliveries an event becomes a dead
	// letter. Only failures that are neither an outage nor a refusal count.
	// Defaults to 10.
	MaxAttempts int
	// MinSnooze and MaxSnooze bound the waits of our own choosing, which grow
	// from one to the other. What the platform asks to wait (Retry-After) is
	// honoured beyond them. A platform that is away is probed at least every
	// 20 seconds all the same, so that a backlog leaves soon after its return.
	// Default to 1 second and 5 minutes.
	MinSnooze, MaxSnooze time.Duration
	// Linger is how long an event waits for others to share its request.
	// Defaults to 30 milliseconds.
	Linger time.Duration
	// Consent returns the present consent of the person behind an event, and
	// is asked at each delivery, concurrently. Only an event for which it
	// returns [clickid.ConsentGranted] is sent; the others are done with, and
	// not sent. While it fails, the events wait. It must return within five
	// seconds. Defaults to none: what was known when the event was queued
	// counts.
	Consent func(ctx context.Context, e clickid.Event) (clickid.Consent, error)
	// RecheckClick resolves the token of an event again at delivery, although
	// its click is known, so that a click which was deleted meanwhile is not
	// sent. Only events that [clickid.Convert] filled in from a visitor's
	// request carry both. A click that has expired meanwhile still counts: it
	// was valid when the event happened. Defaults to false.
	RecheckClick bool
	// Logger receives alarms (Error: a refused configuration, a dead letter),
	// outages and their end (Warn, Info), and every delivery (Debug). Defaults
	// to no logging.
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

// problems returns everything that is wrong with cfg.
func (cfg *Config) problems() []error {
	var problems []error
	report := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("clickid: "+format, args...))
	}
	if cfg.Client == nil {
		report("an outbox needs a Client")
	}
	if cfg.Horizon < 0 {
		report("Horizon must not be negative")
	}
	if cfg.MaxAttempts < 0 {
		report("MaxAttempts must not be negative")
	}
	if cfg.MinSnooze < 0 || cfg.MaxSnooze < 0 {
		report("MinSnooze and MaxSnooze must not be negative")
	}
	if cfg.Linger < 0 || cfg.Linger > maxLinger {
		report("Linger must be from 0 to %v", maxLinger)
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
	if cfg.Horizon == 0 {
		cfg.Horizon = DefaultHorizon
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
		cfg.Logger = slog.New(discard{})
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

// discard is a logger's handler that takes nothing.
type discard struct{}

func (discard) Enabled(context.Context, slog.Level) bool  { return false }
func (discard) Handle(context.Context, slog.Record) error { return nil }
func (d discard) WithAttrs([]slog.Attr) slog.Handler      { return d }
func (d discard) WithGroup(string) slog.Handler           { return d }
