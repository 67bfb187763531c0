package capi_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/networktest"
	"github.com/clickid/clickid/internal/reliabilitytest"
	"github.com/stretchr/testify/require"
)

// TestNetwork_faults sends an event through each fault of the network: the
// client returns in time, in bounded memory, with the kind and the cause. The
// event that is sent again after the fault is counted once.
func TestNetwork_faults(t *testing.T) {
	for _, fault := range networktest.Faults() {
		t.Run(fault.Name, func(t *testing.T) {
			network := networktest.New(t)
			network.Break(t, fault)
			const patience = 20 * time.Second // a busy machine needs seconds
			timeout := patience
			if fault.Hangs {
				timeout = 500 * time.Millisecond
			}
			var (
				before, after runtime.MemStats
				took          time.Duration
				report        clickid.Report
				err           error
			)
			for ; ; timeout *= 2 {
				client := network.Client(t, timeout, func(cfg *capi.Config) {
					cfg.Retry.Attempts, cfg.Logger = 1, slog.New(slog.DiscardHandler)
				})
				runtime.ReadMemStats(&before)
				start := time.Now()
				report, err = client.Send(context.Background(), purchase("1"))
				took = time.Since(start)
				runtime.ReadMemStats(&after)
				if timeout >= patience || err == nil || strings.Contains(err.Error(), fault.Cause) {
					break // else the busy machine did not get as far as the fault
				}
			}

			var refusal clickid.SendError
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, fault.Kind, refusal.Kind())
			require.ErrorContains(t, err, fault.Cause)
			reliabilitytest.Compare(t, fault.Name, "client, one attempt", "failed: "+map[clickid.SendErrorKind]string{
				clickid.SendErrorTemporary: "temporary", clickid.SendErrorConfiguration: "configuration",
			}[refusal.Kind()])
			require.NotContains(t, err.Error(), clickidtest.APIKey)
			require.Equal(t, clickid.VerdictFailed, report.Results[0].Verdict)
			require.Less(t, took, timeout+10*time.Second)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(256<<20), "bytes, with those of the servers in this process")
			require.Zero(t, network.Platform.Count())
			t.Logf("%v, %v MiB: %v", took, (after.TotalAlloc-before.TotalAlloc)>>20, err)

			network.Heal()
			client := network.Client(t, time.Minute)
			report, err = client.Send(context.Background(), purchase("1"))
			require.NoError(t, err)
			require.True(t, report.Accepted())
			require.Equal(t, 1, network.Platform.Count())
			require.Equal(t, 1, network.Platform.Accepted()[0].Received)
		})
	}
}

// TestNetwork_idleConnection has a load balancer that closes an idle connection
// just as the client sends its next request over it.
func TestNetwork_idleConnection(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		for _, cut := range []networktest.Cut{{}, {Reset: true}, {AfterWrite: true}, {Reset: true, AfterWrite: true}} {
			t.Run(fmt.Sprintf("%s %+v", protocol, cut), func(t *testing.T) {
				t.Parallel()
				const orders = 30
				network := networktest.New(t)
				if protocol == "HTTP/1.1" {
					network.WithoutHTTP2()
				}
				client := network.Client(t, time.Minute, func(cfg *capi.Config) {
					cfg.Retry.BaseDelay, cfg.Logger = time.Millisecond, slog.New(slog.DiscardHandler)
				})
				for i := range orders {
					report, err := client.Send(context.Background(), purchase(fmt.Sprint(i)))
					require.NoError(t, err)
					require.True(t, report.Accepted())
					network.CutNextWrite(cut)
				}
				require.Equal(t, orders, network.Platform.Count())
				resent := 0
				for _, event := range network.Platform.Accepted() {
					resent += event.Received - 1
				}
				if !cut.AfterWrite {
					require.Zero(t, resent, "a request that the platform cannot have read was counted twice")
				}
				t.Logf("%d of %d events were sent twice, and counted once", resent, orders)
			})
		}
	}
}
