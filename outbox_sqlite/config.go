package sqliteoutbox

import (
	"log/slog"
	"time"

	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
)

// Config configures an [Outbox]. Delivery.Destination is required; the zero value
// of every other field is its default. Later changes have no effect.
type Config struct {
	// Delivery configures the delivery of events. Its Destination is required.
	Delivery outbox.Config
	// Workers is the number of events that are delivered at once. A LogEvent
	// request has at most as many events as there are waiting workers. Their
	// outcomes are written in one transaction, for which other writers wait.
	// Defaults to 500 in a file that [Open] opened, and to 200 in the
	// application's database.
	Workers int
	// DeduplicationWindow is how long the identity of a delivered event is
	// kept, so that an event of the same identity is not sent again. Defaults
	// to [outbox.DefaultDeduplicationWindow].
	DeduplicationWindow time.Duration
	// KeepDeadLetters is how long dead letters are kept. By default they are
	// kept until they are replayed or discarded.
	KeepDeadLetters time.Duration
}

// The default numbers of workers. SQLite allows one writer, and in the
// application's database orders wait for it.
const (
	ownWorkers    = 500
	sharedWorkers = 200
)

// river returns the configuration for package riveroutbox.
func (cfg *Config) river() riveroutbox.Config {
	delivery := cfg.Delivery
	if delivery.Logger == nil {
		delivery.Logger = slog.Default()
	}
	delivery.Logger = slog.New(logHandler{delivery.Logger.Handler()})
	return riveroutbox.Config{
		Delivery:            delivery,
		Workers:             cfg.Workers,
		DeduplicationWindow: cfg.DeduplicationWindow,
		KeepDeadLetters:     cfg.KeepDeadLetters,
	}
}
