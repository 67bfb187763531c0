package asynqoutbox

import (
	"fmt"
	"strings"
	"time"

	"github.com/clickid/clickid/internal/redisclient"
	"github.com/clickid/clickid/outbox"
	"github.com/redis/go-redis/v9"
)

// Config configures an [Outbox]. Delivery.Destination and Redis are required; the
// zero value of every other field is its default. Later changes have no
// effect.
type Config struct {
	// Delivery says how an event is delivered. Its Destination is required.
	Delivery outbox.Config
	// Redis is the connection that enqueues and works. The outbox does not
	// close it, and it must not be closed before Stop has returned, since asynq
	// panics then. A single node, Sentinel or Cluster, with ContextTimeoutEnabled
	// in its options, so that a server that hangs cannot hold up a checkout for
	// longer than EnqueueTimeout. Required.
	Redis redis.UniversalClient
	// Queue is the name of the asynq queue, in lower case letters, digits, "_"
	// and "-". Dead letters are kept in a queue of that name with "-dead"
	// behind it. Several shops on one Redis need different names. Defaults to
	// "clickid".
	Queue string
	// EnqueueTimeout bounds the storing of the events of one Send. Defaults to
	// 500 milliseconds.
	EnqueueTimeout time.Duration
	// Workers is how many events are being delivered at once. The requests of
	// LogEvent carry as many events as there are workers waiting. Defaults to
	// 500.
	Workers int
	// DeduplicationWindow is how long a delivered event is remembered, so that the same one
	// is not sent again. Its payload is not kept, but about 700 bytes of Redis'
	// memory are. Defaults to [outbox.DefaultDeduplicationWindow].
	DeduplicationWindow time.Duration
	// PollInterval is how long a worker may overlook a new event in an idle
	// queue, and how exactly waits are kept. Defaults to 500 milliseconds.
	PollInterval time.Duration
	// AcceptLoss takes a Redis server that would lose events: without
	// append-only persistence a restart loses what it acknowledged, and with a
	// maxmemory policy other than noeviction a full memory does. By default
	// Start refuses such a server.
	AcceptLoss bool
}

// Defaults and bounds of [Config].
const (
	DefaultQueue          = "clickid"
	DefaultEnqueueTimeout = 500 * time.Millisecond
	DefaultWorkers        = 500
	DefaultPollInterval   = 500 * time.Millisecond

	maxQueueName = 64
	maxWorkers   = 10_000
)

func (cfg *Config) fillIn() {
	if cfg.Queue == "" {
		cfg.Queue = DefaultQueue
	}
	if cfg.EnqueueTimeout == 0 {
		cfg.EnqueueTimeout = DefaultEnqueueTimeout
	}
	if cfg.Workers == 0 {
		cfg.Workers = DefaultWorkers
	}
	if cfg.DeduplicationWindow == 0 {
		cfg.DeduplicationWindow = outbox.DefaultDeduplicationWindow
	}
	if cfg.PollInterval == 0 {
		cfg.PollInterval = DefaultPollInterval
	}
}

// problems returns everything that is wrong with cfg, apart from Delivery.
func (cfg *Config) problems() []error {
	var problems []error
	report := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("asynqoutbox: "+format, args...))
	}
	if err := redisclient.Check(cfg.Redis); err != nil {
		report("Redis %w", err)
	}
	if len(cfg.Queue) > maxQueueName || strings.Trim(cfg.Queue, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
		report("Queue must be 1 to %d characters of [a-z0-9_-]", maxQueueName)
	}
	if cfg.EnqueueTimeout < 0 {
		report("EnqueueTimeout must not be negative")
	}
	if cfg.Workers < 0 || cfg.Workers > maxWorkers {
		report("Workers must be from 1 to %d", maxWorkers)
	}
	if cfg.DeduplicationWindow < 0 || cfg.DeduplicationWindow > 0 && cfg.DeduplicationWindow < time.Second {
		report("DeduplicationWindow must be at least a second")
	}
	if cfg.PollInterval < 0 {
		report("PollInterval must not be negative")
	}
	return problems
}
