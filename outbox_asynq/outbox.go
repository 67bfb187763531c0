// Package asynqoutbox implements an outbox on asynq and Redis.
//
// An event is stored in Redis under its identity, the ID of the asynq task, so
// that it is stored once. Redis does not share a transaction with the order's
// database: a crash between the order's commit and [Outbox.Send] loses the
// conversion. Therefore a shop with a SQL database writes to the outbox table
// of package outbox in the order's transaction, and the table's relay feeds
// this outbox, which is an [outbox.Queue].
//
// Redis may lose acknowledged events, depending on its persistence settings.
// Start refuses such a server unless [Config].AcceptLoss is set.
package asynqoutbox

import (
	"context"
	"errors"
	"fmt"
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
	client    *asynq.Client
	inspector *asynq.Inspector
	logger    *slog.Logger
	live      redisQueue
	dead      redisQueue // without workers, since asynq's archive drops tasks beyond 10,000 or older than 90 days

	mu     sync.Mutex
	worker *worker // nil before Start
}

var _ outbox.Queue = (*Outbox)(nil)

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
		client:    asynq.NewClientFromRedisClient(cfg.Redis),
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

// enqueuers is the number of records that a call stores concurrently. asynq
// accepts one record per command, so a single connection would wait for a round
// trip, and for the server's disk, for every record.
const enqueuers = 32

// Enqueue implements [outbox.Enqueuer]. It has no deadline other than that of
// ctx.
func (o *Outbox) Enqueue(ctx context.Context, records []outbox.Record) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("asynqoutbox: queueing in Redis: %w", err)
	}
	if err := o.storeRecords(ctx, records); err != nil {
		return err
	}
	jobs := make(chan outbox.Record, len(records))
	for _, r := range records {
		jobs <- r
	}
	close(jobs)
	workers := min(enqueuers, len(records))
	failures := make(chan error, workers)
	for range workers {
		go func() {
			var failure error
			for r := range jobs {
				if failure == nil {
					failure = o.enqueue(ctx, r)
				}
			}
			failures <- failure
		}()
	}
	var failure error
	for range workers {
		if err := <-failures; failure == nil {
			failure = err
		}
	}
	if failure != nil {
		return fmt.Errorf("asynqoutbox: storing an event: %w", failure)
	}
	return nil
}

const (
	eventTask = "clickid:event"
	deadTask  = "clickid:dead"

	// endlessRetries disables asynq's limit. The delivery decides when an event
	// is dead.
	endlessRetries = 1 << 30
	// taskTimeout is longer than every delivery.
	taskTimeout = outbox.MaxDuration + 10*time.Second
)

func (o *Outbox) enqueue(ctx context.Context, r outbox.Record) error {
	_, err := o.client.EnqueueContext(ctx, asynq.NewTask(eventTask, nil),
		asynq.TaskID(r.Identity), asynq.Queue(o.live.name), asynq.Retention(o.cfg.DeduplicationWindow),
		asynq.MaxRetry(endlessRetries), asynq.Timeout(taskTimeout))
	if !errors.Is(err, asynq.ErrTaskIDConflict) {
		return err
	}
	// The identity is known. If the event was delivered or is dead, no other
	// step deletes the record that was just stored.
	task, err := o.inspector.GetTaskInfo(o.live.name, r.Identity)
	switch {
	case isAbsent(err):
		return nil
	case err != nil:
		return err
	case task.State == asynq.TaskStateCompleted, task.State == asynq.TaskStateArchived:
		return o.cfg.Redis.Del(ctx, o.live.record(r.Identity)).Err()
	}
	return nil
}

// Stats implements [outbox.Outbox]. Oldest considers only the thousand events
// that are due next among those that wait for another delivery.
func (o *Outbox) Stats(ctx context.Context) (outbox.Stats, error) {
	live, err := o.sizes(ctx, o.live)
	if err != nil {
		return outbox.Stats{}, err
	}
	dead, err := o.sizes(ctx, o.dead)
	if err != nil {
		return outbox.Stats{}, err
	}
	oldest, err := o.oldest(ctx)
	if err != nil {
		return outbox.Stats{}, err
	}
	stats := outbox.Stats{Queued: live.waiting, Delivered: live.completed, DeadLetters: dead.waiting}
	if !oldest.IsZero() {
		stats.Oldest = max(time.Since(oldest), 0)
	}
	return stats, nil
}

// isAbsent reports whether the inspector found no task.
func isAbsent(err error) bool {
	return errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound)
}
