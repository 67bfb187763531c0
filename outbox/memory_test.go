package outbox_test

import (
	"testing"

	"github.com/clickid/clickid/outbox"
	"github.com/clickid/clickid/outbox/outboxtest"
	"github.com/stretchr/testify/require"
)

// TestMemory_forgets runs the tests of the suite for an outbox whose storage
// ends with it. TestMemory_conformance runs all tests.
func TestMemory_forgets(t *testing.T) {
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

func TestNewMemory_acceptLoss(t *testing.T) {
	_, err := outbox.NewMemory(outbox.MemoryConfig{})
	require.ErrorContains(t, err, "AcceptLoss")
	require.ErrorContains(t, err, "Destination", "all problems are reported at once")
}
