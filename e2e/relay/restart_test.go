package relay_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/internal/testserver"
)

// The database of the orders is killed and restarted while a shop takes orders
// and its relay moves their conversions. Orders fail meanwhile; what was
// committed is delivered.
func TestDatabaseRestartsDuringDelivery(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind  shopKind
		start func(testing.TB) *testserver.Server
	}{
		{shops[2], testserver.StartMariaDB},
		{shopKind{shops[0].name, shops[0].driver, shops[0].dialect, shops[0].insert, inFile}, testserver.StartPostgres},
	} {
		t.Run(string(tt.kind.dialect), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			server, platform := tt.start(t), clickidtest.NewServer(t)
			database := filepath.Join(t.TempDir(), "outbox.db") + " " + server.DSN()
			client, err := crash.NewClient(platform.URL)
			if err != nil {
				t.Fatal(err)
			}
			shop, err := tt.kind.open(ctx, database, client)
			if err != nil {
				t.Fatal(err)
			}
			closing := make(chan struct{})
			var tills sync.WaitGroup
			for till := range 4 {
				tills.Go(func() {
					customers := time.NewTicker(20 * time.Millisecond)
					defer customers.Stop()
					for n := 0; ; n++ {
						select {
						case <-closing:
							return
						case <-customers.C:
						}
						orderCtx, cancel := context.WithTimeout(ctx, time.Second)
						_ = shop.Order(orderCtx, crash.Conversion(fmt.Sprintf("%d-%d", till, n)), n%5 != 0)
						cancel()
					}
				})
			}
			for restart := range 3 {
				if _, err := platform.Wait(ctx, 50*(restart+1)); err != nil {
					t.Fatal(err)
				}
				server.Kill()
				server.Restart()
			}
			close(closing)
			tills.Wait()
			orders := tt.kind.setup().AwaitDelivery(t, database, platform)
			t.Logf("%d orders over 3 restarts", len(orders))
		})
	}
}
