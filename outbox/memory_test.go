package outbox_test

import (
	"testing"

	"github.com/clickid/clickid/outbox"
	"github.com/clickid/clickid/outbox/outboxtest"
	"github.com/stretchr/testify/require"
)

// TestMemoryForgets runs what is left of the suite when the storage ends with
// the outbox. TestMemoryConforms runs all of it.
func TestMemoryForgets(t *testing.T) {
	outboxtest.Run(t, func(testing.TB) outboxtest.Backend {
		return outboxtest.Backend{
			Open: func(t testing.TB, cfg outbox.Config) outbox.Outbox {
				ob, err := outbox.NewMemory(outbox.MemoryConfig{Delivery: cfg, AcceptLoss: true})
				require.NoError(t, err)
				return ob
			},
			Forgets: true,
		}
	})
}

func TestMemoryWantsTheLossAccepted(t *testing.T) {
	_, err := outbox.NewMemory(outbox.MemoryConfig{})
	require.ErrorContains(t, err, "AcceptLoss")
	require.ErrorContains(t, err, "Destination", "all problems are reported at once")
}
