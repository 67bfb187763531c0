package networktest

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

// TestNetwork_Heal sends a request after the fault while one that met it is in
// progress, whose connection of HTTP/2 is open for further ones.
func TestNetwork_Heal(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	var requests atomic.Int32
	fault := Fault{route: handle(func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) == 1 {
			close(entered)
			<-release
		}
		w.WriteHeader(http.StatusForbidden)
	})}
	network := New(t)
	network.Break(t, fault)
	client := network.Client(t, time.Minute, func(cfg *capi.Config) { cfg.Retry.Attempts = 1 })
	send := func(id string) error {
		e := platformtest.Purchase(id)
		e.Time = time.Now()
		_, err := client.Send(t.Context(), e)
		return err
	}
	early := make(chan error, 1)
	go func() { early <- send("early") }()
	<-entered
	network.Heal()
	err := send("late")
	close(release)
	require.NoError(t, err)
	require.Error(t, <-early)
	require.EqualValues(t, 1, requests.Load(), "the fault's server got a request after the fault")
}
