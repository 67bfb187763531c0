package river_test

import (
	"testing"
	"time"

	"github.com/clickid/clickid/internal/reliabilitytest"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
)

// TestOutbox_reliability holds this queue to docs/reliability.md.
func TestOutbox_reliability(t *testing.T) {
	t.Parallel()
	reliabilitytest.Run(t, func(t testing.TB, cfg outbox.Config) outbox.Outbox {
		return newOutbox(t, sharedPool(t), riveroutbox.Config{Delivery: cfg, PollInterval: 100 * time.Millisecond})
	})
}
