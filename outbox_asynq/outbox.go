// Package asynqoutbox implements an outbox on asynq and Redis.
//
//	ob, err := asynqoutbox.New(asynqoutbox.Config{
//		Delivery: outbox.Config{Destination: client},
//		Redis:    redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true}),
//	})
//	err = ob.Start(ctx)
//	…
//	_, err = clickid.Convert(ctx, ob, event)
//
// An event is stored in Redis under its identity, the ID of the asynq task, so
// that it is stored once. Redis does not share a transaction with the order's
// database: a crash between the order's commit and [Outbox.Send] loses the
// conversion. Therefore a shop with a SQL database writes to the outbox table
// of package outbox in the order's transaction, and the table's relay feeds
// this outbox, which is an [outbox.Queue]. The database keeps the events until
// they have their outcome, and the relay enqueues again what Redis forgets.
//
// Redis may lose acknowledged events, depending on its persistence settings and
// replicas. Start refuses such a server unless [Config].AcceptLoss is set. With
// Config.WaitReplicas it accepts one with replicas. A lost event raises an alert,
// and becomes a dead letter if a trace of it is left.
package asynqoutbox

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
	"github.com/hibiken/asynq"
)

// Outbox is an [outbox.Queue] on Redis. It is safe for concurrent use.
type Outbox struct {
	cfg       Config
	delivery  *outbox.Delivery
	client    *asynq.Client // its Redis client is a recorder
	inspector *asynq.Inspector
	logger    *slog.Logger
	live      redisQueue
	dead      redisQueue // without workers, since asynq's archive drops tasks beyond 10,000 or older than 90 days

	mu       sync.Mutex
	worker   *worker // nil before Start
	serverID string  // the server's replication ID, or "" before the first look
}

var (
	_ outbox.Queue   = (*Outbox)(nil)
	_ outbox.Drainer = (*Outbox)(nil)
)

// New returns an outbox. Its error joins all problems of cfg. New makes no
// connection and starts nothing. Send stores events before Start as well.
func New(cfg Config) (*Outbox, error) {
	problems := cfg.problems()
	delivery, err := outbox.NewDelivery(cfg.Delivery)
	if err != nil {
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	cfg.fillIn()
	logger := cfg.Delivery.Logger
	if logger == nil {
		logger = slog.Default()
	}
	return &Outbox{
		cfg:       cfg,
		delivery:  delivery,
		client:    asynq.NewClientFromRedisClient(recorder{cfg.Redis}),
		inspector: asynq.NewInspectorFromRedisClient(cfg.Redis),
		logger:    logger,
		live:      redisQueue{name: cfg.Queue},
		dead:      redisQueue{name: cfg.Queue + "-dead"},
	}, nil
}

// Send stores the events in Redis within [Config].EnqueueTimeout. If it returns
// an error, the event may or may not be stored, and sending it again is safe.
//
// Redis shares no transaction with the order. The package's documentation
// describes how to store both atomically.
func (o *Outbox) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, o.cfg.EnqueueTimeout)
	defer cancel()
	return o.delivery.Sender(o).Send(ctx, events...)
}

// ResolvesTokens reports whether the clicks of tokens are resolved at delivery;
// see [clickid.Sender].
func (o *Outbox) ResolvesTokens() bool { return o.delivery.ResolvesTokens() }

// Delivery implements [outbox.Queue].
func (o *Outbox) Delivery() *outbox.Delivery { return o.delivery }

// Stats implements [outbox.Outbox].
func (o *Outbox) Stats(ctx context.Context) (outbox.Stats, error) {
	s, err := o.sizes(ctx)
	if err != nil {
		return outbox.Stats{}, err
	}
	oldest, err := o.oldest(ctx)
	if err != nil {
		return outbox.Stats{}, err
	}
	stats := outbox.Stats{
		Queued: s.waiting, Delivered: s.delivered, Skipped: s.skipped, DeadLetters: s.deadLetters,
		Platform: o.delivery.PlatformStats(),
	}
	if !oldest.IsZero() {
		stats.Oldest = max(time.Since(oldest), 0)
	}
	return stats, nil
}

// isAbsent reports whether the inspector found no task.
func isAbsent(err error) bool {
	return errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound)
}
