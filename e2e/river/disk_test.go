package river_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	"github.com/jackc/pgx/v5/pgconn"
)

// TestOutbox_fullDisk fills the disk of PostgreSQL's tables while orders are
// placed and delivered. An order gets the error and nothing of it is stored. When
// the disk has space again, orders are placed and everything is delivered.
func TestOutbox_fullDisk(t *testing.T) {
	t.Parallel()
	server := testserver.StartPostgresOnDisk(t)
	s := openBusyShop(t, server.DSN())
	server.FillDisk()
	eventually(t, "orders are refused", func(context.Context) (bool, error) { return s.failed.count() >= 20, nil })
	time.Sleep(10 * time.Second) // the length of the fault; River stops trying to store an outcome after seven seconds
	server.FreeDisk()
	orders := s.closes(t)

	inConversion := 0
	for id, err := range s.failed.byOrder {
		refused := (*pgconn.PgError)(nil)
		if !errors.As(err, &refused) || refused.Code != "53100" { // disk_full
			t.Errorf("order %s: %v", id, err)
		}
		if errors.Is(err, errConversion) {
			inConversion++
		}
		if found, err := s.outbox.Find(within(t, time.Minute), id); err != nil || len(found) != 0 {
			t.Errorf("the refused order %s left %+v, %v", id, found, err)
		}
	}
	if inConversion == 0 {
		t.Error("no order was refused by the outbox")
	}
	t.Logf("%d orders, %d refused, %d conversions sent twice", len(orders), s.failed.count(), crash.Resent(s.platform))
}

// TestOutbox_fullLogDisk fills the disk of PostgreSQL's write-ahead log, so that
// the server ends itself. It is started again when the disk has space.
func TestOutbox_fullLogDisk(t *testing.T) {
	t.Parallel()
	server := testserver.StartPostgresWithLogOnDisk(t)
	s := openBusyShop(t, server.DSN())
	server.FillDisk()
	eventually(t, "the server has ended", func(context.Context) (bool, error) { return !server.Running(), nil })
	server.FreeDisk()
	server.Restart()
	orders := s.closes(t)
	t.Logf("%d orders, %d failed, %d conversions sent twice", len(orders), s.failed.count(), crash.Resent(s.platform))
}

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
