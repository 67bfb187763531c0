package river_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"
)

// inner is what a middleware wraps.
type (
	insertion = func(context.Context) ([]*rivertype.JobInsertResult, error)
	delivery  = func(context.Context) error
)

// middleware is a River middleware of functions; nil ones pass the call on.
type middleware struct {
	river.MiddlewareDefaults
	insert func(ctx context.Context, inner insertion) ([]*rivertype.JobInsertResult, error)
	work   func(ctx context.Context, inner delivery) error
}

func (m *middleware) InsertMany(ctx context.Context, _ []*rivertype.JobInsertParams, inner insertion) ([]*rivertype.JobInsertResult, error) {
	if m.insert == nil {
		return inner(ctx)
	}
	return m.insert(ctx, inner)
}

func (m *middleware) Work(ctx context.Context, _ *rivertype.JobRow, inner delivery) error {
	if m.work == nil {
		return inner(ctx)
	}
	return m.work(ctx, inner)
}

// hook is a River hook of functions; nil ones do nothing.
type hook struct {
	river.HookDefaults
	insert func() error
	begin  func() error
	end    func(error) error
}

func (h *hook) InsertBegin(context.Context, *rivertype.JobInsertParams) error {
	if h.insert == nil {
		return nil
	}
	return h.insert()
}

func (h *hook) WorkBegin(context.Context, *rivertype.JobRow) error {
	if h.begin == nil {
		return nil
	}
	return h.begin()
}

func (h *hook) WorkEnd(_ context.Context, _ *rivertype.JobRow, err error) error {
	if h.end == nil {
		return err
	}
	return h.end(err)
}

// watched is an outbox whose observations are counted.
func watched(t *testing.T, platform *clickidtest.Server, pool *pgxpool.Pool, cfg riveroutbox.Config) (ob *pgxOutbox, seen func(outbox.Kind) int) {
	t.Helper()
	var mu sync.Mutex
	counts := map[outbox.Kind]int{}
	cfg.Delivery = outbox.Config{
		Destination: newClient(t, platform), Logger: slog.New(slog.DiscardHandler),
		Hook: func(_ context.Context, o outbox.Observation) {
			mu.Lock()
			defer mu.Unlock()
			counts[o.Kind]++
		},
	}
	cfg.PollInterval = 100 * time.Millisecond
	return newOutbox(t, pool, cfg), func(kind outbox.Kind) int {
		mu.Lock()
		defer mu.Unlock()
		return counts[kind]
	}
}

// TestConfig_Hooks counts jobs in a hook, and passes a value from the outer to
// the inner middleware.
func TestConfig_Hooks(t *testing.T) {
	t.Parallel()
	type outerKey struct{}
	var inserted, begun, ended, wrapped atomic.Int32
	counting := &hook{
		insert: func() error { inserted.Add(1); return nil },
		begin:  func() error { begun.Add(1); return nil },
		end:    func(err error) error { ended.Add(1); return err },
	}
	outer := &middleware{
		insert: func(ctx context.Context, inner insertion) ([]*rivertype.JobInsertResult, error) {
			return inner(context.WithValue(ctx, outerKey{}, true))
		},
		work: func(ctx context.Context, inner delivery) error {
			return inner(context.WithValue(ctx, outerKey{}, true))
		},
	}
	count := func(ctx context.Context) {
		if ctx.Value(outerKey{}) == true {
			wrapped.Add(1)
		}
	}
	innermost := &middleware{
		insert: func(ctx context.Context, inner insertion) ([]*rivertype.JobInsertResult, error) {
			count(ctx)
			return inner(ctx)
		},
		work: func(ctx context.Context, inner delivery) error { count(ctx); return inner(ctx) },
	}
	platform, pool := clickidtest.NewServer(t), sharedPool(t)
	ob, seen := watched(t, platform, pool, riveroutbox.Config{
		Hooks: []rivertype.Hook{counting}, Middleware: []rivertype.Middleware{outer, innermost},
	})
	send(t, ob, "order", 3)
	start(t, ob)
	await(t, platform, 3)
	eventually(t, "the jobs have ended", func(context.Context) (bool, error) { return ended.Load() == 3, nil })
	require.EqualValues(t, 3, inserted.Load())
	require.EqualValues(t, 3, begun.Load())
	require.EqualValues(t, 1+3, wrapped.Load(), "one insertion of three jobs, and three deliveries")
	require.Zero(t, seen(outbox.KindMiddlewareFailing))
}

// TestConfig_Middleware_delivery has hooks and middleware that fail at the first
// delivery of an event. The platform refuses the event for the moment where a row
// needs an outcome other than a delivery.
func TestConfig_Middleware_delivery(t *testing.T) {
	t.Parallel()
	failure := errors.New("the tracing backend is unavailable")
	tests := map[string]struct {
		work       func(ctx context.Context, inner delivery) error
		hook       hook
		refusal    string // code of the platform's first response
		deliveries int    // requests until the event is accepted
		dead       bool   // the event becomes a dead letter instead
		silent     bool   // nothing is to be reported
	}{
		"a middleware returns before the delivery": {
			work:       func(context.Context, delivery) error { return nil },
			deliveries: 1},
		"a middleware fails before the delivery": {
			work:       func(context.Context, delivery) error { return failure },
			deliveries: 1},
		"a middleware panics before the delivery": {
			work:       func(context.Context, delivery) error { panic("secret") },
			deliveries: 1},
		"a middleware fails after the delivery": {
			work:       func(ctx context.Context, inner delivery) error { return errors.Join(inner(ctx), failure) },
			deliveries: 1},
		"a middleware panics after the delivery": {
			work:       func(ctx context.Context, inner delivery) error { _ = inner(ctx); panic("secret") },
			deliveries: 1},
		"a middleware cancels a delivered event": {
			work:       func(ctx context.Context, inner delivery) error { _ = inner(ctx); return river.JobCancel(failure) },
			deliveries: 1},
		"a middleware drops the outcome that the event waits": {
			work:    func(ctx context.Context, inner delivery) error { _ = inner(ctx); return nil },
			refusal: "RATE_LIMITED", deliveries: 2, silent: true},
		"a middleware wraps the outcome that the event waits": {
			work: func(ctx context.Context, inner delivery) error {
				if err := inner(ctx); err != nil {
					return errors.Join(failure, err)
				}
				return nil
			},
			refusal: "RATE_LIMITED", deliveries: 2, silent: true},
		"a middleware drops the outcome of a dead letter": {
			work:    func(ctx context.Context, inner delivery) error { _ = inner(ctx); return nil },
			refusal: "VALIDATION_ERROR", deliveries: 1, dead: true, silent: true},
		"a hook fails before the delivery": {
			hook:       hook{begin: func() error { return failure }},
			deliveries: 1},
		"a hook panics before the delivery": {
			hook:       hook{begin: func() error { panic("secret") }},
			deliveries: 1},
		"a hook fails after the delivery": {
			hook:       hook{end: func(error) error { return failure }},
			deliveries: 1},
		"a hook panics after the delivery": {
			hook:       hook{end: func(error) error { panic("secret") }},
			deliveries: 1},
		"a hook drops the outcome that the event waits": {
			hook:    hook{end: func(error) error { return nil }},
			refusal: "RATE_LIMITED", deliveries: 2, silent: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			platform, pool := clickidtest.NewServer(t), sharedPool(t)
			if tt.refusal != "" {
				platform.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"order-0"}, Code: tt.refusal, Times: 1})
			}
			var once sync.Once
			failOnce := func(fail, pass func() error) (err error) {
				first := false
				once.Do(func() { first = true })
				if !first {
					return pass()
				}
				return fail()
			}
			nothing := func() error { return nil }
			cfg := riveroutbox.Config{}
			if tt.work != nil {
				cfg.Middleware = []rivertype.Middleware{&middleware{work: func(ctx context.Context, inner delivery) error {
					return failOnce(func() error { return tt.work(ctx, inner) }, func() error { return inner(ctx) })
				}}}
			}
			if tt.hook.begin != nil {
				cfg.Hooks = append(cfg.Hooks, &hook{begin: func() error { return failOnce(tt.hook.begin, nothing) }})
			}
			if tt.hook.end != nil {
				cfg.Hooks = append(cfg.Hooks, &hook{end: func(err error) error {
					return failOnce(func() error { return tt.hook.end(err) }, func() error { return err })
				}})
			}
			ob, seen := watched(t, platform, pool, cfg)
			send(t, ob, "order", 1)
			start(t, ob)
			if tt.dead {
				eventually(t, "the event is a dead letter", func(ctx context.Context) (bool, error) {
					stats, err := ob.Stats(ctx)
					return stats.DeadLetters == 1, err
				})
			} else {
				await(t, platform, 1)
				eventually(t, "the event is delivered", func(ctx context.Context) (bool, error) {
					stats, err := ob.Stats(ctx)
					return stats.Delivered == 1 && stats.Queued == 0, err
				})
			}
			require.Len(t, platform.Requests(), tt.deliveries)
			if tt.silent {
				require.Zero(t, seen(outbox.KindMiddlewareFailing))
			} else {
				require.Equal(t, 1, seen(outbox.KindMiddlewareFailing))
			}
		})
	}
}

// TestConfig_Middleware_insertion has hooks and middleware that fail while an
// event is stored. The order rolls back, and no connection of the pool is lost.
func TestConfig_Middleware_insertion(t *testing.T) {
	t.Parallel()
	failure := errors.New("the tracing backend is unavailable")
	inserting := func(f func(context.Context, insertion) ([]*rivertype.JobInsertResult, error)) riveroutbox.Config {
		return riveroutbox.Config{Middleware: []rivertype.Middleware{&middleware{insert: f}}}
	}
	tests := map[string]struct {
		cfg   riveroutbox.Config
		error string
	}{
		"a middleware returns before the insertion": {
			inserting(func(context.Context, insertion) ([]*rivertype.JobInsertResult, error) { return nil, nil }),
			"returned 0 results for 1 jobs"},
		"a middleware fails after the insertion": {
			inserting(func(ctx context.Context, inner insertion) ([]*rivertype.JobInsertResult, error) {
				_, err := inner(ctx)
				return nil, errors.Join(err, failure)
			}),
			failure.Error()},
		"a middleware panics": {
			inserting(func(context.Context, insertion) ([]*rivertype.JobInsertResult, error) { panic("secret") }),
			"panicked with a value of type string"},
		"a hook fails": {
			riveroutbox.Config{Hooks: []rivertype.Hook{&hook{insert: func() error { return failure }}}},
			failure.Error()},
		"a hook panics": {
			riveroutbox.Config{Hooks: []rivertype.Hook{&hook{insert: func() error { panic("secret") }}}},
			"panicked with a value of type string"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			platform, pool := clickidtest.NewServer(t), sharedPool(t)
			ob, _ := watched(t, platform, pool, tt.cfg)
			ctx := within(t, time.Minute)
			check := func(result clickid.Result, err error) {
				t.Helper()
				require.ErrorContains(t, err, tt.error)
				require.NotContains(t, err.Error(), "secret")
				require.Equal(t, clickid.VerdictFailed, result.Verdict)
			}
			check(clickid.Convert(ctx, ob, conversion("order")))
			err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
				result, err := clickid.Convert(ctx, ob.In(tx), conversion("order"))
				check(result, err)
				return err
			})
			require.Error(t, err)
			stats, err := ob.Stats(ctx)
			require.NoError(t, err)
			require.Zero(t, stats.Queued)
			require.Zero(t, pool.Stat().AcquiredConns())
		})
	}
}
