// Package networktest provides faults of the network between a client and the
// platform, and of servers that respond in its place. All of them are real:
// sockets, TLS, HTTP and a DNS server on loopback.
package networktest

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
)

// Host is the platform's name. Only the DNS server of a [Network] knows it.
const Host = "platform.test"

// Network is a platform behind a network that can be broken.
type Network struct {
	// Platform is the receiver behind the network.
	Platform *clickidtest.Receiver

	authority *authority
	platform  string // the address of the receiver's TLS server

	mu        sync.Mutex
	transport *http.Transport // of the next request
	route     func(context.Context) (net.Conn, error)
	clients   map[string]net.Conn // the platform's ends of the connections, by their clients' addresses
	cut       *Cut                // of the next write
}

// Cut is how the platform, or a load balancer in front of it, closes an idle
// connection at the moment at which the client sends its next request.
type Cut struct {
	Reset      bool // with a TCP reset
	AfterWrite bool // when the client's first bytes are on their way, and not before them
}

// CutNextWrite closes the connection on which the client writes next.
func (n *Network) CutNextWrite(c Cut) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = &c
}

// client is the client's end of a connection.
type client struct {
	net.Conn
	network *Network
}

// Write sends b, and closes the platform's end if the next write is cut.
func (c client) Write(b []byte) (written int, err error) {
	n := c.network
	n.mu.Lock()
	cut, platform := n.cut, n.clients[c.LocalAddr().String()]
	n.cut = nil
	n.mu.Unlock()
	if cut == nil || platform == nil {
		return c.Conn.Write(b)
	}
	if cut.AfterWrite {
		written, err = c.Conn.Write(b)
	}
	raw := platform.(*tls.Conn).NetConn()
	if cut.Reset {
		_ = raw.(*net.TCPConn).SetLinger(0)
	}
	_ = raw.Close()
	if !cut.AfterWrite {
		written, err = c.Conn.Write(b)
	}
	return written, err
}

// New returns a network without a fault.
func New(t testing.TB) *Network {
	t.Helper()
	n := &Network{Platform: clickidtest.New(clickidtest.Config{}), authority: newAuthority(t), clients: make(map[string]net.Conn)}
	n.platform = n.serve(t, n.authority.issue(t, Host, time.Hour), n.Platform)
	n.transport = &http.Transport{
		TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: n.authority.pool},
		ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			n.mu.Lock()
			route := n.route
			n.mu.Unlock()
			conn, err := route(ctx)
			if err != nil {
				return nil, err
			}
			return client{conn, n}, nil
		},
	}
	n.Heal()
	t.Cleanup(n.Heal) // closes the idle connections
	return n
}

// Client returns a client of the platform. An attempt may take timeout.
func (n *Network) Client(t testing.TB, timeout time.Duration, edits ...func(*capi.Config)) *capi.Client {
	t.Helper()
	cfg := capi.Config{
		APIKey: clickidtest.APIKey, BaseURL: "https://" + Host, Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
		HTTPClient: &http.Client{Transport: current{n}}, Timeout: timeout, RateLimit: capi.RateLimit{Requests: -1},
	}
	for _, edit := range edits {
		edit(&cfg)
	}
	client, err := capi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// current is the transport of a network at the time of a request.
type current struct{ network *Network }

func (c current) RoundTrip(r *http.Request) (*http.Response, error) {
	c.network.mu.Lock()
	transport := c.network.transport
	c.network.mu.Unlock()
	return transport.RoundTrip(r)
}

// Break makes new requests meet the fault.
func (n *Network) Break(t testing.TB, f Fault) {
	t.Helper()
	n.reroute(f.route(t, n))
}

// Heal removes the fault from new requests.
func (n *Network) Heal() { n.reroute(to(n.platform)) }

// reroute makes new requests take another way, on new connections. A request in
// progress keeps its connection, which a transport of HTTP/2 would use again.
func (n *Network) reroute(route func(context.Context) (net.Conn, error)) {
	n.mu.Lock()
	earlier := n.transport
	n.route, n.transport = route, earlier.Clone()
	n.mu.Unlock()
	earlier.CloseIdleConnections()
}

// to connects to an address.
func to(address string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
}

// serve starts a TLS server and returns its address.
func (n *Network) serve(t testing.TB, certificate tls.Certificate, handler http.Handler) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = quiet
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.Config.ConnState = func(conn net.Conn, _ http.ConnState) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.clients[conn.RemoteAddr().String()] = conn
	}
	server.StartTLS()
	t.Cleanup(func() {
		server.CloseClientConnections() // a handler that hangs has none left
		server.Close()
	})
	return server.Listener.Addr().String()
}

// accept calls serve with every connection, and returns the address.
func accept(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open connections
	t.Cleanup(func() {
		_ = listener.Close()
		open.close()
	})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open.add(conn)
			go serve(conn)
		}
	}()
	return listener.Addr().String()
}

// connections closes connections at the end of a test.
type connections struct {
	mu    sync.Mutex
	conns []net.Conn
	ended bool
}

func (c *connections) add(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		_ = conn.Close()
	}
	c.conns = append(c.conns, conn)
}

func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}

// WithoutHTTP2 makes the clients use HTTP/1.1. It is called before the first
// request.
func (n *Network) WithoutHTTP2() {
	n.transport.ForceAttemptHTTP2 = false
	n.transport.TLSClientConfig.NextProtos = []string{"http/1.1"}
}
