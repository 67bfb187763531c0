// Package asynqoutbox delivers conversions durably with asynq on Redis.
//
// An event is stored in Redis under its identity, which is asynq's task ID, so
// that the same one is never stored twice. Redis knows no transaction with the
// order's database: between the order's commit and [Outbox.Send] a crash loses
// the conversion. A shop with any SQL database therefore writes to the outbox
// table of package outbox in the order's transaction, and lets its relay feed
// this outbox, which is an [outbox.Queue].
//
// What Redis itself keeps depends on its persistence. Start refuses a server
// that would lose acknowledged events, unless [Config].AcceptLoss says
// otherwise.
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

// taskType is the type of our tasks in asynq.
const taskType = "clickid:event"

// Outbox is an [outbox.Outbox] and an [outbox.Queue] on Redis. It is safe for
// concurrent use.
type Outbox struct {
	cfg       Config
	delivery  *outbox.Delivery
	client    *asynq.Client
	inspector *asynq.Inspector
	logger    *slog.Logger

	mu     sync.Mutex
	worker *worker // nil before Start
}

var (
	_ outbox.Outbox = (*Outbox)(nil)
	_ outbox.Queue  = (*Outbox)(nil)
)

// New checks the whole configuration and returns an outbox, or every problem
// at once. It makes no connection and starts nothing: Send stores events
// before Start as well.
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
	}, nil
}

// deadQueue is where dead letters are kept. No server works it: asynq's own
// archive drops what is over 10,000 tasks or older than 90 days.
func (o *Outbox) deadQueue() string { return o.cfg.Queue + "-dead" }

// Send stores the events in Redis within [Config].EnqueueTimeout. When it
// fails, an event may be stored or not; sending it again is safe.
//
// Redis shares no transaction with the order: see the package's comment for
// the way that loses nothing between the two.
func (o *Outbox) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	report, records := o.delivery.Admit(events...)
	if len(records) == 0 {
		return report, report.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, o.cfg.EnqueueTimeout)
	defer cancel()
	if err := o.Enqueue(ctx, records); err != nil {
		for i := range report.Results {
			if report.Results[i].Verdict == clickid.Queued {
				report.Results[i].Verdict, report.Results[i].Err = clickid.Failed, err
			}
		}
	}
	return report, report.Err()
}

// enqueuers is how many records of one call are stored at once: asynq takes
// them one by one, so the round trips run side by side.
const enqueuers = 8

// Enqueue implements [outbox.Queue]. Its only deadline is that of ctx.
func (o *Outbox) Enqueue(ctx context.Context, records []outbox.Record) error {
	// The keys come first: an event that cannot be found by its keys must not
	// exist.
	if err := o.fileKeys(ctx, records); err != nil {
		return fmt.Errorf("clickid: Redis could not take the keys of the events: %w", err)
	}
	jobs := make(chan outbox.Record, len(records))
	for _, r := range records {
		jobs <- r
	}
	close(jobs)
	failures := make(chan error, enqueuers)
	for range min(enqueuers, len(records)) {
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
	for range min(enqueuers, len(records)) {
		if err := <-failures; failure == nil {
			failure = err
		}
	}
	if failure != nil {
		return fmt.Errorf("clickid: Redis could not take the event: %w", failure)
	}
	return nil
}

func (o *Outbox) enqueue(ctx context.Context, r outbox.Record) error {
	payload, err := encodeRecord(r)
	if err != nil {
		return err
	}
	_, err = o.client.EnqueueContext(ctx, asynq.NewTask(taskType, payload),
		asynq.TaskID(r.Identity), asynq.Queue(o.cfg.Queue), asynq.Retention(o.cfg.Window),
		asynq.MaxRetry(endlessRetries), asynq.Timeout(taskTimeout))
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil // known, and not sent again
	}
	return err
}

const (
	// endlessRetries leaves it to the delivery when an event is dead.
	endlessRetries = 1 << 30
	// taskTimeout is well beyond the requests of one batch.
	taskTimeout = 10 * time.Minute
)

// Stats implements [outbox.Outbox]. Oldest is exact for events that wait for
// their first delivery, and for those that wait for another it looks at the
// thousand that are due next.
func (o *Outbox) Stats(ctx context.Context) (outbox.Stats, error) {
	live, err := o.sizes(ctx, o.cfg.Queue)
	if err != nil {
		return outbox.Stats{}, err
	}
	dead, err := o.sizes(ctx, o.deadQueue())
	if err != nil {
		return outbox.Stats{}, err
	}
	oldest, err := o.oldest(ctx)
	if err != nil {
		return outbox.Stats{}, err
	}
	stats := outbox.Stats{Queued: live.waiting, Delivered: live.completed, Dead: dead.waiting}
	if !oldest.IsZero() {
		stats.Oldest = max(time.Since(oldest), 0)
	}
	return stats, nil
}

// oldest returns when the oldest waiting event was queued, or the zero time.
func (o *Outbox) oldest(ctx context.Context) (time.Time, error) {
	var oldest time.Time
	for _, list := range []func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		o.inspector.ListPendingTasks, o.inspector.ListRetryTasks, o.inspector.ListActiveTasks,
	} {
		if err := ctx.Err(); err != nil {
			return oldest, fmt.Errorf("clickid: measuring the queue: %w", err)
		}
		tasks, err := list(o.cfg.Queue, asynq.PageSize(listPage))
		if errors.Is(err, asynq.ErrQueueNotFound) {
			return oldest, nil // before the first event
		}
		if err != nil {
			return oldest, fmt.Errorf("clickid: Redis could not list the queue: %w", err)
		}
		for _, task := range tasks {
			if r, err := decodeRecord(task.Payload); err == nil && (oldest.IsZero() || r.QueuedAt.Before(oldest)) {
				oldest = r.QueuedAt
			}
		}
	}
	return oldest, nil
}
