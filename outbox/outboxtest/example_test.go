package outboxtest_test

import (
	"testing"

	"github.com/clickid/clickid/outbox"
	"github.com/clickid/clickid/outbox/outboxtest"
)

// The test of an outbox is one call. Here it tests the outbox in memory, which
// forgets its events; Open returns your own.
func ExampleRun() {
	var t *testing.T // of func TestOutbox(t *testing.T)

	outboxtest.Run(t, func(t testing.TB) outboxtest.Backend {
		return outboxtest.Backend{
			Open: func(t testing.TB, cfg outbox.Config) outbox.Outbox {
				ob, err := outbox.NewMemory(outbox.MemoryConfig{Delivery: cfg, AcceptLoss: true})
				if err != nil {
					t.Fatal(err)
				}
				return ob
			},
			Forgets: true,
		}
	})
}
