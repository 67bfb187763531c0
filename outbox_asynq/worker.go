package asynqoutbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/clickid/clickid/outbox"
	"github.com/hibiken/asynq"
)

// worker is the delivery from Start to Stop.
type worker struct {
	server    *asynq.Server
	base      context.Context    // of the deliveries
	interrupt context.CancelFunc // ends every delivery at once
	done      chan struct{}      // closed when all deliveries have ended

	mu      sync.Mutex
	running int
	stopped bool
	idle    chan struct{} // closed when stopped and idle
}

// Start implements [outbox.Outbox]. It refuses a Redis server that may lose
// acknowledged events; see [Config].AcceptLoss. An outbox cannot be started
// again after Stop.
func (o *Outbox) Start(ctx context.Context) error {
	if err := o.delivery.CheckStart(); err != nil {
		return err
	}
	if err := o.checkDurability(ctx); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.worker != nil {
		return errStarted
	}
	if s, err := o.sizes(ctx); err != nil {
		return err
	} else if s.delivered > 0 {
		o.delivery.Remember()
	}
	if o.paused(ctx) {
		o.logger.LogAttrs(ctx, slog.LevelWarn, "asynqoutbox: the queue is paused in asynq; its events wait until it is resumed", slog.String("queue", o.live.name))
	}
	w, err := o.work(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	o.worker = w
	go o.repairRegularly(w.base)
	go func() {
		select {
		case <-ctx.Done():
			_, _ = o.Stop(context.WithoutCancel(ctx))
		case <-w.done:
		}
	}()
	return nil
}

// work starts an asynq server. Its deliveries have a context that is derived from
// ctx.
func (o *Outbox) work(ctx context.Context) (*worker, error) {
	base, interrupt := context.WithCancel(ctx)
	w := &worker{base: base, interrupt: interrupt, done: make(chan struct{}), idle: make(chan struct{})}
	w.server = asynq.NewServerFromRedisClient(o.cfg.Redis, asynq.Config{
		Concurrency:              o.cfg.Workers,
		BaseContext:              func() context.Context { return base },
		Queues:                   map[string]int{o.live.name: 1},
		TaskCheckInterval:        o.cfg.PollInterval,
		DelayedTaskCheckInterval: o.cfg.PollInterval,
		RetryDelayFunc:           wait,
		IsFailure:                usesAttempt,
		Logger:                   asynqLogger{o.logger},
		LogLevel:                 asynq.WarnLevel,
	})
	err := w.server.Start(asynq.HandlerFunc(func(ctx context.Context, _ *asynq.Task) error {
		if !w.begin() {
			return errStopping
		}
		defer w.end()
		return o.deliver(ctx)
	}))
	if err != nil {
		interrupt()
		return nil, fmt.Errorf("asynqoutbox: starting asynq: %w", err)
	}
	return w, nil
}

var errStarted = errors.New("asynqoutbox: the outbox has been started already")

// begin counts a delivery, unless the worker is stopping.
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

// stop prevents further deliveries. It reports whether this is the first call.
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

// settleTime is the time that Stop waits for the outcomes to be written after
// the deliveries have ended. Outcomes that are not written by then are found by
// their expired lease.
const settleTime = 2 * time.Second

// Stop implements [outbox.Outbox]. Interrupted events are due at once and have
// used no attempt.
func (o *Outbox) Stop(ctx context.Context) (remaining int, err error) {
	o.mu.Lock()
	w := o.worker
	o.mu.Unlock()
	var interrupted error
	if w != nil {
		o.delivery.Interrupt()
		interrupted = w.shutdown(ctx, func() { _ = o.delivery.Close(context.WithoutCancel(ctx)) })
	}
	countCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	s, err := o.sizes(countCtx)
	return s.waiting, errors.Join(interrupted, err)
}

// shutdown waits for the deliveries until ctx ends, and then interrupts them. It
// calls after once when the server has ended.
func (w *worker) shutdown(ctx context.Context, after func()) (interrupted error) {
	if w.stop() {
		go func() {
			defer close(w.done)
			w.server.Stop() // accepts no further task
			<-w.idle
			w.server.Shutdown() // waits until the outcomes are written
			w.interrupt()
			after()
		}()
	}
	select {
	case <-w.idle:
	case <-ctx.Done():
		interrupted = fmt.Errorf("asynqoutbox: stopping: deliveries were interrupted: %w", ctx.Err())
		w.interrupt()
	}
	timer := time.NewTimer(settleTime)
	defer timer.Stop()
	select {
	case <-w.done:
	case <-timer.C:
	}
	return interrupted
}

// deliver is the handler of one task. When it returns nil, asynq removes the
// task.
func (o *Outbox) deliver(ctx context.Context) error {
	identity, _ := asynq.GetTaskID(ctx)
	l, err := o.loadRecord(ctx, identity)
	if err != nil {
		return &postponement{wait: time.Second, reason: "reading the event failed"}
	}
	last := context.WithoutCancel(ctx) // for what must be stored in any case
	if !l.found {
		switch l.mark {
		case "":
			return o.keepLost(last, identity)
		case markFree:
			return o.deleteLeft(last, identity)
		}
		return nil // delivered or dead before a crash
	}
	failed, _ := asynq.GetRetryCount(ctx)
	outcome := o.delivery.Deliver(ctx, l.record, failed+1)
	switch outcome.Action {
	case outbox.ActionDone:
		var existed bool
		existed, err = o.settle(last, l.record, deliveredMark(l.record, outcome), o.cfg.DeduplicationWindow)
		if err == nil && !existed {
			// Another worker has had the event after the end of this one's lease.
			err = o.deleteLetter(last, letterID(l.record), newest)
			if isAbsent(err) {
				err = nil
			}
		}
	case outbox.ActionSkip:
		if err = o.skip(last, outcome.Skip); err == nil {
			_, err = o.settleOwn(last, l.record, markFree, freeLifetime)
		}
	case outbox.ActionDeadLetter:
		if outcome.Progress != nil {
			l.record.Progress = *outcome.Progress
		}
		return o.keepDead(last, l.record, outcome.Failure, failed+1)
	default:
		// Progress that cannot be stored is only missing in the next request's key.
		_ = o.storeProgress(last, l.record, outcome.Progress)
		return &postponement{wait: outcome.Wait, usesAttempt: outcome.Action == outbox.ActionRetry, reason: outcome.Failure.Reason}
	}
	if err != nil {
		return &postponement{wait: time.Second, reason: "Redis could not note the outcome"}
	}
	return nil
}

// postponement makes asynq deliver an event again later.
type postponement struct {
	wait        time.Duration
	usesAttempt bool
	reason      string
}

func (p *postponement) Error() string { return "asynqoutbox: postponed: " + p.reason }

// errStopping puts back an event that was taken while the outbox is stopping.
var errStopping = &postponement{reason: "the outbox is stopping"}

// wait returns the time until the next delivery of an event. It is zero after
// an expired lease or an interruption.
func wait(_ int, err error, _ *asynq.Task) time.Duration {
	if p := (*postponement)(nil); errors.As(err, &p) {
		return p.wait
	}
	return 0
}

// usesAttempt reports whether err counts as a failed attempt. A crash, an
// expired lease and an interruption do not.
func usesAttempt(err error) bool {
	p := (*postponement)(nil)
	return errors.As(err, &p) && p.usesAttempt
}
