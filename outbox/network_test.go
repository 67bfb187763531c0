package outbox_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/clickid/clickid/internal/networktest"
	"github.com/clickid/clickid/outbox"
	"github.com/stretchr/testify/require"
)

func openMemory(t *testing.T, cfg outbox.Config) outbox.Outbox {
	t.Helper()
	ob, err := outbox.NewMemory(outbox.MemoryConfig{AcceptLoss: true, Delivery: cfg})
	require.NoError(t, err)
	return ob
}

func TestNetwork_faults(t *testing.T) {
	t.Parallel()
	networktest.TestFaults(t, openMemory)
}

// TestNetwork_idleConnection has a load balancer that closes an idle connection
// just as the outbox sends its next request over it.
func TestNetwork_idleConnection(t *testing.T) {
	t.Parallel()
	for _, cut := range []networktest.Cut{{}, {Reset: true}, {AfterWrite: true}, {Reset: true, AfterWrite: true}} {
		t.Run(fmt.Sprintf("%+v", cut), func(t *testing.T) {
			t.Parallel()
			const orders = 20
			network := networktest.New(t)
			network.WithoutHTTP2()
			ob := networktest.NewOutbox(t, network, "shop", time.Minute, openMemory)
			for i := range orders {
				id := fmt.Sprint(i)
				ob.Queue(t, id)
				ob.Await(t, id, networktest.IsDelivered)
				network.CutNextWrite(cut)
			}
			require.Equal(t, orders, network.Platform.Count())
			require.False(t, ob.Saw(outbox.KindDeadLetter))
		})
	}
}
