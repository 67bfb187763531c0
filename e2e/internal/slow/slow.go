// Package slow tests outboxes on a database that is slow for shorter or for longer
// than the shop waits.
package slow

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/internal/outagetest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
)

// Shop is a shop with an outbox in its database.
type Shop struct {
	Platform *clickidtest.Server
	// Link leads to the database.
	Link *testserver.Link
	// Commit is the statement that ends a transaction, as the driver sends it.
	Commit string
	// Lock locks the table of the outbox until free is called.
	Lock func() (free func())
	// Open opens an outbox without starting it.
	Open func() outbox.Outbox
	// Order stores an order and its conversion in one transaction.
	Order func(ctx context.Context, id string) error
	// Orders returns the number of stored orders.
	Orders func() int
	// Close closes the connections of the shop.
	Close func()
}

const (
	short = 300 * time.Millisecond // a deadline that ends before the fault
	long  = time.Minute
	// limit is the time that anything with a short deadline may take. Stop takes
	// seconds more to put interrupted deliveries back, and a busy machine as long again.
	limit = 10 * time.Second
)

// Test checks the promises of an outbox on a slow database.
func Test(t *testing.T, s Shop) {
	goroutines := runtime.NumGoroutine()
	ob := s.Open()
	sends := func(ctx context.Context, id string) error {
		_, err := ob.Send(ctx, crash.Conversion(id))
		return err
	}
	events, orders := 0, 0
	isDelivered := func() {
		t.Helper()
		outagetest.Eventually(t, func() error {
			stats, err := ob.Stats(context.Background())
			if err == nil && stats.Queued > 0 {
				err = fmt.Errorf("%d events are queued", stats.Queued)
			}
			return err
		})
		require.Equal(t, events, s.Platform.Count())
		for _, event := range s.Platform.Accepted() {
			require.Equal(t, 1, event.Received, event.ID)
		}
		require.Equal(t, orders, s.Orders())
	}

	// The outcome of a commit that takes too long is unknown, and the shop repeats it.
	committing, release := s.Link.HoldAfter(s.Commit)
	inTime(t, "Send", func(ctx context.Context) error { return sends(ctx, "commit") })
	committing()
	release()
	require.NoError(t, sends(context.Background(), "commit"))
	events++
	require.NoError(t, ob.Start(context.Background()))
	isDelivered()

	for name, begin := range map[string]func() (end func()){"locked": s.Lock, "slow": s.Link.Hold} {
		end := begin()
		waiting := make(chan error, 2)
		for _, place := range []func(context.Context, string) error{s.Order, sends} {
			events++
			id := fmt.Sprint("waits-", name, "-", events)
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), long)
				defer cancel()
				waiting <- place(ctx, id)
			}()
		}
		orders++
		inTime(t, "an order", func(ctx context.Context) error { return s.Order(ctx, "fails-"+name) })
		inTime(t, "Send", func(ctx context.Context) error { return sends(ctx, "fails-send-"+name) })
		require.Empty(t, waiting, "an order did not wait for the database")
		end()
		require.NoError(t, <-waiting)
		require.NoError(t, <-waiting)
		isDelivered()
	}

	end := s.Link.Hold()
	inTime(t, "Stop", func(ctx context.Context) error {
		_, err := ob.Stop(ctx)
		return err
	})
	end()
	ob = s.Open()
	require.NoError(t, ob.Start(context.Background()))
	events, orders = events+1, orders+1
	require.NoError(t, s.Order(context.Background(), "later"))
	isDelivered()
	remaining, err := ob.Stop(context.Background())
	require.NoError(t, err)
	require.Zero(t, remaining)
	s.Platform.Stop()
	s.Close()
	outagetest.Eventually(t, func() error {
		if running := runtime.NumGoroutine(); running > goroutines {
			return fmt.Errorf("%d goroutines run, %d before", running, goroutines)
		}
		return nil
	})
}

// inTime fails unless act returns an error soon after a short deadline.
func inTime(t *testing.T, name string, act func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), short)
	defer cancel()
	began := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- act(ctx) }()
	select {
	case err := <-ended:
		require.Error(t, err, name)
		t.Logf("%s: %v: %v", name, time.Since(began).Round(time.Millisecond), err)
	case <-time.After(limit):
		t.Fatalf("%s does not return after its deadline", name)
	}
}
