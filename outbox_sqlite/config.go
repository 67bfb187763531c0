package sqliteoutbox

import (
	"time"

	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
)

// Config configures an [Outbox]. Delivery.Destination is required; the zero value
// of every other field is its default. Later changes have no effect.
type Config struct {
	// Delivery says how an event is delivered. Its Destination is required.
	Delivery outbox.Config
	// Workers is how many events are delivered at once. A request of LogEvent
	// carries as many events as there are workers waiting, and what they have
	// delivered is noted in one transaction, for which other writers wait.
	// Defaults to 500 in a file of the outbox's own, and to 200 in the
	// application's.
	Workers int
	// DeduplicationWindow is how long a delivered event is remembered, so that the same one
	// is not sent again. Its payload is not kept. Defaults to
	// [outbox.DefaultDeduplicationWindow].
	DeduplicationWindow time.Duration
	// KeepDeadLetters is how long dead letters are kept. Defaults to until they are
	// replayed or discarded.
	KeepDeadLetters time.Duration
}

// Default numbers of workers. SQLite has one writer, for which orders wait
// where they share its file.
const (
	ownWorkers    = 500
	sharedWorkers = 200
)

// river returns the configuration of the outbox on River.
func (cfg *Config) river() riveroutbox.Config {
	return riveroutbox.Config{
		Delivery:            cfg.Delivery,
		Workers:             cfg.Workers,
		DeduplicationWindow: cfg.DeduplicationWindow,
		KeepDeadLetters:     cfg.KeepDeadLetters,
	}
}
