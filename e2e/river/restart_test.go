package river_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/internal/testserver"
)

// TestOutbox_databaseRestarts stops and kills PostgreSQL while orders are
// placed and delivered. An order and its conversion commit or fail together,
// and every committed conversion is delivered.
func TestOutbox_databaseRestarts(t *testing.T) {
	t.Parallel()
	server := testserver.StartPostgres(t)
	platform := clickidtest.NewServer(t)
	platform.Always(clickidtest.Fault{Latency: 20 * time.Millisecond})
	ctx := within(t, 3*time.Minute)
	opened, err := inTransaction.Open(ctx, server.DSN(), newClient(t, platform))
	if err != nil {
		t.Fatal(err)
	}
	shop := opened.(*shop)
	t.Cleanup(func() { _, _ = shop.outbox.Stop(within(t, 10*time.Second)) })
	var group sync.WaitGroup
	closing := make(chan struct{})
	for till := range 4 {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := 0; ; n++ {
				select {
				case <-closing:
					return
				default:
				}
				// Some orders fail. An order whose commit was not confirmed may
				// be stored.
				_ = shop.Order(ctx, conversion(fmt.Sprintf("%d-%d", till, n)), true)
			}
		}()
	}
	for round, interrupt := range []func(){server.Stop, server.Kill, server.Stop} {
		if _, err := platform.Wait(ctx, 100*(round+1)); err != nil {
			t.Fatal(err)
		}
		interrupt()
		server.Restart()
	}
	close(closing)
	group.Wait()
	orders := inTransaction.AwaitDelivery(t, server.DSN(), platform)
	t.Logf("%d orders over three restarts", len(orders))
}

// TestOutbox_databaseFailover kills PostgreSQL while orders are placed and
// delivered, and promotes its synchronous standby, which has every committed order.
func TestOutbox_databaseFailover(t *testing.T) {
	t.Parallel()
	primary := testserver.StartPostgres(t)
	standby := testserver.StartPostgresStandby(t, primary)
	for _, setting := range []string{"ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"} {
		if _, err := newPool(t, primary.DSN()).Exec(t.Context(), setting); err != nil {
			t.Fatal(err)
		}
	}
	s := openBusyShop(t, "postgres://postgres@"+primary.Addr()+","+standby.Addr()+"/postgres?sslmode=disable&target_session_attrs=read-write")
	primary.Kill()
	if _, err := newPool(t, standby.DSN()).Exec(t.Context(), "SELECT pg_promote()"); err != nil {
		t.Fatal(err)
	}
	orders := s.closes(t)
	t.Logf("%d orders, %d failed, %d conversions sent twice", len(orders), s.failed.count(), crash.Resent(s.platform))
}
