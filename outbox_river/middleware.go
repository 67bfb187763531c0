package riveroutbox

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/clickid/clickid/outbox"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// guard is the outermost middleware if the application has hooks or middleware.
// They are code around a delivery that River takes at its word: a nil from a
// middleware that has not called the worker would complete the job, and an error
// after a delivery would send the event again. With the guard, the outcome of the
// worker stands, and a delivery that did not begin is repeated.
type guard struct {
	river.MiddlewareDefaults
	delivery *outbox.Delivery
	alerted  atomic.Int64 // time of the last KindMiddlewareFailing
}

const (
	alertInterval = 10 * time.Minute // between two observations of failing middleware
	maxWait       = 5 * time.Minute  // of an event whose delivery did not begin
)

// work is the outcome of the worker in the context of a guard.
type work struct {
	done bool
	err  error
}

type workKey struct{}

// settleWork notes the outcome of the worker for the guard, if there is one.
func settleWork(ctx context.Context, err error) error {
	if w, ok := ctx.Value(workKey{}).(*work); ok {
		w.done, w.err = true, err
	}
	return err
}

// Work implements rivertype.WorkerMiddleware.
func (g *guard) Work(ctx context.Context, job *rivertype.JobRow, doInner func(context.Context) error) error {
	var w work
	err := protected(ctx, g.delivery, func() error { return doInner(context.WithValue(ctx, workKey{}, &w)) })
	switch {
	case w.done && (err == nil || errors.Is(err, w.err)):
		return w.err
	case w.done:
		g.alert(ctx, "a hook or middleware of River failed after the delivery, whose outcome stands", err)
		return w.err
	case ctx.Err() == context.Canceled:
		return ctx.Err() // Stop interrupted the job
	case err == nil:
		g.alert(ctx, "a middleware of River did not call doInner: events wait and are not delivered", nil)
	default:
		g.alert(ctx, "a hook or middleware of River failed before the delivery: events wait and are not delivered", err)
	}
	return river.JobSnooze(min(max(time.Since(job.CreatedAt), time.Second), maxWait))
}

// alert reports failing middleware, at most once in ten minutes.
func (g *guard) alert(ctx context.Context, reason string, err error) {
	now := time.Now().UnixNano()
	if last := g.alerted.Load(); now-last >= int64(alertInterval) && g.alerted.CompareAndSwap(last, now) {
		g.delivery.Observe(ctx, outbox.Observation{Kind: outbox.KindMiddlewareFailing, Reason: reason, Err: err})
	}
}

// protected calls f and converts a panic into an error, without its value, which
// may be personal.
func protected(ctx context.Context, d *outbox.Delivery, f func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			d.Logger().ErrorContext(ctx, "riveroutbox: a hook or middleware of River panicked", "stack", string(debug.Stack()))
			err = fmt.Errorf("a hook or middleware of River panicked with a value of type %T", value)
		}
	}()
	return f()
}

// insertMany inserts jobs through the application's hooks and middleware. It
// returns an error unless each job has a result.
func (o *Outbox[TTx]) insertMany(ctx context.Context, tx TTx, jobs []river.InsertManyParams) (results []*rivertype.JobInsertResult, err error) {
	err = protected(ctx, o.delivery, func() (err error) {
		results, err = o.client.InsertManyTx(ctx, tx, jobs)
		return err
	})
	if err == nil && len(results) != len(jobs) {
		err = fmt.Errorf("a middleware of River returned %d results for %d jobs: call doInner and return its results", len(results), len(jobs))
	}
	return results, err
}
