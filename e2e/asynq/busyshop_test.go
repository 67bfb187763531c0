package asynq_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/e2e/internal/crash"
)

// busyShop is a shop in which four customers place orders all the time.
type busyShop struct {
	close func()

	mu     sync.Mutex
	queued map[string]bool // the IDs of the events that Send has reported as queued
	failed []string
}

func openBusyShop(ctx context.Context, t *testing.T, ob clickid.Sender) *busyShop {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	s := &busyShop{queued: make(map[string]bool)}
	var customers sync.WaitGroup
	s.close = func() { cancel(); customers.Wait() }
	t.Cleanup(s.close)
	for customer := range 4 {
		customers.Add(1)
		go func() {
			defer customers.Done()
			for n := 0; ctx.Err() == nil; n++ {
				id := fmt.Sprintf("%d-%d", customer, n)
				result, err := clickid.Convert(context.WithoutCancel(ctx), ob, crash.Conversion(id))
				s.mu.Lock()
				switch {
				case err == nil && result.Verdict == clickid.VerdictQueued:
					s.queued[id] = true
				case err != nil && result.Verdict == clickid.VerdictFailed:
					s.failed = append(s.failed, id)
				default:
					t.Errorf("order %s is %v, %v", id, result.Verdict, err)
				}
				s.mu.Unlock()
				time.Sleep(10 * time.Millisecond) // the pace of the customers
			}
		}()
	}
	return s
}

func (s *busyShop) failures() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.failed)
}

// awaitOrders waits until the platform has accepted the orders.
func awaitOrders(ctx context.Context, t *testing.T, platform *clickidtest.Server, orders map[string]bool) {
	t.Helper()
	missing := maps.Clone(orders)
	for {
		accepted := platform.Accepted()
		for _, event := range accepted {
			delete(missing, event.ID)
		}
		if len(missing) == 0 {
			return
		}
		if _, err := platform.Wait(ctx, len(accepted)+1); err != nil {
			t.Fatalf("%d of %d orders are lost: %v", len(missing), len(orders), missing)
		}
	}
}
