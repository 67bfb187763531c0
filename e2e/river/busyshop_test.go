package river_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
)

// busyShop is a shop in which four customers place orders all the time.
type busyShop struct {
	*shop
	database  string
	platform  *clickidtest.Server
	failed    orderErrors
	closing   atomic.Bool
	customers sync.WaitGroup
}

// openBusyShop opens a shop and waits until it has delivered 100 orders.
func openBusyShop(t *testing.T, database string) *busyShop {
	t.Helper()
	s := &busyShop{database: database, platform: clickidtest.NewServer(t)}
	s.platform.Always(clickidtest.Fault{Latency: 20 * time.Millisecond})
	ctx := within(t, 4*time.Minute)
	opened, err := inTransaction.Open(ctx, s.database, newClient(t, s.platform))
	if err != nil {
		t.Fatal(err)
	}
	s.shop = opened.(*shop)
	t.Cleanup(func() { _, _ = s.outbox.Stop(within(t, 10*time.Second)) })
	for customer := range 4 {
		s.customers.Add(1)
		go func() {
			defer s.customers.Done()
			for n := 0; !s.closing.Load() && ctx.Err() == nil; n++ {
				id := fmt.Sprintf("%d-%d", customer, n)
				if err := s.Order(ctx, conversion(id), true); err != nil {
					s.failed.add(id, err)
				}
				time.Sleep(10 * time.Millisecond) // the pace of the customers
			}
		}()
	}
	t.Cleanup(func() {
		s.closing.Store(true)
		s.customers.Wait()
	})
	if _, err := s.platform.Wait(ctx, 100); err != nil {
		t.Fatal(err)
	}
	return s
}

// closes waits for 100 further orders, closes the shop, and waits until all
// orders are delivered. None may be a dead letter.
func (s *busyShop) closes(t *testing.T) (orders []string) {
	t.Helper()
	if _, err := s.platform.Wait(within(t, 2*time.Minute), s.platform.Count()+100); err != nil {
		t.Fatal(err)
	}
	s.closing.Store(true)
	s.customers.Wait()
	orders = inTransaction.AwaitDelivery(t, s.database, s.platform)
	if letters, err := s.outbox.DeadLetters(within(t, time.Minute), outbox.Page{}); err != nil || len(letters) != 0 {
		t.Errorf("%d dead letters, %v", len(letters), err)
	}
	return orders
}

// orderErrors are the errors of orders.
type orderErrors struct {
	mu      sync.Mutex
	byOrder map[string]error
}

func (e *orderErrors) add(order string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.byOrder == nil {
		e.byOrder = make(map[string]error)
	}
	e.byOrder[order] = err
}

func (e *orderErrors) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.byOrder)
}
