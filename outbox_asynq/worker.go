package asynqoutbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/clickid/clickid/outbox"
	"github.com/hibiken/asynq"
)

// worker is one run of the delivery, from Start to Stop.
type worker struct {
	server    *asynq.Server
	interrupt context.CancelFunc // makes every delivery end at once
	done      chan struct{}      // closed when everything has ended

	mu      sync.Mutex
	running int
	idle    chan struct{} // closed when stopping and nothing runs any more
	stopped bool
}

// Start implements [outbox.Outbox]. It asks Redis whether it keeps what it
// acknowledges, and refuses a server that does not; see [Config].AcceptLoss.
// An outbox is started once.
func (o *Outbox) Start(ctx context.Context) error {
	if err := o.checkDurability(ctx); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.worker != nil {
		return errRunning
	}
	base, interrupt := context.WithCancel(context.WithoutCancel(ctx))
	w := &worker{interrupt: interrupt, done: make(chan struct{}), idle: make(chan struct{})}
	w.server = asynq.NewServerFromRedisClient(o.cfg.Redis, asynq.Config{
		Concurrency:              o.cfg.Workers,
		BaseContext:              func() context.Context { return base },
		Queues:                   map[string]int{o.cfg.Queue: 1},
		TaskCheckInterval:        o.cfg.PollInterval,
		DelayedTaskCheckInterval: o.cfg.PollInterval,
		RetryDelayFunc:           retryDelay,
		IsFailure:                usesAttempt,
		Logger:                   engineLogger{o.logger},
		LogLevel:                 asynq.WarnLevel,
		// The default deletes 12 remembered events a second, fewer than a
		// large shop sells.
		JanitorInterval: time.Second,
	})
	if err := w.server.Start(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		if !w.begin() {
			return errInterrupted
		}
		defer w.end()
		return o.deliver(ctx, task)
	})); err != nil {
		interrupt()
		return fmt.Errorf("clickid: asynq could not start: %w", err)
	}
	o.worker = w
	go o.repairRegularly(base)
	go func() {
		select {
		case <-ctx.Done():
			_, _ = o.Stop(context.WithoutCancel(ctx))
		case <-w.done:
		}
	}()
	return nil
}

// begin counts a delivery in, unless the worker is stopping.
func (w *worker) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return false
	}
	w.running++
	return true
}

func (w *worker) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running--
	if w.stopped && w.running == 0 {
		close(w.idle)
	}
}

// stop lets no further delivery begin, and reports whether it is the first to
// say so.
func (w *worker) stop() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return false
	}
	w.stopped = true
	if w.running == 0 {
		close(w.idle)
	}
	return true
}

// settleTime is how long Stop lets interrupted deliveries put their events
// back once its deadline has come. What is not back by then is found again by
// its expired lease.
const settleTime = time.Second

// Stop implements [outbox.Outbox]. What was interrupted is due again at once,
// without having used an attempt.
func (o *Outbox) Stop(ctx context.Context) (remaining int, err error) {
	o.mu.Lock()
	w := o.worker
	o.mu.Unlock()
	var interrupted error
	if w != nil {
		if w.stop() {
			go o.shutDown(ctx, w)
		}
		select {
		case <-w.idle:
		case <-ctx.Done():
			interrupted = fmt.Errorf("clickid: stopping the outbox: deliveries were interrupted: %w", ctx.Err())
			w.interrupt()
		}
		// The deliveries have ended or end now; this waits for the writes that
		// put their events back.
		timer := time.NewTimer(settleTime)
		defer timer.Stop()
		select {
		case <-w.done:
		case <-timer.C:
		}
	}
	countCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	s, err := o.sizes(countCtx, o.cfg.Queue)
	return s.waiting, errors.Join(interrupted, err)
}

// shutDown ends the server when its deliveries have ended.
func (o *Outbox) shutDown(ctx context.Context, w *worker) {
	defer close(w.done)
	w.server.Stop() // takes no further task
	<-w.idle
	w.interrupt()
	w.server.Shutdown()
	_ = o.delivery.Close(context.WithoutCancel(ctx))
}

// deliver is the handler of one task.
func (o *Outbox) deliver(ctx context.Context, task *asynq.Task) error {
	record, err := decodeRecord(task.Payload())
	if err != nil {
		identity, _ := asynq.GetTaskID(ctx)
		return o.bury(ctx, outbox.Record{Identity: identity}, outbox.Failure{Reason: "the stored event is damaged"}, 1)
	}
	failed, _ := asynq.GetRetryCount(ctx)
	outcome := o.delivery.Deliver(ctx, record, failed+1)
	if outcome.Verdict == outbox.Done {
		return nil
	}
	if o.wasErased(ctx, record.Identity) {
		return asynq.RevokeTask
	}
	switch outcome.Verdict {
	case outbox.Dead:
		return o.bury(ctx, record, outcome.Failure, failed+1)
	case outbox.Retry:
		return &postponement{wait: outcome.Wait, usesAttempt: true, reason: outcome.Failure.Reason}
	default:
		return &postponement{wait: outcome.Wait, reason: outcome.Failure.Reason}
	}
}

// postponement tells asynq to deliver an event again later.
type postponement struct {
	wait        time.Duration
	usesAttempt bool
	reason      string
}

func (p *postponement) Error() string { return "clickid: postponed: " + p.reason }

// errInterrupted returns an event to the queue when the outbox is stopping.
var errInterrupted = &postponement{reason: "the outbox is stopping"}

// retryDelay returns how long the event waits. An expired lease or an
// interrupted delivery is due at once.
func retryDelay(_ int, err error, _ *asynq.Task) time.Duration {
	if p := (*postponement)(nil); errors.As(err, &p) {
		return p.wait
	}
	return 0
}

// usesAttempt reports whether err counts as a failed attempt. A crash, an
// expired lease and a shutdown do not.
func usesAttempt(err error) bool {
	p := (*postponement)(nil)
	return errors.As(err, &p) && p.usesAttempt
}
