package testserver

import (
	"context"
	"net"
	"sync/atomic"
)

// Switch dials one server at a time, as behind an address that moves at a failover.
// It is safe for concurrent use.
type Switch struct{ current atomic.Pointer[Server] }

// NewSwitch returns a switch to a server.
func NewSwitch(s *Server) *Switch {
	var w Switch
	w.To(s)
	return &w
}

// To makes the next connections lead to a server.
func (w *Switch) To(s *Server) { w.current.Store(s) }

// Dial connects to the current server. It ignores the address.
func (w *Switch) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, w.current.Load().Addr())
}
