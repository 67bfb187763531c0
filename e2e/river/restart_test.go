package river_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
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
