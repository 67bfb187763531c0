package outbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/networktest"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/clickid/clickid/internal/reliabilitytest"
	"github.com/clickid/clickid/outbox"
	"github.com/stretchr/testify/require"
)

// networkOutbox is a started outbox that delivers through a network.
type networkOutbox struct {
	outbox.Outbox
	mu       sync.Mutex
	observed []outbox.Kind
}

func (o *networkOutbox) saw(kind outbox.Kind) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Contains(o.observed, kind)
}

func newNetworkOutbox(t *testing.T, network *networktest.Network, timeout time.Duration) *networkOutbox {
	t.Helper()
	o := &networkOutbox{}
	var err error
	o.Outbox, err = outbox.NewMemory(outbox.MemoryConfig{AcceptLoss: true, Delivery: outbox.Config{
		Destination: network.Client(t, timeout, func(cfg *capi.Config) { cfg.Logger = slog.New(slog.DiscardHandler) }),
		Logger:      slog.New(slog.DiscardHandler), MinSnooze: 10 * time.Millisecond, MaxSnooze: 50 * time.Millisecond, Linger: time.Millisecond,
		Hook: func(_ context.Context, seen outbox.Observation) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.observed = append(o.observed, seen.Kind)
		},
	}})
	require.NoError(t, err)
	require.NoError(t, o.Start(context.Background()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, err := o.Stop(ctx)
		require.NoError(t, err)
	})
	return o
}

// await waits until the event's entry fulfils the condition.
func (o *networkOutbox) await(t *testing.T, id string, ready func(outbox.Entry) bool) {
	t.Helper()
	var entries []outbox.Entry
	require.Eventually(t, func() bool {
		var err error
		entries, err = o.Find(context.Background(), id)
		return err == nil && len(entries) == 1 && ready(entries[0])
	}, time.Minute, 5*time.Millisecond, "%+v", entries)
}

func networkPurchase(id string) clickid.Event {
	e := platformtest.Purchase(id)
	e.Time = time.Now().Add(-time.Minute)
	return e
}

// TestNetwork_faults queues an event while the network has a fault. The event
// waits without using an attempt, a wrong configuration raises an alert, and
// after the fault the event is accepted once.
func TestNetwork_faults(t *testing.T) {
	t.Parallel()
	for _, fault := range networktest.Faults() {
		t.Run(fault.Name, func(t *testing.T) {
			t.Parallel()
			network := networktest.New(t)
			timeout := 20 * time.Second // a busy machine needs seconds
			if fault.Hangs {
				timeout = 500 * time.Millisecond
			}
			ob := newNetworkOutbox(t, network, timeout)
			network.Break(t, fault)
			report, err := ob.Send(context.Background(), networkPurchase("1"))
			require.NoError(t, err)
			require.Equal(t, clickid.VerdictQueued, report.Results[0].Verdict)
			ob.await(t, "1", func(e outbox.Entry) bool { return e.State == outbox.StateQueued && len(e.Attempts) >= 2 })
			outcome := "waits"
			if ob.saw(outbox.KindConfigurationRefused) {
				outcome = "waits, alert"
			}
			reliabilitytest.Compare(t, fault.Name, "every outbox", outcome)

			network.Heal()
			ob.await(t, "1", func(e outbox.Entry) bool { return e.State == outbox.StateDelivered })
			require.False(t, ob.saw(outbox.KindDeadLetter))
			require.Equal(t, 1, network.Platform.Count())
			if !fault.Hangs { // a busy machine may exceed the short timeout when the platform has the event
				require.Equal(t, 1, network.Platform.Accepted()[0].Received)
			}
		})
	}
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
			ob := newNetworkOutbox(t, network, time.Minute)
			for i := range orders {
				id := fmt.Sprint(i)
				_, err := ob.Send(context.Background(), networkPurchase(id))
				require.NoError(t, err)
				ob.await(t, id, func(e outbox.Entry) bool { return e.State == outbox.StateDelivered })
				network.CutNextWrite(cut)
			}
			require.Equal(t, orders, network.Platform.Count())
			require.False(t, ob.saw(outbox.KindDeadLetter))
		})
	}
}
