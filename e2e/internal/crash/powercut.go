package crash

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/testserver"
)

// PowerCut kills the shop and its servers at the same moment, while orders are placed
// and delivered, and the platform refuses connections until they have been restarted.
// It checks that every committed order and no other is delivered. restarted is called
// before the last start of the shop, and may be nil.
func (s Setup) PowerCut(t *testing.T, database string, restarted func(), servers ...*testserver.Server) {
	const cuts, most = 2, 300 // orders between two cuts
	platform := clickidtest.NewServer(t)
	platform.Always(clickidtest.Fault{Latency: 20 * time.Millisecond})
	s.prepare(t, database, platform)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for cut := range cuts {
		shop := s.Start(t, database, platform, fmt.Sprint("P", cut), most)
		if _, err := platform.Wait(ctx, platform.Count()+50); err != nil {
			t.Fatal(err)
		}
		for _, server := range servers {
			server.Pause() // the shop must not notice the end of a server before its own
		}
		platform.Stop()
		shop.Kill()
		for _, server := range servers {
			server.Kill()
		}
		for _, server := range servers {
			server.Restart()
		}
		if err := platform.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	if restarted != nil {
		restarted()
	}
	before := platform.Count()
	s.Start(t, database, platform, "", 0)
	orders := s.AwaitDelivery(t, database, platform)
	if len(orders) <= before {
		t.Error("no order waited: the cuts came too late")
	}
	t.Logf("%d orders over %d cuts, %d of them waited, %d conversions sent twice", len(orders), cuts, len(orders)-before, Resent(platform))
}
