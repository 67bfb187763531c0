package river_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// receipt is a job of the application.
type receipt struct{}

func (receipt) Kind() string { return "receipt" }

type receipts struct {
	river.WorkerDefaults[receipt]
	done chan struct{}
}

func (r *receipts) Work(context.Context, *river.Job[receipt]) error {
	r.done <- struct{}{}
	return nil
}

// newApplication returns an application that uses River in a schema or in the
// default one, and rescues jobs after a second.
func newApplication(t *testing.T, pool *pgxpool.Pool, schema string) (client *river.Client[pgx.Tx], done chan struct{}) {
	t.Helper()
	ctx := within(t, time.Minute)
	if schema != "" {
		if _, err := pool.Exec(ctx, "CREATE SCHEMA "+schema); err != nil {
			t.Fatal(err)
		}
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		t.Fatal(err)
	}
	done = make(chan struct{}, 100)
	workers := river.NewWorkers()
	river.AddWorker(workers, &receipts{done: done})
	client, err = river.NewClient(riverpgxv5.New(pool), &river.Config{
		Queues:               map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 10}},
		Workers:              workers,
		Schema:               schema,
		JobTimeout:           time.Second,
		RescueStuckJobsAfter: time.Second,
		TestOnly:             true, // no random delay before the rescue
	})
	if err != nil {
		t.Fatal(err)
	}
	return client, done
}

// TestOutbox_applicationWithRiver runs an application with its own River jobs.
// Its leader rescues the jobs of a crash and discards jobs of an unknown kind.
func TestOutbox_applicationWithRiver(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{"", "shop"} {
		t.Run("schema "+schema, func(t *testing.T) {
			t.Parallel()
			ctx := within(t, 2*time.Minute)
			platform := clickidtest.NewServer(t)
			pool := sharedPool(t)
			application, done := newApplication(t, pool, schema)
			ob := newOutbox(t, pool, riveroutbox.Config{
				Delivery:    outbox.Config{Destination: newClient(t, platform)},
				JobTimeout:  time.Second,
				RescueAfter: 2 * time.Second,
			})
			// Both have jobs that were running when their process died.
			send(t, ob, "A", 100)
			for range 10 {
				if _, err := application.Insert(ctx, receipt{}, nil); err != nil {
					t.Fatal(err)
				}
			}
			prefix := ""
			if schema != "" {
				prefix = schema + "."
			}
			for _, table := range []string{"clickid.river_job", prefix + "river_job"} {
				if _, err := pool.Exec(ctx, "UPDATE "+table+
					" SET state = 'running', attempt = 1, attempted_at = now() - interval '1 hour', attempted_by = '{gone}'"); err != nil {
					t.Fatal(err)
				}
			}
			if err := application.Start(ctx); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = application.Stop(ctx) })
			for range 10 {
				select {
				case <-done:
				case <-ctx.Done():
					t.Fatal("the application's jobs do not run")
				}
			}
			if n, err := count(ctx, pool, "SELECT count(*) FROM clickid.river_job WHERE state = 'running'"); n != 100 || err != nil {
				t.Fatalf("the application's leader took %d of our events: %v", 100-n, err)
			}
			start(t, ob)
			await(t, platform, 100)
			if n, err := count(ctx, pool, "SELECT count(*) FROM "+prefix+"river_job WHERE kind <> 'receipt'"); n != 0 || err != nil {
				t.Errorf("%d of our jobs are among the application's: %v", n, err)
			}
		})
	}
}

func TestNew_applicationSchema(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	platform := clickidtest.NewServer(t)
	pool := sharedPool(t)
	application, _ := newApplication(t, pool, "shop")
	if _, err := application.Insert(ctx, receipt{}, nil); err != nil {
		t.Fatal(err)
	}
	ob := newOutbox(t, pool, riveroutbox.Config{Schema: "shop", Delivery: outbox.Config{Destination: newClient(t, platform)}})
	if err := ob.Start(ctx); !errors.Is(err, riveroutbox.ErrForeignJobs) {
		t.Fatalf("Start: %v", err)
	}
}
