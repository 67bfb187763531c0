package proxies

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/stretchr/testify/require"
)

// startInstance starts an instance of the shop on a port.
func startInstance(t *testing.T, address string, platform *clickidtest.Server) (*shop, *httptest.Server) {
	t.Helper()
	s := newShop(t, platform, clickid.Config{StripParam: true}, nil)
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: s}}
	server.Start()
	t.Cleanup(server.Close)
	return s, server
}

// TestInstances has two instances of a shop with the same signing key behind HAProxy,
// and each request goes to the other one. One of them is stopped and started again
// as a new process would be. Every order is attributed and counted once.
func TestInstances(t *testing.T) {
	t.Parallel()
	const visitors = 40
	platform := clickidtest.NewServer(t)
	addresses := []string{fmt.Sprint("127.0.0.1:", testserver.FreePort(t)), fmt.Sprint("127.0.0.1:", testserver.FreePort(t))}
	first, server := startInstance(t, addresses[0], platform)
	second, _ := startInstance(t, addresses[1], platform)
	proxy := startHAProxy(t, "option redispatch\noption http-server-close", addresses...)
	landed := make([]*visitor, visitors)
	for i := range landed {
		landed[i] = newVisitor(t, first, proxy, nil)
		landed[i].visit("/shoes?clkid=" + annasClick)
	}
	order := func(when string) {
		for _, v := range landed {
			v.visit("/bags")
			require.Equal(t, annasClick, v.order(), when)
		}
	}
	order("before")
	server.Close()
	order("while an instance is stopped")
	restarted, _ := startInstance(t, addresses[0], platform)
	order("after the restart")
	for _, s := range []*shop{first, second, restarted} {
		require.Equal(t, host, s.last().Host, "each instance has had requests")
	}
	require.Zero(t, requireCounted(t, platform, 3*visitors))
}
