package asynqoutbox

import (
	"fmt"
	"strings"
	"time"

	"github.com/clickid/clickid/internal/redisclient"
	"github.com/clickid/clickid/outbox"
	"github.com/redis/go-redis/v9"
)

// Config configures an [Outbox]. Delivery.Destination and Redis are required.
// The zero values of the other fields are their defaults. Later changes have no
// effect.
type Config struct {
	// Delivery configures the delivery of events. Its Destination is required.
	Delivery outbox.Config
	// Redis is the client for all commands: a single node, Sentinel or Cluster.
	// Its ContextTimeoutEnabled must be set, so that a hanging server does not
	// delay a checkout by more than EnqueueTimeout. The outbox does not close
	// it. The application must not close it before Stop has returned, since
	// asynq would panic. Required.
	Redis redis.UniversalClient
	// Queue is the name of the asynq queue, in lower-case letters, digits, "_"
	// and "-". Dead letters are in a queue whose name has the suffix "-dead".
	// Several shops on one Redis need different names. Defaults to "clickid".
	Queue string
	// EnqueueTimeout limits the time in which Send stores its events. Defaults
	// to 500 milliseconds.
	EnqueueTimeout time.Duration
	// Workers is the number of events that are delivered at once. A LogEvent
	// request has at most as many events as there are waiting workers. Defaults
	// to 500.
	Workers int
	// DeduplicationWindow is how long a delivered event is remembered, so that
	// the same one is not sent again. Its payload is not kept;
	// docs/benchmarks-storage.md has the memory that it takes. Defaults to
	// [outbox.DefaultDeduplicationWindow].
	DeduplicationWindow time.Duration
	// PollInterval is the interval in which an idle instance looks for new
	// events, and the precision of waits. A look is a few commands. Defaults to 25
	// milliseconds.
	PollInterval time.Duration
	// WaitReplicas is the number of replicas that must have an event before Send
	// returns, since a failover loses events that the new primary does not have.
	// Send returns an error if fewer confirm it in time, or if another server takes
	// over before. It needs a *redis.Client or *redis.ClusterClient. Defaults to 0.
	WaitReplicas int
	// AcceptLoss accepts a Redis server that may lose events that it has
	// acknowledged: at a restart without append-only persistence, when its memory
	// is full and the maxmemory policy is not noeviction, and at a failover to a
	// replica without WaitReplicas. By default Start refuses such a server.
	AcceptLoss bool
}

// The defaults of [Config].
const (
	DefaultQueue          = "clickid"
	DefaultEnqueueTimeout = 500 * time.Millisecond
	DefaultWorkers        = 500
	DefaultPollInterval   = 25 * time.Millisecond

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

// problems returns the problems of cfg, except those of Delivery.
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
	if cfg.WaitReplicas < 0 {
		report("WaitReplicas must not be negative")
	}
	if cfg.WaitReplicas > 0 {
		switch cfg.Redis.(type) {
		case *redis.Client, *redis.ClusterClient:
		default:
			report("WaitReplicas needs a *redis.Client or *redis.ClusterClient")
		}
	}
	if cfg.PollInterval < 0 {
		report("PollInterval must not be negative")
	}
	return problems
}
