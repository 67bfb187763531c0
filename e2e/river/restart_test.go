package river_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/testserver"
)

// PostgreSQL is stopped and killed while orders are taken and delivered. An
// order either commits with its conversion or fails, and what committed
// arrives without anybody's help.
func TestDatabaseRestarts(t *testing.T) {
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
				// Some fail, and one whose commit was not confirmed may have
				// been stored: the database knows.
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
