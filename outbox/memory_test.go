package outbox_test

import (
	"testing"

	"github.com/clickid/clickid/outbox"
	"github.com/clickid/clickid/outbox/outboxtest"
	"github.com/stretchr/testify/require"
)

// TestMemoryConforms runs the whole suite: what an outbox in memory holds can
// be opened again within the process.
func TestMemoryConforms(t *testing.T) {
	outboxtest.Run(t, func(testing.TB) outboxtest.Backend {
		var last *outbox.Memory
		return outboxtest.Backend{
			Open: func(t testing.TB, cfg outbox.Config) outbox.Outbox {
				var err error
				if last == nil {
					last, err = outbox.NewMemory(outbox.AcceptLoss, cfg)
				} else {
					last, err = last.Reopen(cfg)
				}
				require.NoError(t, err)
				return last
			},
			Kill: func(_ testing.TB, ob outbox.Outbox) { ob.(*outbox.Memory).Kill() },
		}
	})
}

// TestMemoryForgets runs what is left of the suite without that.
func TestMemoryForgets(t *testing.T) {
	outboxtest.Run(t, func(testing.TB) outboxtest.Backend {
		return outboxtest.Backend{
			Open: func(t testing.TB, cfg outbox.Config) outbox.Outbox {
				ob, err := outbox.NewMemory(outbox.AcceptLoss, cfg)
				require.NoError(t, err)
				return ob
			},
			Forgets: true,
		}
	})
}

func TestMemoryWantsTheLossAccepted(t *testing.T) {
	_, err := outbox.NewMemory(0, outbox.Config{})
	require.ErrorContains(t, err, "AcceptLoss")
	require.ErrorContains(t, err, "Client", "all problems are reported at once")
}
