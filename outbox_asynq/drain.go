package asynqoutbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clickid/clickid/internal/sleep"
	"github.com/clickid/clickid/outbox"
)

// Drain implements [outbox.Drainer]. It runs an asynq server until no event is
// due, and returns an error if the queue is paused in asynq.
func (o *Outbox) Drain(ctx context.Context) (outbox.Drained, error) {
	if err := o.checkDurability(ctx); err != nil {
		return outbox.Drained{}, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.worker != nil {
		return outbox.Drained{}, outbox.ErrStarted
	}
	s, err := o.sizes(ctx)
	if err != nil {
		return outbox.Drained{}, err
	}
	if s.delivered > 0 {
		o.delivery.Remember()
	}
	if o.paused(ctx) {
		return outbox.Drained{Remaining: s.waiting}, errPaused
	}
	_, repairErr := o.repair(ctx)
	_, orphanErr := o.repairOrphans(ctx)
	if err := errors.Join(repairErr, orphanErr); err != nil {
		return outbox.Drained{}, err
	}
	working, settled := outbox.Draining(context.WithoutCancel(ctx))
	w, err := o.work(working)
	if err != nil {
		return outbox.Drained{}, err
	}
	err = o.awaitDelivered(ctx, w)
	err = errors.Join(err, w.shutdown(ctx, func() {}))
	countCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	left, countErr := o.sizes(countCtx)
	return outbox.Drained{Settled: settled(), Remaining: left.waiting}, errors.Join(err, countErr)
}

var errPaused = errors.New("asynqoutbox: the queue is paused in asynq; resume it with asynq's command or asynqmon")

// paused reports whether an operator has paused the queue in asynq.
func (o *Outbox) paused(ctx context.Context) bool {
	n, err := o.cfg.Redis.Exists(ctx, o.live.paused()).Result()
	return err == nil && n > 0
}

// awaitDelivered waits until no event is due and the worker delivers none. It
// looks twice, since a task is neither pending nor running for a moment.
func (o *Outbox) awaitDelivered(ctx context.Context, w *worker) error {
	for idle := 0; idle < 2; {
		due, err := o.due(ctx)
		if err != nil {
			return err
		}
		if idle++; due > 0 || w.isBusy() {
			idle = 0
		}
		if err := sleep.For(ctx, conflictPause); err != nil {
			return fmt.Errorf("asynqoutbox: draining: %w", err)
		}
	}
	return nil
}

// due counts the tasks whose time has come.
func (o *Outbox) due(ctx context.Context) (int64, error) {
	now := fmt.Sprint(time.Now().Unix())
	pipe := o.cfg.Redis.Pipeline()
	pending := pipe.LLen(ctx, o.live.pending())
	scheduled := pipe.ZCount(ctx, o.live.asynq("scheduled"), "-inf", now)
	retry := pipe.ZCount(ctx, o.live.asynq("retry"), "-inf", now)
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, fmt.Errorf("asynqoutbox: counting the events that are due: %w", err)
	}
	return pending.Val() + scheduled.Val() + retry.Val(), nil
}

// isBusy reports whether the worker delivers an event.
func (w *worker) isBusy() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running > 0
}
