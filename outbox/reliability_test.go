package outbox_test

import (
	"testing"

	"github.com/clickid/clickid/internal/reliabilitytest"
	"github.com/clickid/clickid/outbox"
	"github.com/stretchr/testify/require"
)

// TestMemory_reliability holds the queue in memory, which behaves as the durable ones, to docs/reliability.md.
func TestMemory_reliability(t *testing.T) {
	t.Parallel()
	reliabilitytest.Run(t, func(t testing.TB, cfg outbox.Config) outbox.Outbox {
		ob, err := outbox.NewMemory(outbox.MemoryConfig{Delivery: cfg, AcceptLoss: true})
		require.NoError(t, err)
		return ob
	})
}
