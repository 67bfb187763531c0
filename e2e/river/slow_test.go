package river_test

import (
	"context"
	"testing"

	"github.com/clickid/clickid/e2e/internal/slow"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/stretchr/testify/require"
)

// TestOutbox_slowDatabase has a database that is slow, or whose table of jobs is
// locked, for longer and for shorter than the shop waits. It is not parallel, since it
// counts goroutines.
func TestOutbox_slowDatabase(t *testing.T) {
	s := newLinkedShop(t)
	s.direct.Reset()
	s.pool.Reset()
	slow.Test(t, slow.Shop{
		Platform: s.platform, Link: s.link, Commit: "commit\x00",
		Lock: func() (free func()) {
			ctx := context.Background()
			tx, err := s.direct.Begin(ctx)
			require.NoError(t, err)
			_, err = tx.Exec(ctx, "LOCK TABLE clickid.river_job IN ACCESS EXCLUSIVE MODE")
			require.NoError(t, err)
			return func() { require.NoError(t, tx.Rollback(ctx)) }
		},
		Open: func() outbox.Outbox {
			s.outbox = newOutbox(t, s.pool, riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, s.platform)}})
			return s.outbox
		},
		Order:  s.order,
		Orders: func() int { return s.count(t, "orders") },
		Close: func() {
			s.direct.Reset()
			s.pool.Reset()
		},
	})
}
