package river_test

import (
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/networktest"
	"github.com/clickid/clickid/internal/reliabilitytest"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// TestOutbox_reliability holds this queue to docs/reliability.md.
func TestOutbox_reliability(t *testing.T) {
	t.Parallel()
	reliabilitytest.Run(t, func(t testing.TB, cfg outbox.Config) outbox.Outbox {
		return newOutbox(t, sharedPool(t), riveroutbox.Config{Delivery: cfg, PollInterval: 100 * time.Millisecond})
	})
}

// TestNetwork_faults delivers from this queue through a network with faults. The
// outboxes share a schema.
func TestNetwork_faults(t *testing.T) {
	t.Parallel()
	pool := sharedPool(t)
	newOutbox(t, pool, riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, clickidtest.NewServer(t))}}) // migrates
	networktest.TestFaults(t, func(t *testing.T, cfg outbox.Config) outbox.Outbox {
		ob, err := riveroutbox.New(riverpgxv5.New(pool), riveroutbox.Config{Delivery: cfg, Workers: 10, PollOnly: true, PollInterval: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return ob
	})
}
